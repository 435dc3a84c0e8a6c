"""`check`: of the example plugin; and of every public Kong rockspec, by the rules that need no sources."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

from bench.cases import FLOOR, PUMICE, Case, Setting, Step

_ONE, _ALL = "check one plugin", "check every Kong rockspec"
_ONE_LIMIT, _ALL_LIMIT = 150.0, 5000.0
"""Milliseconds."""


def check_one(setting: Setting) -> Case:
    """The whole check of the example plugin, its handler and schema loaded in a child."""
    sides = {
        PUMICE: [Step(_ONE, [[*setting.pumice, "check", str(setting.example)]], setting.folder)],
        FLOOR: [Step(_ONE, [[setting.python, "-c", "pass"]], setting.folder)],
    }
    return Case(_ONE, sides, {_ONE: None}, most_wall=_ONE_LIMIT)


def check_cases(shared: Path) -> dict[str, tuple[Callable[[Setting], Case], tuple[str, ...]]]:
    """Every case with its row; `shared` has the corpus."""
    cases: dict[str, tuple[Callable[[Setting], Case], tuple[str, ...]]] = {_ONE: (check_one, (_ONE,))}
    archive = shared / "corpus/rockspecs.tar.xz"

    def check_all(setting: Setting) -> Case:
        folder = setting.folder / "kong-rockspecs"
        folder.mkdir()
        _unpack(archive, folder)
        root = str(Path(__file__).resolve().parent.parent)
        start = f"import sys; sys.path.insert(0, {root!r}); from bench.checks import check_in"
        command = [setting.python, "-c", f"{start}; check_in(sys.argv[1])", str(folder)]
        step = Step(_ALL, [command], setting.folder, says=" of 1511 rockspecs")
        return Case(_ALL, {PUMICE: [step]}, {_ALL: None}, runs=3, most_wall=_ALL_LIMIT)

    if archive.exists():
        cases[_ALL] = (check_all, (_ALL,))
    return cases


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as found:
        for member in found:
            file = found.extractfile(member)
            text = file.read() if file is not None else b""
            if b"kong.plugins." in text or b"kong/plugins" in text:
                (folder / Path(member.name).name).write_bytes(text)


def check_in(folder: str) -> None:
    """What the measured process does."""
    from pumice.errors import PumiceError
    from pumice.kong.package import package_of_directory
    from pumice.kong.package_rules import bundled_findings, name_findings, part_findings
    from pumice.kong.plugin import find_plugins
    from pumice.kong.rock_rules import content_findings, dependency_findings, source_findings
    from pumice.rock.rockspec import load_rockspec

    findings = checked = 0
    for path in sorted(Path(folder).iterdir()):
        try:
            rockspec = load_rockspec(path.read_bytes(), path.name, ("linux", "unix"), check_name=False)
        except PumiceError:
            continue
        package = package_of_directory("/nonexistent", rockspec)
        plugins = find_plugins(package.modules)
        if rockspec.name == "kong" or not plugins:
            continue
        checked += 1
        for rule in (source_findings, dependency_findings, content_findings):
            findings += sum(1 for _ in rule(package))
        for judge in (name_findings, bundled_findings, part_findings):
            findings += sum(1 for _ in judge(package, plugins))
    print(f"{findings} findings of {checked} rockspecs")
