"""What a gateway's answers prove, and what they do not (Kong contract 5.1, 5.2, 8). Pure.

Each rule gives what is still lacking, in words with the answer in them, or an empty text. `kong reload` says
"Kong reloaded" also when the new code fails to load: the old workers go on then. So what counts is that all
workers are new ones, and that they answer with the new version.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pumice.kong.handler_rules import cleaned_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pumice.cluster.facts import Process
    from pumice.cluster.inventory import Expect
    from pumice.cluster.loaded_plugins import LoadedPlugin

__all__ = [
    "ABSENT", "admin_lacks", "answer_lacks", "data_plane_lacks", "fatal_lines", "loaded_plugins",
    "ready_lacks", "told_lacks", "workers_lack",
]  # fmt: skip

ABSENT = "-"
"""The version of a plugin that must not be there any more."""
_CLOCK_SLACK = 2.0
_STAMP = re.compile(r"\d{4}/\d\d/\d\d [\d:]+ \[\w+\] [\d#]+: (\*\d+ )?")
"""How nginx begins a message: what follows on lines without it belongs to the message."""
_FATAL = (
    "init_by_lua error",
    "[emerg]",
    "error loading plugin schemas",
    "plugin is in use but not enabled",
    "plugin is enabled but not installed",
)


def loaded_plugins(info: object) -> dict[str, str] | None:
    """Plugins and versions of `GET /` of the Admin API; a version is empty where Kong tells none (2.x)."""
    plugins = info.get("plugins") if isinstance(info, dict) else None
    available = plugins.get("available_on_server") if isinstance(plugins, dict) else None
    if not isinstance(available, dict):
        return None
    found = {}
    for name, told in available.items():
        version = told.get("version") if isinstance(told, dict) else None
        found[str(name)] = version if isinstance(version, str) else ""
    return found


def admin_lacks(
    info: object, proof: Iterable[tuple[str, str]], workers_before: frozenset[int], *, reloaded: bool = True
) -> str:
    """Whether `GET /` proves the plugins of `proof` in new workers.

    `workers_before`: the pids of before the reload; empty where there was no gateway. `reloaded` False asks
    for the versions alone.
    """
    available = loaded_plugins(info)
    if available is None:
        return f"the Admin API answers without available_on_server: {_short(info)}"
    wrong = []
    for name, version in proof:
        told = available.get(name)
        if version == ABSENT:
            if told is not None:
                wrong.append(f"{name} {told}".strip() + " is still loaded")
        elif told is None:
            wrong.append(f"{name} is not loaded")
        elif version and told and told != version:
            wrong.append(f"it answers {name} {told}")
    pids = info.get("pids") if isinstance(info, dict) else None
    workers = pids.get("workers") if isinstance(pids, dict) else None
    if reloaded:
        wrong += _old_workers(workers, workers_before)
    return "; ".join(wrong)


def _old_workers(workers: object, before: frozenset[int]) -> list[str]:
    if not isinstance(workers, list) or not workers:
        return ["it tells no workers"]
    old = [pid for pid in workers if pid in before]
    if old:
        return [f"the workers {', '.join(map(str, old))} are those of before the reload"]
    return []


def told_lacks(loaded: Mapping[str, LoadedPlugin] | None, proof: Iterable[tuple[str, str]]) -> str:
    """Whether the probe plugin of a data plane tells of the plugins and versions of `proof`."""
    if loaded is None:
        return "the probe plugin does not answer on its Status API"
    wrong = []
    for name, version in proof:
        told = loaded.get(name)
        if version == ABSENT:
            if told is not None:
                wrong.append(f"{name} is still loaded")
        elif told is None:
            wrong.append(f"{name} is not loaded")
        elif version and told.version and cleaned_version(told.version) != version:
            wrong.append(f"it has loaded {name} {told.version}")
    return "; ".join(wrong)


def workers_lack(master: Process | None, workers: Sequence[Process], activated: int) -> str:
    """Whether all workers on the node were started after the files were activated (ticks since boot)."""
    if master is None:
        return "the gateway does not run"
    if not workers:
        return "the gateway has no workers"
    old = [str(worker.pid) for worker in workers if worker.started < activated]
    return f"the workers {', '.join(old)} are older than the new files" if old else ""


def ready_lacks(status: int, text: str) -> str:
    """Whether `GET /status/ready` says ready; Kong before 3.3 has no such page.

    A gateway for which nothing is configured yet never says ready, and has nothing to be ready for.
    """
    if status in (200, 404) or "empty configuration present" in text:
        return ""
    return f"/status/ready answers {status}: {_short(text)}"


def data_plane_lacks(
    entries: Iterable[Mapping[str, object]], *, node_id: str | None, hostname: str | None, since: float
) -> str:
    """Whether the control plane has seen this data plane since then, and sends it its configuration.

    `since` is a time by the control plane's clock. Dead data planes stay listed for two weeks: what counts is
    the id, or the hostname with the latest `last_seen` where the id is not known.
    """
    if node_id is not None:
        own = [entry for entry in entries if entry.get("id") == node_id]
    else:
        own = [entry for entry in entries if entry.get("hostname") == hostname]
    if not own:
        return f"the control plane does not know the data plane {node_id or hostname}"
    entry = max(own, key=lambda each: _number(each.get("last_seen")))
    seen = _number(entry.get("last_seen"))
    if seen < since - _CLOCK_SLACK:
        return f"the control plane has not seen it for {since - seen:.0f} s"
    status = entry.get("sync_status")
    return "" if status == "normal" else f"its sync_status is {_short(status)}"


def answer_lacks(expect: Expect, status: int, headers: Mapping[str, str]) -> str:
    """Whether a real request through the proxy was answered as cluster.toml expects. Names are lower-case."""
    if expect.status is not None and status != expect.status:
        return f"{expect.path} is answered with {status}, not {expect.status}"
    for name, value in expect.headers:
        told = headers.get(name.lower())
        if told is None:
            return f"{expect.path} is answered without the header {name}"
        if value is not None and told != value:
            return f"{expect.path} is answered with {name}: {_short(told)}, not {value}"
    return ""


def fatal_lines(log: Iterable[str]) -> tuple[str, ...]:
    """The last error of a gateway's log after which waiting is of no use: its message, without the trace."""
    found: list[str] = []
    inside = False
    for line in log:
        stamp = _STAMP.match(line)
        if not inside and any(word in line for word in _FATAL):
            inside, found = True, [line[stamp.end() if stamp is not None else 0 :].strip()]
        elif stamp is not None or (inside and line.startswith(("stack traceback", "\tno f"))):
            inside = False
        elif inside and line.strip():
            found.append(line.strip())
    return tuple(found)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 160 else f"{text[:160]}…"
