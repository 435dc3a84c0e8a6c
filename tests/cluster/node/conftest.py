"""A node in a directory: a tree, a configuration and a `kong` that is a shell script; `sh` is dash or busybox."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pumice.base.progress import Silent
from pumice.cluster.address import Address
from pumice.cluster.change import NodeChange
from pumice.cluster.connection import Answer
from pumice.cluster.content import ContentMaker
from pumice.cluster.enabling import enable
from pumice.cluster.inventory import Node
from pumice.cluster.node_content import NodeContent
from pumice.cluster.payload import make_payload
from pumice.cluster.probe import probe
from pumice.cluster.steps import finish, roll_out
from pumice.cluster.tree_record import state_of
from pumice.operation.settings import Flags, load_config
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
    "md5sum",
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
reload) echo 'Kong reloaded'; echo "prepared = $*" >'@ROOT@/prefix/.kong_env'; echo 'a line of the log' >>'@ROOT@/prefix/logs/error.log' ;;
esac
exit 0
"""


class ShConnection:
    """Runs scripts with the `sh` of a PATH."""

    def __init__(self, node: Node, environment: dict[str, str], user: str | None = None) -> None:
        self.node = node
        self.environment = environment
        self.user = user
        self.durable = False

    def run(self, script: str, *, stdin=b"", timeout: float = 60.0) -> Answer:
        # Waiting for the disk, test after test, takes longer than all the rest.
        if not self.durable:
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
            user=self.user,
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
        self.user: str | None = None
        self.environment = {"PATH": str(tools), "HOME": str(root)}

    @property
    def connection(self) -> ShConnection:
        return ShConnection(self.node, self.environment, self.user)

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

    def roll_out(self, maker: ContentMaker, wish, rollout: str = "r1") -> NodeContent:
        """The content of a wish, rolled out and proved."""
        facts = self.probe()
        content = maker.content(self.connection, facts, wish)
        payload = make_payload(content, facts, command="test", now=1000.0)
        if payload is not None:
            after = payload.generation
            gone = set(content.plugins_before) - set(content.plugins)
            enabling = enable(self.node, facts, after, add=content.asked, remove=gone)
            change = NodeChange(rollout, facts.generation, after, enabling)
            results = (
                *roll_out(self.connection, change, payload),
                *finish(self.connection, change, b"{}"),
            )
            assert all(result.ok for result in results), results
        return content

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


PLUGIN = {
    "handler.lua": 'local H = {{ PRIORITY = 10, VERSION = "{version}" }}\nreturn H\n',
    "schema.lua": """local typedefs = require "kong.db.schema.typedefs"
return {{ name = "{name}", fields = {{
  {{ protocols = typedefs.protocols_http }},
  {{ config = {{ type = "record", fields = {{ {{ word = {{ type = "string" }} }} }} }} }},
}} }}
""",
}


def write_rockspec(folder: Path, name: str, version: str, modules: dict[str, str], more: str = "") -> None:
    """A rockspec for files of a folder."""
    lines = ",\n".join(f'["{module}"] = "{path}"' for module, path in modules.items())
    (folder / f"{name}-{version}.rockspec").write_text(
        f'rockspec_format = "3.0"\npackage = "{name}"\nversion = "{version}"\nsource = {{ url = "." }}\n'
        f'build = {{ type = "builtin", modules = {{ {lines} }} }}\n{more}\n'
    )


@pytest.fixture
def plugin(tmp_path):
    """Writes the sources of a plugin: a directory with a rockspec."""

    def write(name: str = "demo", version: str = "0.1.0", *, more: str = "", files=None) -> Path:
        folder = tmp_path / f"{name}-{version}-{len(list(tmp_path.iterdir()))}"
        place = folder / "kong" / "plugins" / name
        place.mkdir(parents=True)
        modules = {}
        for file, text in {**PLUGIN, **(files or {})}.items():
            (place / file).parent.mkdir(exist_ok=True)
            (place / file).write_text(text.format(name=name, version=version))
            module = file.removesuffix(".lua").replace("/", ".").removesuffix(".init")
            modules[f"kong.plugins.{name}.{module}"] = f"kong/plugins/{name}/{file}"
        write_rockspec(folder, f"kong-plugin-{name}", f"{version}-1", modules, more)
        return folder

    return write


@pytest.fixture
def maker(tmp_path):
    """Makes contents, with a cache of its own."""
    environment = {**os.environ, "PUMICE_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    with ContentMaker(load_config(Flags(), environment, str(tmp_path)), Silent(), offline=True) as made:
        yield made


@pytest.fixture
def link_tools():
    """Makes a directory of `coreutils` or `busybox`."""
    return _link_tools


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


KILLER = """#!/bin/sh
read -r count <'{folder}/counter'
count=$((count + 1))
echo $count >'{folder}/counter'
read -r at when <'{folder}/kill-at'
[ "$count $when" = "$at before" ] && kill -9 0
PATH='{tools}' '{real}' "$@"
code=$?
[ "$count $when" = "$at after" ] && kill -9 0
exit $code
"""


@pytest.fixture
def killing(tmp_path):
    """Does work with a node whose command of a number kills the whole script, before or after it has run."""
    folder = tmp_path / "killing"

    def wrap(path: Path, real: Path, tools: Path) -> None:
        path.write_text(KILLER.format(real=real, folder=tmp_path, tools=tools))
        path.chmod(0o755)

    def work(node: LocalNode, number: int, do, *, after: bool):
        if not folder.exists():
            folder.mkdir()
            for tool in node.tools.iterdir():
                if tool.name == "sh":
                    (folder / "sh").symlink_to(tool)
                else:
                    wrap(folder / tool.name, tool, node.tools)
        kong, real = node.root / "kong", node.root / "real-kong"
        kong.rename(real)
        wrap(kong, real, node.tools)
        (tmp_path / "counter").write_text("0\n")
        (tmp_path / "kill-at").write_text(f"{number} {'after' if after else 'before'}\n")
        node.environment["PATH"] = str(folder)
        try:
            return do()
        finally:
            node.environment["PATH"] = str(node.tools)
            real.rename(kong)

    return work
