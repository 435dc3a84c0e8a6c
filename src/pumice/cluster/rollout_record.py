"""What is kept of every rollout: a file in `.pumice/rollouts/` here, and one on every node that took part.

No secret is in them: who, what digests, when, and what became of each node.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from pumice.base.disk import make_directories, translate, write_atomic
from pumice.cluster.events import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pumice.cluster.plan import Plan
    from pumice.cluster.rollout_state import Outcome

__all__ = ["folder_of", "merge_records", "read_records_here", "write_record"]

_LIMIT = 1 << 22


def folder_of(cluster_file: str) -> str:
    """Where records of rollouts lie on this machine: beside cluster.toml."""
    return os.path.join(os.path.dirname(cluster_file), ".pumice", "rollouts")


def write_record(
    folder: str,
    plan: Plan,
    outcomes: Iterable[Outcome],
    *,
    result: str,
    stopped: str = "",
    entities: Sequence[str] = (),
) -> str:
    """The record of a rollout that ended (ok, failed or interrupted); gives its path. Raises DiskError."""
    states = {each.node: each for each in outcomes}
    nodes = []
    for part in plan.nodes:
        outcome = states.get(part.node)
        nodes.append(
            {
                "node": part.node,
                "state": outcome.state if outcome is not None else "waiting",
                "step": outcome.step if outcome is not None else "",
                "message": outcome.message if outcome is not None else "",
                "seconds": round(outcome.seconds, 3) if outcome is not None else 0,
                "changes": [[each.name, each.before, each.after] for each in part.changes],
                "content": part.content,
                "proof": [list(each) for each in part.proof],
            }
        )
    record = {
        "version": 1,
        "id": plan.id,
        "action": plan.action,
        "cluster": plan.cluster,
        "by": plan.by,
        "made": plan.made,
        "ended": moment(time.time()),
        "result": result,
        "stopped": stopped,
        "artifacts": [
            {"name": each.name, "version": each.version, "sha256": each.sha256} for each in plan.artifacts
        ],
        "unchanged": list(plan.unchanged),
        "missing": [list(each) for each in plan.missing],
        "nodes": nodes,
        "entities": list(entities),
    }
    try:
        make_directories(folder)
        ignore = os.path.join(os.path.dirname(folder), ".gitignore")
        if not os.path.exists(ignore):
            write_atomic(ignore, b"*\n")
        path = os.path.join(folder, f"{plan.id}.json")
        write_atomic(path, (json.dumps(record, indent=2) + "\n").encode(), 0o600)
    except OSError as error:
        raise translate(error, f"write the record of the rollout to {folder}") from error
    return path


def read_records_here(folder: str) -> dict[str, Mapping[str, object]]:
    """The records of this machine by id; what is no record is left out."""
    found = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return {}
    for name in names:
        if not name.endswith(".json"):
            continue
        try:
            with open(os.path.join(folder, name), "rb") as file:
                record = _parsed(file.read(_LIMIT))
        except OSError:
            continue
        if record is not None:
            found[name.removesuffix(".json")] = record
    return found


def _parsed(data: bytes) -> Mapping[str, object] | None:
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and record.get("version") == 1 else None


def merge_records(
    here: Mapping[str, Mapping[str, object]], nodes: Mapping[str, Mapping[str, bytes]]
) -> list[dict[str, object]]:
    """One entry a rollout, the newest last: what is known here, and which nodes have kept it.

    `nodes`: what nodes keep, by node and id. A rollout that somebody else ran is known from its nodes alone.
    """
    merged: dict[str, dict[str, object]] = {name: dict(record) for name, record in here.items()}
    kept: dict[str, list[str]] = {}
    for node, records in nodes.items():
        for name, data in records.items():
            record = _parsed(data)
            if record is None:
                continue
            kept.setdefault(name, []).append(node)
            if name not in merged:
                merged[name] = {key: value for key, value in record.items() if key not in ("node", "nodes")}
    for name, entry in merged.items():
        entry["id"] = name
        entry["kept_on"] = sorted(kept.get(name, ()))
    return sorted(merged.values(), key=lambda entry: str(entry.get("made", "")))
