"""One plugin on 50 nodes behind sshd, against a shell loop and Ansible; and on 200, against 50."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import workload
from bench.cases import PUMICE, Case, Setting, Step
from bench.gateways import ADMIN, PROXY, STATUS, NodeGateway, restore, run_all, write_program
from bench.nodes import (
    PORT,
    Sshd,
    loopback_addresses,
    make_key,
    sshd_program,
    start_all,
    write_known_hosts,
    write_ssh_config,
)
from bench.rivals import ANSIBLE, ANSIBLE_50, LOOP, Rivals, ansible_playbook, home, node_environment

_NODES, _MANY = 50, 200
_GATES, _NOTHING, _CANARY = (
    f"ship to {_NODES} nodes, {what}" for what in ("gates only", "nothing to do", "canary, batches, gates")
)
_LARGE = f"ship twice to {_MANY} nodes"
_MOST_MEMORY = 300.0
_TREE = "opt/pumice"
_ROUGHLY_FLAT = 1.15
_PLUGIN = "request-stamp"


@dataclass(frozen=True)
class _Nodes:
    """Running nodes that a command line reaches through a cluster.toml."""

    folder: Path
    gateways: Sequence[NodeGateway]
    servers: Sequence[Sshd]
    identity: Path

    def stop(self) -> None:
        for gateway in self.gateways:
            gateway.stop()
        for server in self.servers:
            server.stop()

    def inventory(self, name: str, count: int, settings: str) -> Path:
        """A cluster.toml for the first `count` nodes."""
        lines = [f'[cluster]\nname = "bench"\n{settings}']
        for server, gateway in zip(self.servers[:count], self.gateways, strict=False):
            lines.append(
                f'[[node]]\nname = "{server.name}"\naddress = "ssh://{server.address}:{PORT}"\n'
                f'identity = "{self.identity}"\nknown_hosts = "{self.folder}/known_hosts"\nrole = "dbless"\n'
                f'admin = "http://{server.address}:{ADMIN}"\nstatus = "http://{server.address}:{STATUS}"\n'
                f'proxy = "http://{server.address}:{PROXY}"\nkong = "{gateway.kong}"\n'
                f'conf = "{gateway.conf}"\nprefix = "{gateway.folder}/prefix"\n'
                f'tree = "{gateway.folder}/{_TREE}"\n'
            )
        path = self.folder / f"{name}.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path


def _nodes(folder: Path, count: int, kong: str, environment: Callable[[str], dict[str, str]]) -> _Nodes:
    """So many nodes, with sshd and a gateway each, all running until they are stopped."""
    folder.mkdir(parents=True)
    identity = make_key(folder / "id_ed25519")
    servers, gateways = [], []
    for number, address in enumerate(loopback_addresses(count), 1):
        name = f"node-{number:03}"
        here = home(folder, name)
        servers.append(Sshd(name, address, folder / "sshd" / name, environment(name)))
        here.mkdir(parents=True, exist_ok=True)
        gateways.append(NodeGateway(here, address, kong))
        gateways[-1].configure()
    nodes = _Nodes(folder, gateways, servers, identity)
    try:
        start_all(servers, Path(f"{identity}.pub"))
        run_all(gateways, "start")
    except BaseException:  # an interrupt, too, leaves nothing running
        nodes.stop()
        raise
    write_known_hosts(folder / "known_hosts", servers)
    return nodes


def _sources(setting: Setting, folder: Path) -> tuple[Path, Path]:
    """The example plugin, and the same one version later."""
    first = workload.write_plugin(folder / "first", setting.example)
    second = workload.write_plugin(folder / "second", setting.example)
    spec = next(second.glob("*.rockspec"))
    later = second / spec.name.replace("0.1.0", "0.2.0")
    later.write_text(spec.read_text(encoding="utf-8").replace("0.1.0", "0.2.0"), encoding="utf-8")
    spec.unlink()
    handler = second / f"kong/plugins/{_PLUGIN}/handler.lua"
    handler.write_text(handler.read_text(encoding="utf-8").replace("0.1.0", "0.2.0"), encoding="utf-8")
    return first, second


def _rock(setting: Setting, source: Path) -> Path:
    """The rock that the rivals copy; Pumice packs it, as LuaRocks 3.8 cannot without a source."""
    tree = source.parent / "packed"
    program = setting.program(PUMICE, tree)
    for words in ([*program, "make"], [*program, "pack", f"kong-plugin-{_PLUGIN}"]):
        subprocess.run(words, cwd=source, env=dict(setting.environment), check=True, capture_output=True)
    return next(source.glob("*.rock"))


def fifty_nodes(setting: Setting) -> Case:
    """First install with gates only, the same again, then an upgrade with a canary and batches."""
    folder = setting.folder / "cluster"
    kong = write_program(folder / "gateway")
    first, second = _sources(setting, folder)
    ours = _nodes(folder / "ours", _NODES, kong, lambda name: _plain(folder / "ours", name))
    gates = ours.inventory("gates", _NODES, 'canary = 0\nbatch = "100%"\n')
    canary = ours.inventory("canary", _NODES, "")

    def ship(row: str, source: Path, to: Path) -> Step:
        command = [*setting.pumice, "ship", str(source), "--to", str(to)]
        last = (
            ours.gateways[-1].folder / _TREE / "current/share/lua/5.1/kong/plugins" / _PLUGIN / "handler.lua"
        )
        return Step(row, [command], folder, makes=last)

    sides = {
        PUMICE: [ship(_GATES, first, gates), ship(_NOTHING, first, gates), ship(_CANARY, second, canary)]
    }
    theirs = _nodes(
        folder / "theirs", _NODES, kong, lambda name: dict(node_environment(folder / "theirs", name, kong))
    )
    sides.update(_rivals(setting, theirs, kong, _rock(setting, first)))

    def reset(side: str) -> None:
        if side == PUMICE:
            restore(ours.gateways, _TREE)
            return
        for number in range(1, _NODES + 1):
            shutil.rmtree(home(theirs.folder, f"node-{number:03}") / "usr", ignore_errors=True)

    def stop() -> None:
        ours.stop()
        theirs.stop()

    targets = {_GATES: 0.12, _NOTHING: 0.1, _CANARY: 0.3}
    return Case("50 nodes", sides, targets, reset, stop, runs=2, against="")


def _plain(folder: Path, name: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(home(folder, name))}


def _rivals(setting: Setting, nodes: _Nodes, kong: str, rock: Path) -> dict[str, list[Step]]:
    """Their nodes have LuaRocks, and name the plugin to the gateway already."""
    folder = nodes.folder
    for gateway in nodes.gateways:
        gateway.configure(f"bundled,{_PLUGIN}", gateway.folder / "usr/local")
    rivals = Rivals(folder, nodes.servers, rock, kong)
    write_ssh_config(rivals.config, nodes.servers, nodes.identity, folder / "known_hosts")
    rivals.prepare(Path(sys.executable))
    ansible = ansible_playbook(setting.cache)
    last = nodes.gateways[-1].folder / "usr/local/share/lua/5.1/kong/plugins" / _PLUGIN / "handler.lua"
    return {
        side: [Step(_GATES, [rivals.command(side, ansible)], folder, makes=last, also=(_NOTHING, _CANARY))]
        for side in ([LOOP, ANSIBLE, ANSIBLE_50] if ansible else [LOOP])
    }


def many_nodes(setting: Setting) -> Case:
    """Two versions, one after the other, with gates only: the same per node on 200 as on 50."""
    folder = setting.folder / "many-nodes"
    first, second = _sources(setting, folder)
    nodes = _nodes(
        folder / "nodes",
        _MANY,
        write_program(folder / "gateway"),
        lambda name: _plain(folder / "nodes", name),
    )
    few = f"{_NODES} nodes"
    last = nodes.gateways[_NODES - 1].folder / _TREE / "current"

    def steps(count: int) -> list[Step]:
        to = nodes.inventory(str(count), count, 'canary = 0\nbatch = "100%"\n')
        commands = [[*setting.pumice, "ship", str(each), "--to", str(to)] for each in (first, second)]
        return [Step(_LARGE, commands, folder, makes=last)]

    sides = {PUMICE: steps(_MANY), few: steps(_NODES)}
    return Case(
        _LARGE,
        sides,
        {_LARGE: _MANY / _NODES * _ROUGHLY_FLAT},
        lambda _: restore(nodes.gateways, _TREE),
        nodes.stop,
        runs=2,
        against=few,
        most_memory=_MOST_MEMORY,
    )


def cluster_cases() -> dict[str, tuple[Callable[[Setting], Case], tuple[str, ...]]]:
    """Every case with its rows; none without sshd and nginx."""
    if not (Path(sshd_program()).exists() and shutil.which("nginx", path="/usr/sbin:/usr/bin")):
        return {}
    return {"50 nodes": (fifty_nodes, (_GATES, _NOTHING, _CANARY)), _LARGE: (many_nodes, (_LARGE,))}
