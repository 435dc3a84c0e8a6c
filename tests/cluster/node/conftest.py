"""A node in a directory: a tree, a configuration and a `kong` that is a shell script; `sh` is dash or busybox."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pumice.cluster.address import Address
from pumice.cluster.change import NodeChange
from pumice.cluster.connection import Answer
from pumice.cluster.enabling import enable
from pumice.cluster.inventory import Node
from pumice.cluster.node_content import NodeContent
from pumice.cluster.payload import make_payload
from pumice.cluster.probe import probe
from pumice.cluster.tree_record import state_of
from pumice.tree.store import Blob

COREUTILS = [
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "df",
    "dirname",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "head",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "printf",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "sync",
    "tail",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "uname",
    "wc",
]
"""What a node has, besides `sh` and `tar`."""

KONG = """#!/bin/sh
# A gateway for tests: loads the handlers that `plugins` names, and says what it was asked.
echo "$@ plugins=$KONG_PLUGINS path=$KONG_LUA_PACKAGE_PATH" >>'@ROOT@/kong.log'
[ -e '@ROOT@/kong-fails' ] && read -r what <'@ROOT@/kong-fails' && case " $* " in *" $what "*)
   echo "kong: $what went wrong" >&2; exit 1;;
esac
case $1 in
version) echo 3.9.1 ;;
reload) echo 'Kong reloaded'; cp '@ROOT@/conf/kong.conf' '@ROOT@/loaded'; echo 'a line of the log' >>'@ROOT@/prefix/logs/error.log' ;;
prepare) echo "prepared = $*" >'@ROOT@/prefix/.kong_env' ;;
esac
exit 0
"""


class ShConnection:
    """Runs scripts with the `sh` of a PATH."""

    def __init__(self, node: Node, environment: dict[str, str]) -> None:
        self.node = node
        self.environment = environment

    def run(self, script: str, *, stdin=b"", timeout: float = 60.0) -> Answer:
        # Waiting for the disk, test after test, takes longer than all the rest.
        script = script.replace("DURABLE=1\n", "DURABLE=''\n")
        sent = stdin if isinstance(stdin, bytes) else b"".join(stdin)
        sh = shutil.which("sh", path=self.environment["PATH"])
        done = subprocess.run(
            [sh, "-c", script],
            input=sent,
            capture_output=True,
            env=self.environment,
            timeout=timeout,
            start_new_session=True,
        )
        return Answer(
            done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr
        )


class Blobs:
    """Contents in memory."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}

    def add(self, data: bytes, *, executable: bool = False) -> Blob:
        key = hashlib.sha256(data).hexdigest() + ("-x" if executable else "")
        self.known[key] = data
        return Blob(key, len(data))

    def read(self, key: str) -> bytes:
        return self.known[key]


class LocalNode:
    """A node in `root`, reached with `tools` alone on the PATH."""

    def __init__(self, root: Path, tools: Path, **settings: object) -> None:
        self.root = root
        self.tools = tools
        self.tree = root / "tree"
        self.conf = root / "conf" / "kong.conf"
        self.prefix = root / "prefix"
        for directory in (self.conf.parent, self.prefix / "logs", self.prefix / "pids"):
            directory.mkdir(parents=True)
        self.conf.write_text("# the gateway\nrole = traditional\nplugins = bundled # all of them\n")
        (self.prefix / ".kong_env").write_text("database = off\npg_password = secret\nplugins = bundled\n")
        (self.prefix / "logs" / "error.log").write_text("an old line\n")
        kong = root / "kong"
        kong.write_text(KONG.replace("@ROOT@", str(root)))
        kong.chmod(0o755)
        self.node = Node(
            "n1",
            Address("local"),
            kong=str(kong),
            conf=str(self.conf),
            prefix=str(self.prefix),
            tree=str(self.tree),
        ).replace(**settings)
        self.blobs = Blobs()
        self.environment = {"PATH": str(tools), "HOME": str(root)}

    @property
    def connection(self) -> ShConnection:
        return ShConnection(self.node, self.environment)

    def probe(self):
        return probe(self.connection)

    def content(self, files: dict[str, bytes], facts=None) -> NodeContent:
        facts = facts or self.probe()
        blobs = {
            path: self.blobs.add(data, executable=path.startswith("bin/")) for path, data in files.items()
        }
        return NodeContent(
            blobs, self.blobs, (("x", "1.0-1"),), (), (("x", "1.0-1"),), {}, {}, facts.state, state_of(blobs)
        )

    def prepared(
        self, files: dict[str, bytes], *, rollout: str = "r1", add: tuple[str, ...] = ("x",), **settings
    ):
        """(change, payload) that make the tree hold these files."""
        return self.prepared_for(self.probe(), files, rollout=rollout, add=add, **settings)

    def prepared_for(self, facts, files, *, rollout: str = "r1", add: tuple[str, ...] = ("x",), **settings):
        """The same for a node of which these facts are known."""
        payload = make_payload(self.content(files, facts), facts, command="test", now=1000.0)
        after = payload.generation if payload is not None else facts.generation
        enabling = enable(self.node, facts, after, add=add)
        return NodeChange(rollout, facts.generation, after, enabling, **settings), payload

    @property
    def current(self) -> str | None:
        link = self.tree / "current"
        return os.readlink(link) if link.is_symlink() else None

    def files(self, generation: int | None = None) -> dict[str, bytes]:
        """What a generation (without a number: the current one) holds, its record left out."""
        place = self.tree / "current" if generation is None else self.tree / "generations" / str(generation)
        return {
            str(path.relative_to(place)): path.read_bytes()
            for path in sorted(place.rglob("*"))
            if path.is_file() and path.name != "generation.json"
        }

    def asked(self) -> list[str]:
        """What the gateway's command was asked, apart from its version."""
        log = self.root / "kong.log"
        return (
            [line for line in log.read_text().splitlines() if not line.startswith("version")]
            if log.exists()
            else []
        )

    def litter(self) -> list[str]:
        """What a rollout must not leave behind."""
        found = [
            path for path in self.tree.rglob("*") if ".pumice" in path.parts or path.name == "lockfile.lfs"
        ]
        found += self.root.rglob("*.pumice-*")
        found += [path for path in self.tree.glob("generations/*") if not (path / "generation.json").exists()]
        return [str(path.relative_to(self.root)) for path in found]


def _link_tools(folder: Path, kind: str) -> Path:
    folder.mkdir()
    if kind == "busybox":
        busybox = shutil.which("busybox")
        if busybox is None:
            pytest.skip("busybox is not installed")
        applets = subprocess.run(
            [busybox, "--list"], capture_output=True, text=True, check=True
        ).stdout.split()
        for name in {"sh", "tar", *COREUTILS}.intersection(applets):
            (folder / name).symlink_to(busybox)
    else:
        for name in ["tar", *COREUTILS]:
            path = shutil.which(name)
            assert path is not None, name
            (folder / name).symlink_to(path)
        (folder / "sh").symlink_to(shutil.which("dash") or "/bin/sh")
    return folder


@pytest.fixture(params=["coreutils", "busybox"])
def tools(request, tmp_path) -> Path:
    """A directory with `sh`, `tar` and coreutils, or busybox in their place, and nothing else."""
    return _link_tools(tmp_path / "tools", request.param)


@pytest.fixture
def local_node(tmp_path, tools):
    """Makes nodes; `settings` are fields of `Node`."""
    made = []

    def make(**settings) -> LocalNode:
        root = tmp_path / f"node{len(made)}"
        root.mkdir()
        made.append(LocalNode(root, tools, **settings))
        return made[-1]

    return make
