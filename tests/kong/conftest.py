"""Packages made of a few lines."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import BuildError
from pumice.kong.package import Package, package_of_directory
from pumice.kong.standin.write import StandIn, find_programs, write_conf, write_gateway
from pumice.rock.rockspec import load_rockspec

PLATFORMS = ("linux", "unix")

HANDLER = """
local Demo = { PRIORITY = 1000, VERSION = "1.0.0" }
function Demo:access(conf) end
return Demo
"""

SCHEMA = """
return {
  name = "demo",
  fields = { { config = { type = "record", fields = { { on = { type = "boolean" } } } } } },
}
"""

ROCKSPEC = """
package = "kong-plugin-demo"
version = "1.0.0-1"
source = { url = "https://example.com/demo.tar.gz" }
dependencies = {}
build = { type = "builtin", modules = {
  ["kong.plugins.demo.handler"] = "kong/plugins/demo/handler.lua",
  ["kong.plugins.demo.schema"] = "kong/plugins/demo/schema.lua",
} }
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Writes files below a directory, and gives the directory."""

    def write(files: Mapping[str, str]) -> Path:
        for path, text in files.items():
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return tmp_path

    return write


@pytest.fixture
def demo(write: Callable[[Mapping[str, str]], Path]) -> Callable[..., Package]:
    """A small plugin `demo` without a fault, but for what is given instead (None: the file is left out)."""

    def demo(
        *,
        handler: str | None = HANDLER,
        schema: str | None = SCHEMA,
        rockspec: str = ROCKSPEC,
        more: Mapping[str, str] | None = None,
    ) -> Package:
        files = {"kong/plugins/demo/handler.lua": handler, "kong/plugins/demo/schema.lua": schema}
        present = {path: text for path, text in files.items() if text is not None}
        directory = write({**present, **(more or {})})
        spec = load_rockspec(rockspec.encode(), "demo.rockspec", PLATFORMS, check_name=False)
        return package_of_directory(str(directory), spec)

    return demo


@pytest.fixture
def rockspec_with() -> Callable[..., str]:
    """The demo's rockspec with one text in place of another."""

    def rockspec_with(*changes: tuple[str, str]) -> str:
        text = ROCKSPEC
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return text

    return rockspec_with


@pytest.fixture
def luajit() -> Callable[..., str]:
    """Runs the machine's real luajit: program text, arguments; gives what it printed."""
    program = shutil.which("luajit")
    if program is None:
        pytest.skip("no luajit here")

    def run(text: str, *arguments: str, cwd: str | Path | None = None) -> str:
        done = subprocess.run(
            [program, "-", *arguments], input=text, capture_output=True, text=True, timeout=60, cwd=cwd
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


class Node:
    """A node of the stand-in gateway with a tree of its own, in a directory."""

    def __init__(self, directory: Path, stand_in: StandIn, properties: Mapping[str, str | int]) -> None:
        self.directory = directory
        self.tree = directory / "tree"
        self.prefix = directory / "prefix"
        self.stand_in = stand_in
        self.ports = {name: _free_port() for name in ("admin", "proxy", "status")}
        lua = self.tree / "share" / "lua" / "5.1"
        self.properties: dict[str, str | int] = {
            "prefix": str(self.prefix),
            "database": "off",
            "plugins": "bundled,demo",
            "lua_package_path": f"{lua}/?.lua;{lua}/?/init.lua",
            **{f"{name}_listen": f"127.0.0.1:{port}" for name, port in self.ports.items()},
            **properties,
        }
        self.conf = write_conf(str(directory / "kong.conf"), self.properties)

    def configure(self, **properties: str | int) -> None:
        """Other properties in the node's kong.conf."""
        self.properties.update(properties)
        write_conf(self.conf, self.properties)

    def plugin(self, name: str = "demo", **files: str | None) -> None:
        """Writes modules of a plugin into the tree; what is None is taken away."""
        directory = self.tree / "share/lua/5.1/kong/plugins" / name
        directory.mkdir(parents=True, exist_ok=True)
        for module, text in files.items():
            path = directory / f"{module}.lua"
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(text)

    def kong(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs the command of the stand-in."""
        return subprocess.run(
            [self.stand_in.kong, *words],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.directory,
            env={"PATH": "/usr/bin:/bin", **environment},
        )

    def start(self) -> None:
        """Starts it; it must start."""
        done = self.kong("start", "-c", self.conf)
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        """Stops it, if it runs."""
        if (self.prefix / "pids" / "nginx.pid").exists():
            self.kong("stop", "-p", str(self.prefix))

    def parse(self, text: str = '_format_version: "3.0"\n') -> subprocess.CompletedProcess[str]:
        """`kong config parse`."""
        (self.directory / "parsed.yml").write_text(text)
        return self.kong("config", "parse", "parsed.yml", "-c", self.conf)

    def log(self) -> str:
        """What error.log has."""
        return (self.prefix / "logs" / "error.log").read_text(errors="replace")

    def ask(
        self, port: str, path: str, *, method: str = "GET", body: object = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers (names in small letters) and body (what JSON says, if it is JSON) of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=20)
        try:
            sent = None if body is None else json.dumps(body)
            kind = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, sent, {**kind, **headers})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        is_json = "json" in (answer.getheader("Content-Type") or "") and text
        return (
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            json.loads(text) if is_json else text,
        )

    def workers(self) -> list[int]:
        """The pids of its workers."""
        pids: list[int] = self.ask("admin", "/")[2]["pids"]["workers"]
        return pids


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Makes nodes of the stand-in gateway, each with the plugin `demo` in its tree; stops them in the end."""
    path = os.environ.get("PATH", "")
    try:
        programs = find_programs(path)
    except BuildError as missing:
        pytest.skip(str(missing))
    nodes: list[Node] = []

    def node(name: str = "node", *, version: str = "3.9.1", **properties: str | int) -> Node:
        directory = tmp_path / name
        directory.mkdir()
        stand_in = write_gateway(
            str(directory / "gateway"),
            programs=programs,
            version=version,
            database=str(tmp_path / "database"),
            hostname=name,
            system_tree=str(directory / "system"),
        )
        made = Node(directory, stand_in, properties)
        made.plugin(handler=HANDLER, schema=SCHEMA)
        nodes.append(made)
        return made

    yield node
    for made in nodes:
        made.stop()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits until something holds; fails after 20 seconds."""

    def eventually(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.03)

    return eventually
