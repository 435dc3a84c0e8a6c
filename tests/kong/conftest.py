"""Packages made of a few lines."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pumice.kong.package import Package, package_of_directory
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
