"""How the same is done without Pumice: a shell loop of scp and luarocks, and an Ansible playbook."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.nodes import Sshd

LOOP, ANSIBLE, ANSIBLE_50 = "loop", "ansible", "ansible -f 50"
ANSIBLE_PACKAGE = "ansible-core"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_LOOP = """\
#!/bin/sh
# usage: loop SSH-CONFIG ROCK NODE...
set -eu
config=$1 rock=$2
shift 2
for node in "$@"; do
    scp -q -F "$config" "$rock" "$node:$(dirname "$config")/rivals/$node/upload/"
    ssh -F "$config" "$node" 'luarocks install "$HOME"/upload/*.rock && "$KONG" reload -c "$HOME/kong.conf"'
done
"""
# No gathering of facts, no step that the loop does not do: what is fastest for Ansible.
_PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: the rock on the node
      copy: {{src: "{rock}", dest: "{{{{ folder }}}}/upload/"}}
    - name: installed
      command: luarocks install {{{{ folder }}}}/upload/{name}
    - name: reloaded
      command: "{kong} reload -c {{{{ folder }}}}/kong.conf"
"""


@dataclass(frozen=True)
class Rivals:
    """The rivals' nodes and their command lines; every node has LuaRocks and a tree of its own."""

    folder: Path
    nodes: Sequence[Sshd]
    rock: Path
    kong: str
    """The gateway's program on a node."""

    def prepare(self, python: Path) -> None:
        """Write the loop, the playbook and the inventory; the nodes run already."""
        (self.folder / "loop.sh").write_text(_LOOP, encoding="utf-8")
        book = _PLAYBOOK.format(rock=self.rock, name=self.rock.name, kong=self.kong)
        (self.folder / "playbook.yml").write_text(book, encoding="utf-8")
        lines = [f"{node.name} folder={home(self.folder, node.name)}\n" for node in self.nodes]
        lines += [
            "[all:vars]\n",
            f"ansible_python_interpreter={os.path.realpath(python)}\n",
            f"ansible_ssh_common_args=-F {self.config}\n",
        ]
        (self.folder / "hosts").write_text("".join(lines), encoding="utf-8")

    @property
    def config(self) -> Path:
        """The ssh configuration that names the nodes."""
        return self.folder / "ssh_config"

    def command(self, side: str, ansible: Path | None) -> list[str]:
        """The rival's command line."""
        if side == LOOP:
            return ["/bin/sh", str(self.folder / "loop.sh"), str(self.config), str(self.rock)] + [
                node.name for node in self.nodes
            ]
        assert ansible is not None
        forks = ["-f", "50"] if side == ANSIBLE_50 else []
        return [str(ansible), *forks, "-i", str(self.folder / "hosts"), str(self.folder / "playbook.yml")]


def home(folder: Path, name: str) -> Path:
    """Everything of one rival's node."""
    return folder / "rivals" / name


def node_environment(folder: Path, name: str, kong: str) -> Mapping[str, str]:
    """What a session on a rival's node has: LuaRocks with a tree of its own, and the gateway."""
    here = home(folder, name)
    (here / "upload").mkdir(parents=True)
    configuration = here / "luarocks.lua"
    configuration.write_text(
        f'rocks_trees = {{ {{ name = "system", root = "{here}/usr/local" }} }}\nrocks_servers = {{}}\n',
        encoding="utf-8",
    )
    return {
        "PATH": _PATH,
        "HOME": str(here),
        "LUAROCKS_CONFIG": str(configuration),
        "KONG": kong,
        "LANG": "C.UTF-8",
    }


def ansible_playbook(cache: Path) -> Path | None:
    """The program `ansible-playbook`, installed in the bench's cache; None where that fails."""
    place = cache / "ansible"
    program = place / "bin/ansible-playbook"
    if not program.exists():
        venv.create(place, with_pip=True, clear=True)
        done = subprocess.run(
            [str(place / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", ANSIBLE_PACKAGE],
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0 or not program.exists():
            print(f"bench: {shlex.quote(str(place))}: no {ANSIBLE_PACKAGE}", file=sys.stderr)
            return None
    return program
