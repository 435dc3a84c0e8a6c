"""Taking the newest rollout of a node's own LuaRocks tree back, by what it kept of what it replaced.

The kept files lie beside the node's records, with their digests (`node/place.sh`, `node/kept.sh`). A tree
that somebody else has changed since is left alone: what came of it would be neither the one nor the other.
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.blobs import tar_members
from pumice.cluster.drift import read_records
from pumice.cluster.gate_rules import ABSENT
from pumice.cluster.luarocks_tree import (
    ROCKS,
    PlainChange,
    made_folders,
    manifest_digest,
    plain_state,
    read_plain_tree,
)
from pumice.cluster.node_script import node_script, records_of
from pumice.cluster.plan import Change
from pumice.errors import TreeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.cluster.connection import Connection
    from pumice.cluster.luarocks_tree import PlainTreeView

__all__ = ["EarlierFiles", "earlier_files"]

_INSTEAD = "Install the version of before: `pumice cluster install 'NAME == VERSION'`."


class EarlierFiles(Value):
    """What takes a rollout back."""

    rollout: str
    """The id of the rollout that is taken back."""
    change: PlainChange
    state: str
    """`plain_state` of the tree afterwards."""
    add: tuple[str, ...]
    """Plugins that the rollout took out of `plugins`."""
    remove: tuple[str, ...]
    """Plugins that it put there."""
    proof: tuple[tuple[str, str], ...]
    changes: tuple[Change, ...]
    told: str
    """What happens to the files, for people."""


class _Kept(Value):
    """What a node keeps of a rollout."""

    number: int
    rollout: str
    lines: tuple[tuple[str, ...], ...]
    """Of its plan."""
    before: Mapping[str, str]
    """The sha256 of the kept files, by their paths in the tree."""
    after: Mapping[str, str]
    """Of the files that came."""
    metadata: Mapping[str, bytes]
    """The kept files that say what rocks there were, by their paths below `rocks-5.1`."""
    altered: tuple[str, ...]
    """Files of the tree that are not as the rollout left them."""


def earlier_files(connection: Connection) -> EarlierFiles:
    """What takes the node's newest rollout back. Raises TreeError when nothing does, or nothing safely."""
    node = connection.node
    kept = _read_kept(connection)
    view = read_plain_tree(connection)
    gone = [f"{folder}/{name}" for kind, folder, name, *_ in _files(kept) if kind == "del"]
    altered = (*kept.altered, *(path for path in gone if path in view.files))
    if altered:
        more = f" and {len(altered) - 1} more" if len(altered) > 1 else ""
        raise TreeError(
            f"{node.name}: {node.tree} was changed by somebody else since rollout {kept.rollout}: "
            f"{altered[0]}{more}",
            hint=f"Nothing is mixed with that. {_INSTEAD}",
        )
    record = _record(connection, kept)
    change = _change(node.tree, records_of(node), kept, view)
    enabled, disabled = _names(record, "enabled"), _names(record, "disabled")
    proof = {row[0]: row[1] for row in _rows(record, "before", 2)}
    proof |= dict.fromkeys(enabled, ABSENT)
    return EarlierFiles(
        kept.rollout,
        change,
        _state(kept, view, change),
        disabled,
        enabled,
        tuple(sorted(proof.items())),
        tuple(Change(name, after, before) for name, before, after in _rows(record, "changes", 3)),
        f"rollout {kept.rollout} is taken back; put back from what the node keeps of it: "
        f"{len(change.renames)}, removed: {len(change.deletes)}",
    )


def _read_kept(connection: Connection) -> _Kept:
    node = connection.node
    given = {"TREE": node.tree, "RECORDS": records_of(node)}
    answer = connection.run(node_script("kept", given=given))
    head, mark, tar = answer.output.partition(b"@@pumice tar\n")
    told, _, sums = head.decode("utf-8", "surrogateescape").partition("@@pumice after\n")
    after_said, _, before_said = sums.partition("@@pumice before\n")
    number = told.rpartition("@@pumice kept ")[2].strip()
    if not mark or not number.isdecimal():
        raise TreeError(
            f"{node.name}: no rollout has left there what it replaced, so nothing can be taken back",
            hint=_INSTEAD,
        )
    files = tar_members(tar)
    rollout = _text(files, "rollout").strip()
    before, after = _sums(_text(files, "before")), _sums(_text(files, "after"))
    lines = tuple(tuple(line.split("\t")) for line in _text(files, "plan").split("\n") if line)
    place = f"files/{ROCKS}/"
    kept = _Kept(
        int(number),
        rollout,
        lines,
        before,
        after,
        {name[len(place) :]: data for name, data in files.items() if name.startswith(place)},
        tuple(sorted(set(after) - _sound(after_said))),
    )
    whole = {"rollout", "plan", "before", "after"} <= set(files) and _agrees(kept)
    if not whole or set(before) - _sound(before_said):
        raise TreeError(
            f"{node.name}: what rollout {rollout or number} replaced is not kept there whole", hint=_INSTEAD
        )
    return kept


def _files(kept: _Kept) -> list[tuple[str, ...]]:
    return [line for line in kept.lines if line[0] in ("put", "del")]


def _agrees(kept: _Kept) -> bool:
    """Whether plan and digests tell of the same files, all of them inside of the tree."""
    replaced, came = set(), set()
    for line in kept.lines:
        if len(line) != {"put": 4, "del": 3, "made": 2, "prune": 2}.get(line[0]):
            return False
        if line[1].startswith("/") or ".." in line[1].split("/"):
            return False
        if line[0] in ("put", "del"):
            path = f"{line[1]}/{line[2]}"
            if line[0] == "put":
                came.add(path)
            if line[0] == "del" or line[3] == "1":
                replaced.add(path)
    return bool(kept.rollout) and replaced == set(kept.before) and came == set(kept.after)


def _change(root: str, records: str, kept: _Kept, view: PlainTreeView) -> PlainChange:
    """The plan of the rollout, the other way round."""
    place = f"{records[len(root) + 1 :]}/kept/{kept.number}/files"
    deletes = tuple(sorted(path for path in kept.after if path not in kept.before))
    folders = [line[1] for line in kept.lines if line[0] == "made"]
    return PlainChange(
        {},
        {path: f"{place}/{path}" for path in kept.before},
        deletes,
        frozenset(path for path in (*kept.before, *deletes) if path in view.files),
        made_folders(view, kept.before),
        tuple(sorted(folders, key=lambda each: -each.count("/"))),
        manifest_digest(view),
        {**kept.after, **{f"{place}/{path}": digest for path, digest in kept.before.items()}},
        kept.number,
    )


def _state(kept: _Kept, view: PlainTreeView, change: PlainChange) -> str:
    metadata = {
        path[len(ROCKS) + 1 :]: view.read(f"{view.root}/{path}")
        for path in view.files
        if path.startswith(f"{ROCKS}/")
        and path not in change.deletes
        and posixpath.basename(path) in ("manifest", "rock_manifest")
    }
    return plain_state({**metadata, **kept.metadata})


def _record(connection: Connection, kept: _Kept) -> Mapping[str, object]:
    """The record of the rollout that is taken back."""
    try:
        record = json.loads(read_records(connection)[kept.rollout])
    except (KeyError, ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise TreeError(
            f"{connection.node.name}: rollout {kept.rollout} has no record there that can be read",
            hint=_INSTEAD,
        )
    return record


def _names(record: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = record.get(key)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _rows(record: Mapping[str, object], key: str, width: int) -> list[tuple[str, ...]]:
    value = record.get(key)
    rows = value if isinstance(value, list) else []
    return [
        tuple(map(str, row))
        for row in rows
        if isinstance(row, list) and len(row) == width and all(isinstance(each, str) for each in row)
    ]


def _text(files: Mapping[str, bytes], name: str) -> str:
    return files.get(name, b"").decode("utf-8", "surrogateescape")


def _sums(text: str) -> dict[str, str]:
    """Path → sha256 of what `sha256sum` printed."""
    return {line[66:]: line[:64] for line in text.split("\n") if line}


def _sound(text: str) -> set[str]:
    """The paths that `sha256sum -c` found as they were."""
    return {line.removesuffix(": OK") for line in text.split("\n") if line.endswith(": OK")}
