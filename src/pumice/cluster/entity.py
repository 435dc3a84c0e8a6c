"""A plugin's entities in Kong: made or updated once every node has proved it, gone before it is removed.

The file is what the Admin API takes as `plugins` entity, in JSON or TOML: `config`, and if it is not for all
requests, `service`, `route`, `consumer` or `consumer_group` (a name, or `{id}`/`{name}`). What it does not
name stays as it is. It may hold secrets: nothing of it is printed, planned or recorded.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from pumice.base.disk import translate
from pumice.base.value import Value
from pumice.errors import DataError, NotFoundError, PumiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Admin", "Entity", "EntityError", "Use", "apply_entity", "delete_entities", "read_entity", "uses_of",
]  # fmt: skip

_SCOPES = {
    "service": "services",
    "route": "routes",
    "consumer": "consumers",
    "consumer_group": "consumer_groups",
}
_LIMIT = 1 << 20
_PAGES = 10_000


class EntityError(PumiceError):
    """The Admin API did not take an entity; what is on the nodes stays."""

    default_hint = "The nodes have the plugin. Mend the entity, and run the same command again."


class Answered(Protocol):
    """As much of an answer of the Admin API as is read here."""

    @property
    def status(self) -> int: ...
    @property
    def data(self) -> object: ...


class Admin(Protocol):
    """The Admin API of one node with a database."""

    def request(self, method: str, path: str, body: object = None) -> Answered: ...


class Entity(Value):
    """A plugin entity as a file says it."""

    plugin: str
    file: str
    sha256: str
    """Of the file."""
    body: Mapping[str, object]

    def __repr__(self) -> str:
        return f"Entity(plugin={self.plugin!r}, file={self.file!r})"


class Use(Value):
    """An entity that uses a plugin."""

    id: str
    where: str
    """`everywhere`, or `route web`."""


def read_entity(path: str, plugins: Sequence[str]) -> Entity:
    """The entity in a file; `plugins` are those that are shipped with it.

    The file may leave out `name` where that is one plugin. Raises DataError, NotFoundError.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise translate(error, f"read the entity {path}") from error
    if len(data) > _LIMIT:
        raise DataError(f"{path} is larger than any entity", hint="Give a JSON or TOML file with one entity.")
    try:
        body = tomllib.loads(data.decode()) if path.endswith(".toml") else json.loads(data)
    except (ValueError, RecursionError):
        # The error's own text could quote a secret.
        kind = "TOML" if path.endswith(".toml") else "JSON"
        raise DataError(
            f"{path} is no {kind}", hint="An entity is written in JSON, or in TOML as *.toml."
        ) from None
    if not isinstance(body, dict):
        raise DataError(f"{path} is no entity", hint='An entity looks like {"name": "x", "config": {}}.')
    name = body.get("name", plugins[0] if len(plugins) == 1 else None)
    if not isinstance(name, str) or name not in plugins:
        known = ", ".join(plugins) or "none"
        raise DataError(
            f"{os.path.basename(path)} is an entity of {name!r}, and shipped is {known}",
            hint="Give `name` in the entity the name of the plugin.",
        )
    return Entity(name, path, hashlib.sha256(data).hexdigest(), {**body, "name": name})


def apply_entity(admin: Admin, entity: Entity) -> str:
    """Creates or updates the entity; gives in words what was done.

    Found again is an entity by its `id`, else by plugin, scope and `instance_name`. Raises EntityError with
    the Admin API's own message, NotFoundError for a route, service or consumer that is not there.
    """
    body = {**entity.body, **_scopes(admin, entity.body)}
    there = _same(_entities(admin, entity.plugin), body)
    if there is None:
        given = body.get("id")
        method, path = ("PUT", f"/plugins/{quote(str(given), safe='')}") if given else ("POST", "/plugins")
        answer = _taken(admin, method, path, body, entity.plugin)
        made = answer.get("id") if isinstance(answer, dict) else None
        return f"{entity.plugin} {_where(body)}: created ({made})"
    if _covers(there, body):
        return f"{entity.plugin} {_where(body)}: as it shall be ({there.get('id')})"
    changes = {key: value for key, value in body.items() if key != "id"}
    _taken(admin, "PATCH", f"/plugins/{quote(str(there.get('id')), safe='')}", changes, entity.plugin)
    return f"{entity.plugin} {_where(body)}: updated ({there.get('id')})"


def uses_of(admin: Admin, plugin: str) -> tuple[Use, ...]:
    """The entities that use a plugin. Raises EntityError when the Admin API does not tell."""
    return tuple(Use(str(entity.get("id")), _where(entity)) for entity in _entities(admin, plugin))


def delete_entities(admin: Admin, plugin: str) -> tuple[Use, ...]:
    """Every entity of a plugin is gone; gives those that were there."""
    gone = uses_of(admin, plugin)
    for use in gone:
        answer = admin.request("DELETE", f"/plugins/{quote(use.id, safe='')}")
        if answer.status not in (204, 200, 404):
            raise EntityError(
                f"The entity {use.id} of {plugin} could not be deleted: {_message(answer)}",
                hint="Nothing was taken from the nodes. Delete it by hand, and run the same command again.",
            )
    return gone


def _entities(admin: Admin, plugin: str) -> list[dict[str, object]]:
    """All plugin entities of one name: the Admin API has no filter for it, only pages."""
    found: list[dict[str, object]] = []
    path: object = "/plugins?size=1000"
    for _ in range(_PAGES):
        answer = admin.request("GET", str(path))
        if answer.status != 200 or not isinstance(answer.data, dict):
            raise EntityError(f"The Admin API does not list its plugins: {_message(answer)}")
        listed = answer.data.get("data")
        found += [
            entity
            for entity in (listed if isinstance(listed, list) else ())
            if isinstance(entity, dict) and entity.get("name") == plugin
        ]
        path = answer.data.get("next")
        if not isinstance(path, str) or not path.startswith("/plugins"):
            return found
    raise EntityError("The Admin API lists plugins without an end")


def _scopes(admin: Admin, body: Mapping[str, object]) -> dict[str, object]:
    """The scopes of an entity with the ids that their names stand for."""
    found: dict[str, object] = {}
    for scope, collection in _SCOPES.items():
        given = body.get(scope)
        if given is None:
            continue
        if isinstance(given, dict) and isinstance(given.get("id"), str):
            found[scope] = {"id": given["id"]}
            continue
        name = given.get("name", given.get("username")) if isinstance(given, dict) else given
        if not isinstance(name, str):
            raise DataError(
                f"{scope!r} of the entity is no name", hint=f'Write "{scope}": "NAME", or {{"id": "…"}}.'
            )
        answer = admin.request("GET", f"/{collection}/{quote(name, safe='')}")
        told = answer.data.get("id") if isinstance(answer.data, dict) else None
        if answer.status != 200 or not isinstance(told, str):
            raise NotFoundError(
                f"The gateway has no {scope.replace('_', ' ')} {name!r}, which the entity is for",
                hint="Create it first; the nodes have the plugin. Then run the same command again.",
            )
        found[scope] = {"id": told}
    return found


def _same(entities: Sequence[dict[str, object]], body: Mapping[str, object]) -> dict[str, object] | None:
    if isinstance(body.get("id"), str):
        return next((each for each in entities if each.get("id") == body["id"]), None)
    for each in entities:
        scopes = all(_id(each.get(scope)) == _id(body.get(scope)) for scope in _SCOPES)
        instance = body.get("instance_name")
        if scopes and (instance is None or each.get("instance_name") == instance):
            return each
    return None


def _id(reference: object) -> object:
    return reference.get("id") if isinstance(reference, dict) else None


def _covers(there: object, wanted: object) -> bool:
    """Whether everything that is wanted is there already; what is not named does not matter."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_covers(there.get(key), wanted[key]) for key in wanted)
    return type(there) is type(wanted) and there == wanted


def _where(body: Mapping[str, object]) -> str:
    parts = [f"{scope} {_id(body[scope])}" for scope in _SCOPES if _id(body.get(scope)) is not None]
    return f"on {', '.join(parts)}" if parts else "everywhere"


def _taken(admin: Admin, method: str, path: str, body: object, plugin: str) -> object:
    answer = admin.request(method, path, body)
    if answer.status not in (200, 201):
        raise EntityError(f"The Admin API does not take the entity of {plugin}: {_message(answer)}")
    return answer.data


def _message(answer: Answered) -> str:
    told = answer.data.get("message") if isinstance(answer.data, dict) else None
    return f"{told[:500]} (HTTP {answer.status})" if isinstance(told, str) else f"HTTP {answer.status}"
