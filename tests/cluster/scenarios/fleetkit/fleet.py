"""`Fleet`: nodes with sshd and a gateway each, their cluster.toml, and what can be asked of them."""

from __future__ import annotations

import getpass
import http.client
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.nodes import PORT, Sshd, loopback_addresses, make_key, make_keys

from fleetkit.gateway import ADMIN, PROXY, STATUS, Gateway, wait_for_end
from fleetkit.plugins import NAME
from fleetkit.proxy import Proxy
from fleetkit.roots import CHROOT, COREUTILS, Root

TRADITIONAL, CONTROL_PLANE, DATA_PLANE, DBLESS = "traditional", "control_plane", "data_plane", "dbless"
PROXY_PORT = PORT + 1


@dataclass
class FleetNode:
    """One node: where it is, what runs there, and which faults it has."""

    name: str
    address: str
    root: Root
    sshd: Sshd
    gateway: Gateway
    role: str
    proxy: Proxy | None = None
    toml: dict[str, Any] = field(default_factory=dict)
    """More keys of its table in cluster.toml, over the usual ones."""
    tree: str = "/opt/pumice"
    """As the node spells it, below its root."""
    first_conf: str = ""
    """The text of kong.conf before anything was rolled out."""

    # --- files -------------------------------------------------------------------------------------------

    def path(self, path: str) -> Path:
        """A file of the node, as this machine reaches it; through its mounts, where it has some."""
        if self.sshd.mounts and self.sshd.process is not None:
            return Path(f"/proc/{self.sshd.process.pid}/root{self.root.outside(path)}")
        return self.root.outside(path)

    @property
    def generation(self) -> int:
        """What `current` names; 0: nothing."""
        try:
            return int(os.path.basename(os.readlink(self.path(f"{self.tree}/current"))))
        except OSError:
            return 0

    def files(self) -> dict[str, bytes]:
        """All regular files of the current generation, by path below it."""
        if not self.generation:
            return {}
        place = self.path(f"{self.tree}/generations/{self.generation}")
        return {
            str(file.relative_to(place)): file.read_bytes()
            for file in sorted(place.rglob("*"))
            if file.is_file() and file.name != "generation.json"
        }

    def plugin_files(self, name: str = NAME) -> dict[str, str]:
        """The plugin's modules in the current generation, by file name."""
        folder = f"share/lua/5.1/kong/plugins/{name}/"
        found = {path: data.decode() for path, data in self.files().items() if path.startswith(folder)}
        return {path.removeprefix(folder): text for path, text in found.items()}

    def version_on_disk(self, name: str = NAME) -> str | None:
        """The VERSION in the handler of the current generation."""
        handler = self.plugin_files(name).get("handler.lua")
        return handler.split('VERSION = "', 1)[1].split('"', 1)[0] if handler else None

    @property
    def conf(self) -> str:
        """The text of kong.conf."""
        return self.path("/etc/kong/kong.conf").read_text(encoding="utf-8")

    def setting(self, name: str) -> str:
        """What kong.conf says of one property."""
        for line in self.conf.splitlines():
            key, mark, value = line.partition("=")
            if mark and key.strip() == name:
                return value.partition("#")[0].strip()
        return ""

    # --- answers -----------------------------------------------------------------------------------------

    def get(self, port: int, path: str = "/", **headers: str) -> tuple[int, dict[str, str], Any]:
        """Status, headers (lower case) and JSON or text of an answer of the node's gateway."""
        return self.ask("GET", port, path, None, **headers)

    def ask(
        self, method: str, port: int, path: str, body: object, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """One request to one of the gateway's ports."""
        connection = http.client.HTTPConnection(self.address, port, timeout=10)
        try:
            data = None if body is None else json.dumps(body)
            given = {"Content-Type": "application/json", **headers} if data else headers
            connection.request(method, path, data, given)
            answer = connection.getresponse()
            text = answer.read().decode()
            found = {name.lower(): value for name, value in answer.getheaders()}
            is_json = found.get("content-type", "").startswith("application/json")
            return answer.status, found, json.loads(text) if is_json else text
        finally:
            connection.close()

    def admin(self, path: str = "/", *, method: str = "GET", body: object = None) -> Any:
        """What the Admin API says; fails the test unless it is a 2xx."""
        status, _, answer = self.ask(method, ADMIN, path, body)
        assert 200 <= status < 300, (self.name, method, path, status, answer)
        return answer

    def loaded_version(self, name: str = NAME) -> str | None:
        """The version that the running gateway has loaded, as its Admin API says."""
        found = self.admin("/")["plugins"]["available_on_server"].get(name)
        return found["version"] if isinstance(found, dict) else None

    def header(self, name: str, path: str = "/mark") -> str | None:
        """A header of an answer through the proxy."""
        return self.get(PROXY, path)[1].get(name.lower())

    def workers(self) -> set[int]:
        """The pids of the gateway's workers."""
        return set(self.admin("/")["pids"]["workers"])

    # --- faults ------------------------------------------------------------------------------------------

    def fail_at_load(self, text: str = "no table") -> None:
        """Plugins made with `fails_where_told` do not load here any more."""
        self.path("/usr/local/kong/fault").write_text(text, encoding="utf-8")

    def load_again(self) -> None:
        """The fault is mended."""
        self.path("/usr/local/kong/fault").unlink()

    def uname(self, machine: str) -> None:
        """`uname` says another machine from now on."""
        self.root.replace(
            "uname",
            f'case "$*" in *m*|*p*|*i*) echo {machine};; *r*) echo 6.1.0;; *n*) echo {self.name};; *) echo Linux;; esac',
        )


@dataclass
class Fleet:
    """A cluster: starts its nodes together, writes its cluster.toml, and stops all of it."""

    folder: Path
    nodes: list[FleetNode] = field(default_factory=list)
    cluster: dict[str, Any] = field(default_factory=dict)
    """Keys of `[cluster]`, over the usual ones."""
    plugins: list[dict[str, str]] = field(default_factory=list)
    """`[[plugin]]` tables."""
    _roots: list[Path] = field(default_factory=list)
    """Directories outside `folder`, which go with the fleet."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.identity = make_key(self.folder / "id_ed25519")
        self.known_hosts = self.folder / "known_hosts"
        self.toml = self.folder / "cluster.toml"

    def __getitem__(self, which: int | str) -> FleetNode:
        return self.nodes[which] if isinstance(which, int) else next(n for n in self.nodes if n.name == which)

    def __iter__(self) -> Iterator[FleetNode]:
        return iter(self.nodes)

    def start(
        self,
        roles: Sequence[str],
        *,
        kinds: Mapping[int, str] | None = None,
        proxied: bool = False,
        lag: Mapping[int, float] | None = None,
        environment: Mapping[int, Mapping[str, str]] | None = None,
        sessions: Mapping[int, Mapping[str, str]] | None = None,
        mounts: Mapping[int, Sequence[str]] | None = None,
        gateways: bool = True,
        keys: Mapping[str, Any] | None = None,
    ) -> Fleet:
        """Nodes with these roles, all running; what differs from the usual is given by a node's number.

        `mounts` are shell commands (root only) in which `ROOT` stands for the node's root. `environment` is
        that of the gateway's first start, `sessions` more variables of the ssh sessions. `keys` are for every node's table in cluster.toml.
        """
        for number, (role, address) in enumerate(zip(roles, loopback_addresses(len(roles)), strict=True)):
            root = self._root(number, (kinds or {}).get(number, COREUTILS))
            self.nodes.append(self._make(f"node-{number + 1}", role, address, root))
            self.nodes[-1].toml.update(keys or {})
        make_keys([node.sshd.folder / "host_key" for node in self.nodes])
        control = next((node for node in self.nodes if node.role == CONTROL_PLANE), None)
        for number, node in enumerate(self.nodes):
            node.gateway.install(control.address if control else None, lag=(lag or {}).get(number, 0.0))
            more = [
                each.replace("ROOT", shlex.quote(str(node.root.here)))
                for each in (mounts or {}).get(number, ())
            ]
            node.sshd.environment = {**node.sshd.environment, **(sessions or {}).get(number, {})}
            node.sshd.mounts = [*node.root.mounts, *more]
            node.sshd.start(Path(f"{self.identity}.pub"))
        for node in self.nodes:
            node.sshd.wait()
        if gateways:
            self.start_gateways(environment or {})
        for node in self.nodes if proxied else ():
            node.proxy = Proxy(node.address, PROXY_PORT, (node.address, PORT))
            node.proxy.start()
        for node in self.nodes:
            node.first_conf = node.conf
        self.write()
        return self

    def start_gateways(self, environment: Mapping[int, Mapping[str, str]]) -> None:
        """`kong start` on every node at once; data planes once their control plane is there."""
        for late in (False, True):
            begun = [
                (node, node.gateway.begin_start(environment.get(number, {})))
                for number, node in enumerate(self.nodes)
                if (node.role == DATA_PLANE) is late
            ]
            for node, process in begun:
                said, _ = process.communicate(timeout=60)
                assert process.returncode == 0, f"{node.name}: {said}"

    def write(self, nodes: Sequence[FleetNode] | None = None) -> Path:
        """cluster.toml with these nodes (all of them unless given), and known_hosts."""
        chosen = self.nodes if nodes is None else nodes
        lines = []
        for node in self.nodes:
            lines += [f"[{node.address}]:{port} {node.sshd.host_key}\n" for port in (PORT, PROXY_PORT)]
        self.known_hosts.write_text("".join(lines), encoding="utf-8")
        tables = [("[cluster]", {"name": "test", "timeout": 12, **self.cluster})]
        tables += [("[[node]]", self._table(node)) for node in chosen]
        tables += [("[[plugin]]", dict(plugin)) for plugin in self.plugins]
        self.toml.write_text(
            "\n".join(
                f"{head}\n" + "".join(f"{key} = {toml(value)}\n" for key, value in table.items())
                for head, table in tables
            ),
            encoding="utf-8",
        )
        return self.toml

    def stop(self) -> None:
        """Stop every gateway and every sshd, and remove what lies outside the test's folder."""
        for node in self.nodes:
            if node.proxy is not None:
                node.proxy.stop()
        ended = [node.gateway.begin_stop() for node in self.nodes]
        for pid in filter(None, ended):
            wait_for_end(pid)
        for node in self.nodes:
            node.sshd.stop()
        for folder in self._roots:
            shutil.rmtree(folder, ignore_errors=True)

    def _root(self, number: int, kind: str) -> Root:
        place = self.folder / f"node-{number + 1}"
        if kind == CHROOT:
            # sshd wants every directory above the root to be root's alone, which /tmp is not
            place = Path(tempfile.mkdtemp(prefix="pumice-test-", dir="/var/lib"))
            place.chmod(0o755)
            self._roots.append(place)
        root = Root(place, kind)
        root.make()
        return root

    def _make(self, name: str, role: str, address: str, root: Root) -> FleetNode:
        environment = {"PATH": root.search_path, "HOME": root.seen("/home"), "TMPDIR": root.seen("/tmp")}
        folder = self.folder / "sshd" / name
        folder.mkdir(parents=True)
        if root.chrooted:
            options = [f"ChrootDirectory {root.here}"]
        else:  # the node's own sh, whatever shell the tests' user has
            shell = shlex.quote(f"{root.tools}/sh")
            options = [f'ForceCommand cd "$HOME" && exec {shell} -c "$SSH_ORIGINAL_COMMAND"']
        sshd = Sshd(name, address, folder, environment, options)
        return FleetNode(
            name, address, root, sshd, Gateway(name, address, role, root, sshd, self.folder), role
        )

    def _table(self, node: FleetNode) -> dict[str, Any]:
        port = PROXY_PORT if node.proxy else PORT
        gateway = node.gateway
        return {
            "name": node.name,
            "address": f"ssh://{getpass.getuser()}@{node.address}:{port}",
            "identity": str(self.identity),
            "known_hosts": str(self.known_hosts),
            "role": node.role,
            "kong": gateway.kong,
            "conf": node.root.seen("/etc/kong/kong.conf"),
            "prefix": node.root.seen("/usr/local/kong"),
            "tree": node.root.seen(node.tree),
            "admin": f"http://{node.address}:{ADMIN}",
            "status": f"http://{node.address}:{STATUS}",
            "proxy": f"http://{node.address}:{PROXY}",
            **node.toml,
        }


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    return json.dumps(value)  # a basic string escapes as JSON does; numbers and booleans are the same
