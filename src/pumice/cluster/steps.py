"""The steps of a change on a node: each call is one run of `node/steps.sh`, and gives what came of its steps.

What the node answers is never an exception, only what becomes of the connection is. A node is on the old
version until `activate`; from then until `finish` its journal can take it back, whoever asks.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pumice.cluster.change import DONE, FAILED, SKIPPED, WARNED, StepResult
from pumice.cluster.node_script import enable_file_of, node_script, records_of, unit_of
from pumice.cluster.node_tar import END, INCOMING, file_member
from pumice.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pumice.cluster.change import Enabling, NodeChange
    from pumice.cluster.connection import Answer, Connection
    from pumice.cluster.inventory import Node
    from pumice.cluster.payload import Sent

__all__ = [
    "activate",
    "finish",
    "log_since",
    "migrate",
    "recover",
    "roll_out",
    "stage",
    "undo",
]

_TIMEOUT = 300.0
_MARK = "@@pumice "
_LINES = 400
_STATUSES = (DONE, WARNED, FAILED, SKIPPED)
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def roll_out(
    connection: Connection,
    change: NodeChange,
    payload: Sent | None,
    *,
    timeout: float = _TIMEOUT,
) -> tuple[StepResult, ...]:
    """Stage, preflight, activate, reload: in one run. The last result tells whether all went well.

    A step that fails before the reload has left the node as it was; after a failed reload call `undo`.
    """
    steps = ["stage", *_after_staging(change)]
    return _run(connection, steps, change, payload, timeout=timeout, sends=True)


def stage(
    connection: Connection,
    change: NodeChange,
    payload: Sent | None,
    *,
    timeout: float = _TIMEOUT,
) -> tuple[StepResult, ...]:
    """What is sent is on the node, checked and linked; nothing uses it yet."""
    return _run(connection, ["stage"], change, payload, timeout=timeout, sends=True)


def migrate(
    connection: Connection, change: NodeChange, *, finish: bool = False, timeout: float = _TIMEOUT
) -> tuple[StepResult, ...]:
    """`kong migrations up` (or `finish`) with the configuration that was staged: once, from one node.

    The gateway's other commands do not look where `lua_package_path` points (Kong contract 4.2).
    """
    return _run(
        connection,
        ["migrate"],
        change,
        None,
        timeout=timeout,
        more={"MIGRATION": "finish" if finish else "up"},
    )


def activate(
    connection: Connection, change: NodeChange, *, timeout: float = _TIMEOUT
) -> tuple[StepResult, ...]:
    """The rest of `roll_out` after `stage`."""
    return _run(connection, _after_staging(change), change, None, timeout=timeout)


def undo(connection: Connection, change: NodeChange, *, timeout: float = _TIMEOUT) -> tuple[StepResult, ...]:
    """The node is as before, by its own journal, and its gateway told; nothing happens where none is."""
    return _run(connection, ["undo"], change, None, timeout=timeout)


def finish(
    connection: Connection,
    change: NodeChange,
    record: bytes,
    *,
    keep: int = 10,
    timeout: float = _TIMEOUT,
) -> tuple[StepResult, ...]:
    """The change is proved: its record is written; its journal and generations beyond `keep` go."""
    return _run(
        connection, ["finish"], change, None, timeout=timeout, stdin=record, more={"KEEP": str(max(keep, 1))}
    )


def recover(connection: Connection, *, timeout: float = _TIMEOUT) -> tuple[StepResult, ...]:
    """What a killed or cut rollout left is undone, or finished if it was proved (`data["outcome"]`)."""
    return _run(connection, ["recover"], None, None, timeout=timeout)


def log_since(connection: Connection, *, timeout: float = 30.0) -> tuple[str, ...]:
    """The lines that the node's gateway has logged since the change that is under way began."""
    script = node_script("log", given={"TREE": connection.node.tree})
    answer = connection.run(script, timeout=timeout)
    return tuple(answer.output.decode("utf-8", "replace").splitlines()[-_LINES:])


def _marked_lines(output: bytes) -> list[tuple[str, str]]:
    """(key, value) of the lines in which the script tells something."""
    found = []
    for line in output.decode("utf-8", "replace").split("\n"):
        if line.startswith(_MARK):
            key, _, value = line[len(_MARK) :].partition(" ")
            found.append((key, value))
    return found


def _after_staging(change: NodeChange) -> list[str]:
    steps = ["preflight"] if change.preflight else []
    return [*steps, "activate", *(["reload"] if change.reload else [])]


def _run(
    connection: Connection,
    steps: Sequence[str],
    change: NodeChange | None,
    payload: Sent | None,
    *,
    timeout: float,
    sends: bool = False,
    stdin: bytes = b"",
    more: dict[str, str] | None = None,
) -> tuple[StepResult, ...]:
    given = _given(connection.node, steps, change, payload)
    names = ("place", "steps") if connection.node.layout == "luarocks" else ("steps",)
    script = node_script(*names, given={**given, **(more or {})})
    if sends and change is not None:
        answer = connection.run(script, stdin=_stream(change, payload), timeout=timeout)
    else:
        answer = connection.run(script, stdin=stdin, timeout=timeout)
    return _results(answer, steps)


def _given(
    node: Node, steps: Sequence[str], change: NodeChange | None, payload: Sent | None
) -> dict[str, str]:
    given = {
        "TREE": node.tree,
        "LAYOUT": node.layout,
        "RECORDS": records_of(node),
        "CONF": node.conf,
        "ENABLE": enable_file_of(node),
        "PREFIX": node.prefix,
        "KONG": node.kong,
        "RESTART": node.restart,
        "UNIT": unit_of(node),
        "FIRST": steps[0],
        "STEPS": " ".join(steps),
        "ROLLOUT": "",
        "BEFORE": "0",
        "AFTER": "0",
        "BUILD": str(payload.generation) if payload is not None else "0",
        "EDITS": "0",
        "CONF_EDIT": "",
        "EXPORTS": "",
        "STAGED_EXPORTS": "",
        "UNDO_EXPORTS": "",
        "KEEP": "10",
        "MIGRATION": "",
        "WAIT": "20",
        "DURABLE": "1",
        "LOCKED": "",
        "CHECKED": "",
        "LINKED": "",
        "SOH": "\x01",
    }
    if change is None:
        return given
    if not change.rollout or change.rollout[0] == "." or not _SAFE.issuperset(change.rollout):
        raise ConfigError(f"{change.rollout!r} is no id of a rollout")
    enabling = change.enabling
    given |= {
        "ROLLOUT": change.rollout,
        "BEFORE": str(change.before),
        "AFTER": str(change.after),
        "EDITS": str(len(enabling.edits)),
        "EXPORTS": _exports(enabling.exports),
        "STAGED_EXPORTS": _exports(_staged_exports(node, enabling)),
        "UNDO_EXPORTS": _exports(enabling.exports_before),
    }
    for number, edit in enumerate(enabling.edits):
        given[f"EDIT_{number}_PATH"] = edit.path
        given[f"EDIT_{number}_BEFORE"] = edit.before or "-"
        given[f"EDIT_{number}_AFTER"] = "-" if edit.data is None else hashlib.sha256(edit.data).hexdigest()
        if edit.path == node.conf:
            given["CONF_EDIT"] = str(number)
    return given


def _staged_exports(node: Node, enabling: Enabling) -> Mapping[str, str]:
    """What the gateway has to be told so that it finds what is staged and not yet in place."""
    if node.layout != "luarocks":
        return enabling.exports
    staged = f"{node.tree}/{INCOMING}/files"
    lua = f"{staged}/share/lua/5.1/?.lua;{staged}/share/lua/5.1/?/init.lua;{enabling.lua_package_path}"
    c = f"{staged}/lib/lua/5.1/?.so;{enabling.lua_package_cpath}"
    return {**enabling.exports, "KONG_LUA_PACKAGE_PATH": lua, "KONG_LUA_PACKAGE_CPATH": c}


def _exports(exports: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in exports.items())


def _stream(change: NodeChange, payload: Sent | None) -> Iterator[bytes]:
    """The payload, with this node's configuration files."""
    edits = [
        (number, edit.data) for number, edit in enumerate(change.enabling.edits) if edit.data is not None
    ]
    sums = payload.sums if payload is not None else b""
    sums += b"".join(
        f"{edit.before}  {edit.path}\n".encode("utf-8", "surrogateescape")
        for edit in change.enabling.edits
        if edit.before is not None
    )
    sums += b"".join(
        f"{hashlib.sha256(data).hexdigest()}  {INCOMING}/edits/{number}\n".encode() for number, data in edits
    )
    yield from file_member("sums", sums, 0o600)
    if payload is not None:
        yield from payload.stream()
    for number, data in edits:
        yield from file_member(f"edits/{number}", data, 0o600)
    yield END


def _results(answer: Answer, steps: Sequence[str]) -> tuple[StepResult, ...]:
    """What the script told of its steps; a script that ended early has failed in the step it was at."""
    results: list[StepResult] = []
    texts: list[str] = []
    found: dict[str, str] = {}
    ended = False
    for kind, rest in _marked_lines(answer.output):
        if kind == "text" and len(texts) < _LINES:
            texts.append(rest)
        elif kind == "data":
            key, _, value = rest.partition(" ")
            found[key] = f"{found[key]}\n{value}" if key in found else value
        elif kind == "step":
            name, status, milliseconds = (*rest.split(" "), "", "", "")[:3]
            if status in _STATUSES:
                spent = int(milliseconds) if milliseconds.isascii() and milliseconds.isdigit() else 0
                results.append(StepResult(name, status, spent, "\n".join(texts).strip(), found))
                texts, found = [], {}
        elif kind == "end":
            ended = True
    if not ended and (not results or results[-1].ok):
        step = steps[min(len(results), len(steps) - 1)]
        said = answer.errors.decode("utf-8", "replace").strip()[-2000:]
        text = said or f"the node's shell ended with exit code {answer.code} and said nothing"
        results.append(StepResult(step, FAILED, 0, text, dict(found)))
    return tuple(results)
