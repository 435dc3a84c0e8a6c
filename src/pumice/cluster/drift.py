"""Drift: what differs on a node from what was put there; and the records of what was done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.base.config import TreeSpec
from pumice.base.value import Value
from pumice.cluster.blobs import tar_members
from pumice.cluster.connection import quote
from pumice.cluster.luarocks_drift import damaged_files
from pumice.cluster.luarocks_tree import read_plain_tree
from pumice.cluster.node_script import node_script, records_of
from pumice.errors import DataError, TreeError
from pumice.tree.manifest import TreeManifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.cluster.connection import Connection
    from pumice.cluster.facts import NodeFacts

__all__ = ["Drift", "drift", "read_records"]


class Drift(Value):
    """The files of the current generation that are not as they were made; all empty on a sound node."""

    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    """Contents that a changed file shares with the store: they have to be sent again."""
    problem: str = ""
    """Why nothing could be found out."""

    @property
    def sound(self) -> bool:
        """Everything is as it was made."""
        return not (self.changed or self.missing or self.extra or self.problem)


def drift(connection: Connection, facts: NodeFacts, *, timeout: float = 120.0) -> Drift:
    """Every file of the node's current generation is read there, in one run, and compared with its record.

    Raises what `Connection.run` raises.
    """
    if connection.node.layout == "luarocks":
        return _plain_drift(connection)
    if facts.record is None or not facts.generation:
        return Drift()
    files = facts.record.files
    # Names that `sha256sum -c` would not understand are only looked for.
    plain = {path: blob for path, blob in files.items() if "\n" not in path and "\\" not in path}
    sums = "".join(f"{blob.key[:64]}  ./{path}\n" for path, blob in sorted(plain.items()))
    answer = connection.run(
        node_script("drift", given={"TREE": connection.node.tree, "GENERATION": str(facts.generation)}),
        stdin=sums.encode("utf-8", "surrogateescape"),
        timeout=timeout,
    )
    output = answer.output.decode("utf-8", "surrogateescape")
    _, _, rest = output.partition("@@pumice sums\n")
    checked, _, rest = rest.partition("@@pumice files\n")
    listed, end, _ = rest.rpartition("@@pumice end\n")
    if not end:
        return Drift(problem="the node could not look at its files")
    there = _listed(listed.split("\n"))
    bad = {
        line.rpartition(": FAILED")[0].removeprefix("./")
        for line in checked.split("\n")
        if ": FAILED" in line
    }
    missing = tuple(sorted(path for path in files if path not in there and "\n" not in path))
    changed = tuple(sorted(path for path in bad if path in plain and path in there))
    extra = tuple(sorted(path for path in there if path not in files and path != "generation.json"))
    damaged = tuple(sorted({files[path].key for path in changed}))
    return Drift(changed, missing, extra, damaged)


def _plain_drift(connection: Connection) -> Drift:
    """The same for the node's own LuaRocks tree, by what its rocks say of themselves."""
    root = connection.node.tree
    tree = TreeSpec.at(root, "5.1")
    try:
        view = read_plain_tree(connection)
        if view.kind(f"{tree.rocks_dir}/manifest") is None:
            return Drift()
        manifest = TreeManifest.parse(view.read(f"{tree.rocks_dir}/manifest"), tree.rocks_dir)
    except (DataError, TreeError, OSError) as error:
        return Drift(problem=str(error))
    rocks = [(name, version) for name in manifest.names() for version in manifest.versions(name)]
    changed, missing = damaged_files(connection, tree, manifest, view, rocks)
    return Drift(tuple(changed), tuple(missing))


def read_records(connection: Connection, *, timeout: float = 60.0) -> Mapping[str, bytes]:
    """The records of all rollouts that the node has, by their ids, as they are: somebody else's word."""
    folder = quote(records_of(connection.node))
    answer = connection.run(f"cd {folder} 2>/dev/null && exec tar -cf - *.json", timeout=timeout)
    return {
        name.removesuffix(".json"): data
        for name, data in sorted(tar_members(answer.output).items())
        if name.endswith(".json") and "/" not in name
    }


def _listed(lines: list[str]) -> set[str]:
    """The files in the output of `ls -ARp .`: a line `DIRECTORY:` begins each directory."""
    found: set[str] = set()
    directory = ""
    before_blank = True
    for line in lines:
        if before_blank and line.endswith(":") and (line == ".:" or line.startswith("./")):
            directory = line[:-1].removeprefix(".").removeprefix("/")
            before_blank = False
        elif not line:
            before_blank = True
        elif not line.endswith("/"):
            found.add(f"{directory}/{line}" if directory else line)
    return found
