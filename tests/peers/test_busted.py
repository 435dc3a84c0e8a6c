"""The real busted and luacheck on a new project and on the example, and every command that they tell of."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from pumice.kong.scaffold import scaffold

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "examples/kong-plugin-request-stamp"
PLACES = f"{PROJECT}/.venv/lua-tools/bin:{os.environ['PATH']}"
"""Where scripts/lua-tools puts both, or where the machine has them."""

Write = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files below a directory, and gives the directory."""

    def write(files: Mapping[str, str]) -> Path:
        for path, text in files.items():
            target = tmp_path / "project" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return tmp_path / "project"

    return write


@pytest.fixture
def busted() -> Callable[..., tuple[int, str]]:
    """Runs busted under LuaJIT in a directory: its exit code, and what it printed."""
    program = shutil.which("busted", path=PLACES)
    assert program is not None, "busted is missing: scripts/setup peers installs it"

    def run(cwd: Path, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [program, "--lua=luajit", *words], capture_output=True, text=True, timeout=60, cwd=cwd
        )
        return done.returncode, done.stdout + done.stderr

    return run


Busted = Callable[..., tuple[int, str]]


@pytest.mark.peer
@pytest.mark.parametrize("name", ["my-plugin", "a"])
def test_its_own_specs_pass_in_busted(write: Write, busted: Busted, name: str) -> None:
    code, printed = busted(write(scaffold(name)))
    assert (code, "5 successes / 0 failures / 0 errors" in printed) == (0, True), printed


@pytest.mark.peer
def test_its_specs_run_in_luajit_and_can_fail(write: Write, busted: Busted) -> None:
    files = dict(scaffold("my-plugin"))
    module = "kong/plugins/my-plugin/greeting.lua"
    files[module] = files[module].replace('" "', '", "')
    files["spec/jit_spec.lua"] = 'it("is compiled", function() assert.is_string(jit.version) end)\n'
    code, printed = busted(write(files))
    assert (code, "3 successes / 3 failures / 0 errors" in printed) == (1, True), printed


@pytest.mark.peer
def test_luacheck_finds_nothing(write: Write) -> None:
    program = shutil.which("luacheck", path=PLACES)
    assert program is not None, "luacheck is missing: scripts/setup peers installs it"
    folder = write(scaffold("my-plugin"))
    done = subprocess.run([program, "."], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def steps_of(workflow: str) -> list[str]:
    """The shell lines of a workflow that has one job."""
    parsed = yaml.safe_load(workflow)
    # YAML 1.1 reads the key `on` as true
    assert set(parsed) == {"name", True, "jobs"}
    (job,) = parsed["jobs"].values()
    assert job["runs-on"].startswith("ubuntu-")
    for step in job["steps"]:
        assert len({"uses", "run"} & set(step)) == 1
    return [step["run"] for step in job["steps"] if "run" in step]


def test_the_workflow_is_yaml_and_installs_what_it_runs() -> None:
    lines = steps_of(scaffold("my-plugin")[".github/workflows/ci.yml"])
    text = "\n".join(lines)
    packages = {"luacheck": "lua-check", "busted": "lua-busted", "pumice": "pip install pumice"}
    programs = {line.split()[0] for line in lines} - {"sudo", "pip"}
    assert programs == set(packages)
    for program, package in packages.items():
        assert text.index(package) < text.index(f"\n{program} ")


@pytest.mark.peer
def test_every_command_of_workflow_and_readme_works(write: Write, tmp_path: Path) -> None:
    """Those of ours and the tests'; what the workflow installs is here."""
    files = scaffold("my-plugin")
    folder = write(files)
    lines = [line for line in steps_of(files[".github/workflows/ci.yml"]) if line[:4] not in ("sudo", "pip ")]
    readme = files["README.md"]
    told = [line.partition("#")[0].strip() for line in readme.splitlines() if line.startswith("pumice ")]
    told += [text for text in re.findall(r"^\| `([^`]+)`", readme, re.MULTILINE) if " " in text]
    told += ["pumice bump patch"]
    assert len(lines) == 4
    assert len(told) == 7
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        **kept,
        "HOME": str(home),
        "PATH": f"{home}:{PLACES}",
        "PUMICE_CACHE": f"{home}/cache",
        "LUAROCKS_CONFIG": f"{home}/config.lua",
    }
    (home / "config.lua").write_text(f'rocks_trees = {{ {{ name = "user", root = "{home}/tree" }} }}\n')
    (home / "pumice").write_text(f'#!/bin/sh\nexec {sys.executable} -m pumice "$@"\n')
    (home / "pumice").chmod(0o755)
    for line in lines + told:
        done = subprocess.run(
            ["/bin/sh", "-ec", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    assert "## 0.1.1" in (folder / "CHANGELOG.md").read_text()


@pytest.mark.peer
def test_the_examples_specs_pass_in_busted(busted: Busted) -> None:
    code, printed = busted(EXAMPLE)
    assert (code, "21 successes / 0 failures / 0 errors" in printed) == (0, True), printed


@pytest.mark.peer
def test_the_examples_specs_can_fail(busted: Busted, tmp_path: Path) -> None:
    """A plugin that never stamps a response does not pass."""
    target = tmp_path / "kong/plugins/request-stamp"
    target.mkdir(parents=True)
    for file in (EXAMPLE / "kong/plugins/request-stamp").iterdir():
        (target / file.name).write_text(file.read_text().replace("if conf.echo then", "if false then"))
    code, printed = busted(tmp_path, str(EXAMPLE / "spec/handler_spec.lua"))
    assert code != 0
    assert "00112233-4455-4677-8899-aabbccddeeff" in printed
