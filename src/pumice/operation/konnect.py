"""`push`: a plugin's schema, or the plugin itself, brought to a control plane of Konnect (Kong contract 4.8).

What is there already is looked at first: the same is left alone, something else is replaced and the
difference told. The API's shapes are the documented ones; the real Konnect takes no part in the tests.
"""

from __future__ import annotations

import os
import re

from pumice.base.value import Value
from pumice.errors import CheckError, FetchError, NotFoundError, UsageError
from pumice.kong.schema_diff import schema_diff
from pumice.operation.check import check_rock
from pumice.operation.manifests import konnect_forms
from pumice.operation.pack import rock_to_pack
from pumice.operation.rockspec_choice import source_directory
from pumice.operation.work_dir import WorkDir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.kong.schema_diff import Difference
    from pumice.kong.schema_table import Table
    from pumice.net.json_api import Answer, JsonApi

__all__ = ["Account", "Pushed", "account", "push"]

_DEFAULT_URL = "https://us.api.konghq.com"
_REGIONS = ("us", "eu", "au", "me", "in", "sg")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_ROLES = "a token whose role may change plugins there: Admin, Deployer or Plugins Admin of the control plane"


class Account(Value):
    """Where to send, and as whom."""

    url: str
    token: str
    control_plane: str
    """Its id, or its name."""

    def __repr__(self) -> str:
        return f"Account({self.url!r}, control_plane={self.control_plane!r})"


class Pushed(Value):
    """What became of one plugin."""

    plugin: str
    kind: str
    """`plugin-schemas` or `custom-plugins`."""
    result: str
    """`created`, `updated`, `unchanged`; in a dry run `would be created` and `would be updated`."""
    difference: tuple[str, ...] = ()
    """What is other than it was there, as lines of a unified diff."""
    order: Difference | None = None
    """How a fleet can take the new schema, where both could be executed."""


def account(
    environment: Mapping[str, str],
    cwd: str,
    *,
    url: str | None = None,
    region: str | None = None,
    control_plane: str | None = None,
) -> Account:
    """The account from what was given and the environment, with decK's names beside Konnect's own.

    The token: KONNECT_TOKEN, DECK_KONNECT_TOKEN, or the file in DECK_KONNECT_TOKEN_FILE. The URL: `url`,
    `region`, KONNECT_CONTROL_PLANE_URL, DECK_KONNECT_ADDR. Raises UsageError for what is missing.
    """
    if region is not None and region not in _REGIONS:
        raise UsageError(
            f"'{region}' is no region",
            hint=f"Konnect has {', '.join(_REGIONS)}; the address of another is given with --url.",
        )
    token = environment.get("KONNECT_TOKEN") or environment.get("DECK_KONNECT_TOKEN")
    token_file = environment.get("DECK_KONNECT_TOKEN_FILE")
    if not token and token_file:
        try:
            with open(os.path.join(cwd, token_file), encoding="ascii", errors="replace") as file:
                token = file.read(10_000).strip()
        except OSError as error:
            raise UsageError(
                f"the token cannot be read from {token_file}: {error.strerror}",
                hint="Check DECK_KONNECT_TOKEN_FILE.",
            ) from error
    if not token:
        raise UsageError(
            "there is no token for Konnect",
            hint="Set KONNECT_TOKEN to a personal access token (kpat_...) or a system account's (spat_...).",
        )
    named = control_plane or environment.get("DECK_KONNECT_CONTROL_PLANE_NAME")
    if not named:
        raise UsageError(
            "missing option '--control-plane'",
            hint="Give the control plane's name or id; the id stands in its address in Konnect.",
        )
    found = url or (f"https://{region}.api.konghq.com" if region else None)
    found = found or environment.get("KONNECT_CONTROL_PLANE_URL") or environment.get("DECK_KONNECT_ADDR")
    return Account(found or _DEFAULT_URL, token.strip(), named)


def push(
    path: str,
    where: Account,
    trees: Sequence[TreeSpec],
    config: Config,
    progress: Progress,
    *,
    streamed: bool = False,
    single_file: bool = False,
    check: bool = True,
    dry_run: bool = False,
) -> tuple[Pushed, ...]:
    """Brings each plugin of what lies at `path` (a directory, a rockspec or a rock) to the control plane.

    Without `streamed` the schema alone, and the nodes need the files by another way; with it handler and
    schema. `dry_run` asks and changes nothing. Raises CheckError for a plugin that Konnect does not take,
    FetchError with Konnect's words where it refuses, and PumiceError.
    """
    from pumice.net.connections import Connections
    from pumice.net.fetch import USER_AGENT
    from pumice.net.json_api import JsonApi

    bodies = _bodies(path, trees, config, progress, streamed, single_file, check)
    connections = Connections(
        timeout=config.connection_timeout,
        verify_tls=config.check_certificates,
        # a user's netrc is not for a server that a token is for
        environment={
            name: value for name, value in config.environment.items() if name not in ("NETRC", "HOME")
        },
    )
    kind = "custom-plugins" if streamed else "plugin-schemas"
    try:
        api = JsonApi(where.url, where.token, connections, user_agent=USER_AGENT)
        identity, name = _control_plane(api, where.control_plane)
        progress.message("detail", f"The control plane is {name} ({identity})")
        entities = f"/v2/control-planes/{identity}/core-entities/{kind}"
        return tuple(_push(api, entities, kind, plugin, body, dry_run) for plugin, body in bodies.items())
    finally:
        connections.close()


def _bodies(
    path: str,
    trees: Sequence[TreeSpec],
    config: Config,
    progress: Progress,
    streamed: bool,
    single_file: bool,
    check: bool,
) -> dict[str, dict[str, str]]:
    """What is sent, by plugin. Raises CheckError, PumiceError."""
    import json

    absolute = os.path.normpath(os.path.join(config.cwd, path))
    is_directory = os.path.isdir(absolute)
    if not is_directory and not os.path.isfile(absolute):
        raise NotFoundError(f"{path} does not exist", hint="Give a directory, a rockspec or a rock.")
    home = absolute if is_directory else source_directory(absolute)
    config = config.replace(cwd=home)
    with WorkDir(config, "konnect") as work:
        rock = rock_to_pack(None if is_directory else absolute, None, trees, config, progress, work)
        if check:
            wrong = [item for item in check_rock(rock, config).findings if item.is_error]
            if wrong:
                raise CheckError(
                    f"The check found errors, and nothing was sent: {wrong[0].message}",
                    hint="pumice check tells all; --no-check sends it regardless.",
                )
        forms = konnect_forms(rock, trees, config, progress, single_file=single_file)
    bodies = {}
    for plugin, made in forms.items():
        texts = {text.name: text.text for text in made.texts}
        wanted = "custom-plugin.json" if streamed else "plugin-schema.json"
        reason = next((each for each in made.warnings if "cannot be streamed" in each), None)
        if streamed and wanted not in texts:
            raise CheckError(
                f"{plugin} cannot be streamed: {(reason or '').partition('cannot be streamed: ')[2]}",
                hint="Without --streamed its schema is sent, and the nodes get the files by another way.",
            )
        for warning in made.warnings:
            if warning is not reason:
                progress.message("warning", warning)
        bodies[plugin] = json.loads(texts[wanted])
    return bodies


def _control_plane(api: JsonApi, wanted: str) -> tuple[str, str]:
    """Id and name of the control plane. Raises NotFoundError, FetchError."""
    from urllib.parse import quote

    if _UUID.match(wanted):
        answer = api.ask("GET", f"/v2/control-planes/{wanted}")
        found = [answer.body] if answer.status == 200 else []
    else:
        answer = api.ask("GET", f"/v2/control-planes?filter[name][eq]={quote(wanted, safe='')}")
        listed = answer.body.get("data") if isinstance(answer.body, dict) else None
        found = listed if isinstance(listed, list) else []
        found = [one for one in found if isinstance(one, dict) and one.get("name") == wanted]
    if answer.status not in (200, 404):
        raise _refusal(answer, "look for the control plane")
    one = found[0] if found else None
    identity = one.get("id") if isinstance(one, dict) else None
    if not isinstance(one, dict) or not isinstance(identity, str) or not _UUID.match(identity):
        raise NotFoundError(
            f"{api.base} has no control plane {wanted}, or this token may not see it",
            hint="Check the name or id, the region (--region) and the token's organisation.",
        )
    return identity, str(one.get("name", identity))


def _push(
    api: JsonApi, entities: str, kind: str, plugin: str, body: Mapping[str, str], dry_run: bool
) -> Pushed:
    there = _there(api, entities, plugin)
    if there is None:
        if dry_run:
            return Pushed(plugin, kind, "would be created")
        answer = api.ask("POST", entities, body)
        if answer.status in (200, 201):
            return Pushed(plugin, kind, "created")
        # a request that was asked again may have been heard the first time
        if answer.status != 409 or (there := _there(api, entities, plugin)) is None:
            raise _refusal(answer, f"take {plugin}")
        if _same(there, body):
            return Pushed(plugin, kind, "created")
    if _same(there, body):
        return Pushed(plugin, kind, "unchanged")
    told = Pushed(
        plugin,
        kind,
        "would be updated",
        tuple(_difference(there, body)),
        _order(there, body, plugin),
    )
    if dry_run:
        return told
    answer = api.ask("PUT", f"{entities}/{plugin}", body)
    if answer.status not in (200, 201):
        raise _refusal(answer, f"take the new {plugin}")
    return told.replace(result="updated")


def _there(api: JsonApi, entities: str, plugin: str) -> dict[str, str] | None:
    """The texts that the control plane has for a plugin; None when it has none."""
    answer = api.ask("GET", f"{entities}/{plugin}")
    if answer.status == 404:
        return None
    if answer.status != 200 or not isinstance(answer.body, dict):
        raise _refusal(answer, f"look for {plugin}")
    item = answer.body.get("item", answer.body)
    texts = item if isinstance(item, dict) else {}
    return {
        name: text for name in ("lua_schema", "schema", "handler") if isinstance(text := texts.get(name), str)
    }


def _same(there: Mapping[str, str], body: Mapping[str, str]) -> bool:
    return all(there.get(name) == text for name, text in body.items() if name != "name")


def _difference(there: Mapping[str, str], body: Mapping[str, str]) -> list[str]:
    from difflib import unified_diff

    lines: list[str] = []
    for name, file in (("lua_schema", "schema.lua"), ("schema", "schema.lua"), ("handler", "handler.lua")):
        if name in body:
            old, new = there.get(name, "").splitlines(), body[name].splitlines()
            lines += unified_diff(old, new, f"konnect/{file}", f"here/{file}", lineterm="")
    return lines


def _order(there: Mapping[str, str], body: Mapping[str, str], plugin: str) -> Difference | None:
    """How a fleet takes the step from one schema to the other; None where one cannot be executed."""
    name = "lua_schema" if "lua_schema" in body else "schema"
    old, new = (_executed(texts.get(name, ""), plugin) for texts in (there, body))
    return schema_diff(old, new) if old is not None and new is not None else None


def _executed(text: str, plugin: str) -> Table | None:
    from pumice.kong.loaded import Job
    from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules

    module = f"kong.plugins.{plugin}.schema"
    source = ModuleSource("schema.lua", text.encode())
    outcome = load_modules([Job("schema", module)], Sandbox(modules={module: source}))
    value = outcome.loaded[0].value if outcome.loaded else None
    return value if isinstance(value, dict) else None


def _refusal(answer: Answer, doing: str) -> FetchError:
    """The error for an answer that is none, with what Konnect says of it."""
    hints = {
        400: "Mend what it names; pumice schema and pumice check may tell more.",
        401: "The token is not known or has expired: make a new one, and set KONNECT_TOKEN.",
        403: f"It wants {_ROLES}.",
        404: "The control plane is gone, or this token may not see it.",
        409: "Kong's own plugins and what is streamed have their names for themselves: rename the plugin, or "
        "remove the other one first.",
        413: "It is too large: fold less into it, or ship the files to the nodes.",
        422: "Mend what it names; pumice schema and pumice check may tell more.",
    }
    said = "; ".join(_said(answer.body))
    return FetchError(
        f"Konnect does not {doing}: it answers {answer.status}{f' ({said[:500]})' if said else ''}",
        hint=hints.get(answer.status, "Look at Konnect's status page, and try again."),
    )


def _said(body: object) -> list[str]:
    """The sentences of an error, in the shapes that Konnect's API has."""
    if not isinstance(body, dict):
        return []
    told = [str(body[name]) for name in ("title", "detail", "message") if isinstance(body.get(name), str)]
    for name in ("invalid_parameters", "details"):
        for item in body.get(name) or ():
            if isinstance(item, dict):
                messages = item.get("messages")
                where = item.get("field") or item.get("name") or item.get("type") or ""
                text = "; ".join(map(str, messages)) if isinstance(messages, list) else item.get("reason", "")
                told.append(": ".join(str(part) for part in (where, text) if part))
    return list(dict.fromkeys(told))
