"""The generation that a rollback of a node goes to: what is in it, and what its gateway has to answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.connection import quote
from pumice.cluster.gate_rules import ABSENT
from pumice.cluster.plan import Change
from pumice.cluster.tree_record import parse_record, state_of
from pumice.errors import TreeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.cluster.connection import Connection
    from pumice.cluster.facts import NodeFacts

__all__ = ["Earlier", "earlier_generation", "plugins_in", "rocks_in"]

_MODULES = "share/lua/5.1/kong/plugins/"
_ROCKS = "lib/luarocks/rocks-5.1/"


class Earlier(Value):
    """A generation of a node that is there already."""

    number: int
    """0: none, as before the first one."""
    state: str
    plugins: tuple[str, ...]
    gone: tuple[str, ...]
    """Plugins of the current generation that this one has not."""
    proof: tuple[tuple[str, str], ...]
    changes: tuple[Change, ...]


def plugins_in(files: Iterable[str]) -> tuple[str, ...]:
    """The names of the plugins that paths of a tree make up, sorted."""
    found = set()
    for path in files:
        if path.startswith(_MODULES):
            name, _, module = path.removeprefix(_MODULES).rpartition("/")
            if module == "handler.lua" or path.endswith("/handler/init.lua"):
                found.add((name.removesuffix("/handler") if module == "init.lua" else name).replace("/", "."))
    return tuple(sorted(found))


def rocks_in(files: Iterable[str]) -> dict[str, str]:
    """Names and versions of the rocks that paths of a tree make up."""
    found = {}
    for path in files:
        parts = path.removeprefix(_ROCKS).split("/")
        if path.startswith(_ROCKS) and len(parts) == 3 and parts[2].endswith(".rockspec"):
            found[parts[0]] = parts[1]
    return found


def earlier_generation(connection: Connection, facts: NodeFacts) -> Earlier:
    """Where a rollback of this node goes. Raises TreeError when there is nothing to go back to."""
    node = connection.node
    if facts.record is None or not facts.generation:
        raise TreeError(f"{node.name}: nothing was installed there that could be taken back")
    number = facts.record.parent
    now = facts.record.files
    if number and number not in facts.generations:
        raise TreeError(
            f"{node.name}: generation {number}, which the current one was made from, is not kept any more",
            hint="Install the version of before: `pumice cluster install 'NAME == VERSION'`.",
        )
    files: Mapping[str, object] = {}
    state = state_of({})
    if number:
        path = f"{node.tree}/generations/{number}/generation.json"
        answer = connection.run(f"cat {quote(path)}")
        record = parse_record(answer.output, number)
        files, state = record.files, state_of(record.files)
    plugins = plugins_in(files)
    gone = tuple(name for name in plugins_in(now) if name not in plugins)
    versions = _versions(connection, number) if plugins else {}
    before, after = rocks_in(now), rocks_in(files)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return Earlier(
        number,
        state,
        plugins,
        gone,
        (*((name, versions.get(name, "")) for name in plugins), *((name, ABSENT) for name in gone)),
        tuple(Change(name, before.get(name, ""), after.get(name, "")) for name in names),
    )


def _versions(connection: Connection, number: int) -> dict[str, str]:
    """The versions that the node answered with when that generation was proved; its own record tells."""
    from pumice.cluster.drift import read_records

    for data in reversed(list(read_records(connection).values())):
        try:
            record = json.loads(data)
            if record["generation"] == number:
                return {str(name): str(version) for name, version in record["proof"] if version != ABSENT}
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return {}
