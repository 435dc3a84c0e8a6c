"""The wheel holds all that runs, and its console script works where nothing but the wheel and its needs are."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.peer

Run = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=120, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the back end itself, from a copy of what it needs, without any network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(project / name, source)
    shutil.copytree(project / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=source)
    (built,) = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs `pumice` of a new environment: the wheel is installed there, its dependencies are lent."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "env")
    python = folder / "env" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", wheel)
    lent = folder / "lent"
    lent.mkdir()
    for name in ("lupa", "urllib3"):
        (lent / name).symlink_to(Path(sysconfig.get_path("platlib")) / name)
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(lent)}

    def pumice(*words: object, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        return run(folder / "env" / "bin" / "pumice", *words, cwd=cwd, env=environment)

    return pumice


def test_the_wheel_holds_every_file_of_the_package(wheel: Path, project: Path) -> None:
    """Stand-ins, templates and py.typed too, whatever begins with a dot; and nothing else."""
    source = project / "src"
    expected = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    expected = {name for name in expected if "__pycache__" not in name}
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert expected == names
    assert {"pumice/py.typed", "pumice/kong/standins/ngx.lua"} <= names
    assert any(name.startswith("pumice/kong/templates/.") for name in names)


def test_the_console_script_knows_its_version(installed: Run) -> None:
    from pumice import __version__

    assert __version__ in installed("--version").stdout.splitlines()[0]


def test_an_installed_pumice_makes_and_ships_a_plugin(installed: Run, tmp_path: Path) -> None:
    """`new` reads the templates, `ship` the stand-ins of Kong."""
    installed("new", "my-plugin", cwd=tmp_path)
    shipped = installed("ship", "kong-plugin-my-plugin", cwd=tmp_path).stdout
    assert "my-plugin" in shipped
    assert shipped.rstrip().endswith("loads it.")
