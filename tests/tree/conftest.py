"""What the tests of the tree room share: rocks made in memory, a tree to plan for, LuaRocks beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pumice.base.config import TreeSpec
from pumice.base.progress import Silent
from pumice.rock.content import Content
from pumice.rock.rock import Rock, RockFile
from pumice.rock.rock_manifest import md5_hex, rock_manifest_of
from pumice.rock.rockspec import load_rockspec
from pumice.tree.dependencies import lua_provides
from pumice.tree.manifest import read_tree_manifest
from pumice.tree.planner import Planner
from pumice.tree.steps import Delete, Make, Move, Prune, Put
from pumice.tree.view import DiskView
from pumice.tree.wrapper import Wrapping

PLATFORMS = ("linux", "unix")


def tree_at(root: Path | str) -> TreeSpec:
    """A tree in LuaRocks's layout for Lua 5.1."""
    return TreeSpec(
        "arg",
        str(root),
        f"{root}/bin",
        f"{root}/share/lua/5.1",
        f"{root}/lib/lua/5.1",
        f"{root}/lib/luarocks/rocks-5.1",
    )


def rock_of(name, version, files=None, dependencies=(), *, namespace=None, extra="") -> Rock:
    """A rock whose files are given by their path in it: `{"lua/m.lua": b"…", "bin/x": b"…"}`."""
    listed = ", ".join(f'"{dependency}"' for dependency in dependencies)
    text = (
        f'rockspec_format = "3.0"\npackage = "{name}"\nversion = "{version}"\n'
        f'source = {{ url = "file:///nowhere" }}\ndependencies = {{ {listed} }}\n'
        f'build = {{ type = "builtin", modules = {{}} }}\n{extra}'
    ).encode()
    made = []
    for path, data in (files or {}).items():
        section, _, inside = path.partition("/") if "/" in path else ("", "", path)
        executable = section in ("bin", "lib")
        made.append(RockFile(section, inside, executable, md5_hex(data), len(data), Content.of_bytes(data)))
    made.sort(key=lambda file: (file.section, file.path))
    arch = "linux-x86_64" if any(file.section == "lib" for file in made) else "all"
    rockspec = load_rockspec(text, f"{name}-{version}.rockspec", PLATFORMS)
    return Rock(rockspec, tuple(made), arch, namespace)


def rock_archive(rock: Rock, folder: Path) -> Path:
    """The rock as a file that LuaRocks installs."""
    path = folder / f"{rock.name}-{rock.version}.{rock.arch}.rock"
    with zipfile.ZipFile(path, "w") as archive:

        def add(name: str, data: bytes, executable: bool) -> None:
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(info, data)

        add(f"{rock.name}-{rock.version}.rockspec", rock.rockspec.text, False)
        add("rock_manifest", rock_manifest_of(rock), False)
        for file in rock.files:
            add(file.rock_path, file.content.read(), file.executable)
    return path


def carry_out(steps) -> None:
    """The steps of a plan, done plainly; the transaction has tests of its own."""
    for step in steps:
        match step:
            case Put():
                os.makedirs(os.path.dirname(step.path), exist_ok=True)
                with open(step.path + ".new", "wb") as file:
                    file.write(step.content.read())
                os.chmod(step.path + ".new", step.mode)
                os.rename(step.path + ".new", step.path)
            case Make():
                os.makedirs(step.path, exist_ok=True)
            case Move():
                assert os.path.lexists(step.source), step
                assert not os.path.lexists(step.target), step
                os.makedirs(os.path.dirname(step.target), exist_ok=True)
                os.rename(step.source, step.target)
            case Delete():
                os.unlink(step.path)
            case Prune():
                assert step.path.startswith(step.stop + "/")
                here = step.path
                while here != step.stop:
                    try:
                        os.rmdir(here)
                    except FileNotFoundError:
                        pass
                    except OSError:
                        break
                    here = os.path.dirname(here)


def snapshot(root: Path | str) -> dict[str, object]:
    """Everything below `root`: directories by their mode, files by mode and bytes."""
    found: dict[str, object] = {}
    for path in sorted(Path(root).rglob("*")):
        name = str(path.relative_to(root))
        mode = oct(path.lstat().st_mode & 0o7777)
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("directory", mode)
        else:
            found[name] = (mode, path.read_bytes())
    return found


class Workbench:
    """A tree at one place, changed by Pumice's planner or by real LuaRocks."""

    def __init__(self, root: Path, archives: Path) -> None:
        self.root = root
        self.tree = tree_at(root)
        self.archives = archives
        self.said: list[tuple[str, str]] = []
        archives.mkdir(exist_ok=True)

    def planner(self, *, deps_mode="one", lua="/usr/bin/lua5.1", **options) -> Planner:
        """A planner for the tree as it lies on the disk."""
        trees = (self.tree,) if deps_mode == "one" else ()
        wrapping = Wrapping(lua, "5.1", "/etc/luarocks", trees)
        manifest = read_tree_manifest(self.tree, Silent())
        return Planner(self.tree, manifest, DiskView(), wrapping, provided=lua_provides("5.1"), **options)

    def plan(self, planner: Planner):
        """Carry out what was planned."""
        plan = planner.finish()
        carry_out(plan.steps)
        self.said += plan.messages
        return plan

    def install(self, rock: Rock, options=None, **settings):
        """Install one rock with the planner."""
        planner = self.planner(**settings)
        planner.install(rock, options)
        return self.plan(planner)

    def remove(self, name: str, version: str, **settings):
        """Remove one version with the planner."""
        planner = self.planner(**settings)
        planner.remove(name, version)
        return self.plan(planner)

    def luarocks(self, *arguments: str, check: bool = True) -> SimpleNamespace:
        """Run the real LuaRocks on the tree."""
        done = subprocess.run(
            ["luarocks", "--lua-version=5.1", f"--tree={self.root}", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.archives,
            env={**os.environ, "HOME": str(self.archives)},
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)

    def luarocks_install(self, rock: Rock, *flags: str) -> SimpleNamespace:
        """Install one rock with the real LuaRocks."""
        return self.luarocks("install", str(rock_archive(rock, self.archives)), *flags)

    def set_aside(self) -> dict[str, object]:
        """What the tree holds; it is then empty again."""
        found = snapshot(self.root)
        shutil.rmtree(self.root, ignore_errors=True)
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    """A tree that does not exist yet, and what works on it."""
    return Workbench(tmp_path / "tree", tmp_path / "archives")


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    """The helpers of this file, for tests."""
    return SimpleNamespace(
        rock=rock_of,
        archive=rock_archive,
        carry_out=carry_out,
        snapshot=snapshot,
        tree=tree_at,
        bench=Workbench,
    )
