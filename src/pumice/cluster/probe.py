"""The probe: everything that a rollout has to know of a node, in one run that changes nothing there.

What comes back is somebody else's word: whatever a node prints, there are facts, with what is wrong in their
`problems`. Only a connection that fails raises.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pumice.cluster.blobs import tar_members
from pumice.cluster.facts import FileState, NodeFacts, Pending, PlainTree, Process
from pumice.cluster.kong_conf import read_settings, role_of
from pumice.cluster.luarocks_tree import ROCKS, plain_state
from pumice.cluster.node_script import enable_file_of, node_script, records_of
from pumice.cluster.tree_record import parse_record, state_of
from pumice.errors import TreeError

if TYPE_CHECKING:
    from pumice.cluster.connection import Connection
    from pumice.cluster.inventory import Node

__all__ = ["probe", "probe_workers", "read_facts"]

_MARK = b"@@pumice "
_SHOWN = ("KONG_PLUGINS", "KONG_LUA_PACKAGE_PATH", "KONG_LUA_PACKAGE_CPATH", "KONG_ROLE", "KONG_DATABASE")
_LARGEST = 1e12
_HEX = frozenset("0123456789abcdef")


def probe(connection: Connection, *, timeout: float = 60.0) -> NodeFacts:
    """What the node is and has. Raises what `Connection.run` raises, nothing else."""
    node = connection.node
    script = node_script(
        "probe",
        given={
            "TREE": node.tree,
            "LAYOUT": node.layout,
            "RECORDS": records_of(node),
            "CONF": node.conf,
            "ENABLE": enable_file_of(node),
            "PREFIX": node.prefix,
            "KONG": node.kong,
        },
    )
    answer = connection.run(script, timeout=timeout)
    return read_facts(node, answer.output)


def probe_workers(
    connection: Connection, *, timeout: float = 30.0
) -> tuple[Process | None, tuple[Process, ...], int]:
    """The gateway's master, its workers, and the node's uptime in ticks: for a gate that has no Admin API."""
    node = connection.node
    answer = connection.run(node_script("workers", given={"PREFIX": node.prefix}), timeout=timeout)
    said = _Said(answer.output)
    return said.master(), said.workers(), said.ticks()


def read_facts(node: Node, output: bytes) -> NodeFacts:
    """The facts in what the probe printed; never raises."""
    said = _Said(output)
    if not said.values:
        return NodeFacts(node.name, (_nothing(output),), broken=True)
    problems: list[str] = []
    broken = False
    files = said.files(problems)
    system, _, arch = said.first("system").partition(" ")
    if not arch:
        problems.append("the node does not say what machine it is")
        broken = True
    for path in said.values.get("unreadable", ()):
        problems.append(f"{path} cannot be read by this user")
        broken = True
    if "kong" not in said.values:
        problems.append(f"there is no program {node.kong} on the node")
    elif not said.first("kong"):
        problems.append(f"{node.kong} does not tell its version")
    prepared = read_settings("\n".join(said.values.get("prepared", ())))
    conf = _file(files, node.conf)
    configured = read_settings((conf.data or b"").decode("utf-8", "surrogateescape"))
    environment = said.environment()
    settings = prepared or configured
    writable = said.writable(node.tree)
    if not writable:
        problems.append(f"{node.tree} cannot be written by this user, or lies on a read-only file system")
        broken = True
    facts = NodeFacts(
        node.name,
        time=said.number("time"),
        uptime=said.ticks(),
        system=system,
        arch=arch,
        libc=said.libc(),
        lua=said.first("lua") or None,
        node_id=said.first("node-id")[:64] or None,
        hostname=said.first("hostname")[:255] or None,
        user=int(said.number("uid")),
        kong_version=_version(said.first("kong")),
        role=node.role or role_of({**settings, **_own(environment)}),
        settings=settings,
        conf_newer="conf-newer" in said.values,
        conf=conf,
        enable_file=_file(files, enable_file_of(node)) if enable_file_of(node) else None,
        environment=environment,
        master=said.master(),
        workers=said.workers(),
        writable=writable,
        free=said.free(),
        rollouts=tuple(said.values.get("rollout", ())),
        pending=_pending(files.get(f"{node.tree}/.pumice/cluster/journal"), problems),
    )
    if node.layout == "luarocks":
        facts = facts.replace(**_plain(node, files))
    else:
        facts, sound = _generations(node, facts, said, files, problems)
        broken = broken or not sound
    return facts.replace(problems=tuple(problems), broken=broken)


def _generations(
    node: Node, facts: NodeFacts, said: _Said, files: dict[str, bytes], problems: list[str]
) -> tuple[NodeFacts, bool]:
    numbers = tuple(sorted(int(each) for each in said.values.get("generation", ()) if _is_number(each)))
    facts = facts.replace(
        generations=numbers,
        keys=frozenset(each for each in said.values.get("key", ()) if _is_key(each)),
        state=state_of({}),
    )
    if "current" not in said.values:
        return facts, True
    folder, _, number = said.first("current").rpartition("/")
    if folder != "generations" or not _is_number(number):
        problems.append(f"{node.tree}/current is no link to a generation")
        return facts, False
    data = files.get(f"{node.tree}/generations/{number}/generation.json")
    facts = facts.replace(generation=int(number))
    if data is None:
        problems.append(f"generation {number} of {node.tree} has no record")
        return facts, False
    try:
        record = parse_record(data, int(number))
    except TreeError as error:
        problems.append(f"generation {number} of {node.tree}: {error.message}")
        return facts, False
    return facts.replace(record=record, state=state_of(record.files)), True


def _plain(node: Node, files: dict[str, bytes]) -> dict[str, object]:
    rocks = f"{node.tree}/{ROCKS}/"
    digest = plain_state({path[len(rocks) :]: data for path, data in files.items() if path.startswith(rocks)})
    return {"plain": PlainTree(files.get(f"{rocks}manifest"), digest), "state": digest}


def _pending(data: bytes | None, problems: list[str]) -> Pending | None:
    if data is None:
        return None
    said: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        key, _, value = line.partition(" ")
        said[key] = value
    if "phase" not in said:
        return None  # killed while it was written: nothing had been changed
    problems.append("a rollout that did not end has left its journal")

    def number(key: str) -> int:
        return int(said[key]) if _is_number(said.get(key, "")) else 0

    return Pending(said.get("rollout", "?"), said.get("phase", "?"), number("before"), number("after"))


def _file(files: dict[str, bytes], path: str) -> FileState:
    data = files.get(path)
    if data is None:
        return FileState(path, None, None)
    return FileState(path, hashlib.sha256(data).hexdigest(), data)


def _own(environment: dict[str, str | None]) -> dict[str, str]:
    return {name[len("KONG_") :].lower(): value for name, value in environment.items() if value is not None}


def _version(text: str) -> str | None:
    """`3.9.1` of `3.9.1`, `Kong 3.9.1` or `Kong Enterprise 3.4.0.0`."""
    for word in reversed(text.split()):
        if word[:1].isdigit():
            return word[:40]
    return None


def _nothing(output: bytes) -> str:
    shown = output[:200].decode("utf-8", "replace").strip()
    return (
        f"the node did not run the probe; it said: {shown!r}" if shown else "the node did not run the probe"
    )


def _is_number(text: str, digits: int = 9) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits


def _is_key(text: str) -> bool:
    return len(text.removesuffix("-x")) == 64 and _HEX.issuperset(text.removesuffix("-x"))


class _Said:
    """The lines of a probe by their keys, and the tar after them."""

    def __init__(self, output: bytes) -> None:
        self.values: dict[str, list[str]] = {}
        self._tar = b""
        at = 0
        while at < len(output):
            end = output.find(b"\n", at)
            end = len(output) if end < 0 else end
            line = output[at:end]
            at = end + 1
            if not line.startswith(_MARK):
                continue
            key, _, value = line[len(_MARK) :].decode("utf-8", "surrogateescape").partition(" ")
            self.values.setdefault(key, []).append(value)
            if key == "files":
                self._tar = output[at:]
                break

    def first(self, key: str) -> str:
        return self.values.get(key, [""])[0]

    def number(self, key: str) -> float:
        try:
            value = float(self.first(key)[:30])
        except ValueError:
            return 0.0
        return value if 0 <= value < _LARGEST else 0.0

    def ticks(self) -> int:
        return int(self.number("uptime") * 100)

    def master(self) -> Process | None:
        return next((each for each in map(_process, self.values.get("master", ())) if each), None)

    def workers(self) -> tuple[Process, ...]:
        return tuple(each for each in map(_process, self.values.get("worker", ())) if each)

    def environment(self) -> dict[str, str | None]:
        found: dict[str, str | None] = dict.fromkeys(self.values.get("envname", ()))
        for line in self.values.get("env", ()):
            name, _, value = line.partition("=")
            found[name] = value if name in _SHOWN else None
        return found

    def libc(self) -> str | None:
        name = self.first("libc") or self.first("has")
        return name if name in ("glibc", "musl") else None

    def writable(self, tree: str) -> bool:
        if tree not in self.values.get("writable", ()):
            return False
        # An `sh` may tell root that everything can be written; the mount says whether that is so.
        found, longest = "", -1
        for line in self.values.get("mount", ()):
            point, _, options = line.rpartition(" ")
            if len(point) >= longest:
                found, longest = options, len(point)
        return "ro" not in found.split(",")

    def free(self) -> int | None:
        for line in reversed(self.values.get("df", ())):
            words = line.split()
            for at, word in enumerate(words):
                if word.endswith("%") and at >= 1 and _is_number(words[at - 1], 18):
                    return int(words[at - 1]) * 1024
        return None

    def files(self, problems: list[str]) -> dict[str, bytes]:
        """The files of the tar by their absolute paths."""
        count = self.first("files")
        if not _is_number(count):
            problems.append("the probe ended early")
            return {}
        found = tar_members(self._tar)
        if len(found) < int(count):
            problems.append("not all files that the probe looked at have come")
        return {"/" + name.removeprefix("./").lstrip("/"): data for name, data in found.items()}


def _process(line: str) -> Process | None:
    """A process of its line in /proc/PID/stat, if it is an nginx."""
    pid, _, rest = line.partition(" (")
    name, _, fields = rest.rpartition(") ")
    words = fields.split()
    if not _is_number(pid) or not name.startswith("nginx") or len(words) < 20:
        return None
    if not _is_number(words[19], 18):
        return None
    return Process(int(pid), int(words[19]))
