"""Which rocks of a node's own LuaRocks tree Pumice has put there: by the records of its rollouts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["own_rocks"]


def own_rocks(records: Mapping[str, bytes]) -> frozenset[tuple[str, str]]:
    """(name, version) of the rocks that the records, by id, say to be there; ids sort by time.

    A rock that has another version now was put there by somebody else, and is not ours any more. What is no
    record is left out: it makes nothing ours.
    """
    versions: dict[str, str] = {}
    put: set[tuple[str, str]] = set()
    for _, data in sorted(records.items()):
        try:
            record = json.loads(data)
            if record["version"] != 1 or record["result"] != "ok":
                continue
            changes = [(str(name), str(after)) for name, _, after in record["changes"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if record.get("action") == "rollback":  # what comes back may have been somebody else's
            changes = [(name, after if (name, after) in put else "") for name, after in changes]
        put.update(changes)
        versions.update(changes)
    return frozenset((name, version) for name, version in versions.items() if version)
