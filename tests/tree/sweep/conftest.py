"""Fault injection for the sweeps: a forked child whose file-system calls are counted; one of them goes wrong.

The product has no hooks for this: the functions of `os` are wrapped in the child only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import stat
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pumice.base.config import TreeSpec
from pumice.rock.content import Content
from pumice.tree.kinds import open_tree
from pumice.tree.steps import Delete, Make, Move, Prune, Put

WRITING = [
    "open",
    "write",
    "fsync",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "link",
    "symlink",
    "utime",
    "chmod",
    "fchmod",
    "ftruncate",
    "copy_file_range",
]
READING = ["lstat", "stat", "listdir", "scandir", "readlink", "read", "fstat"]
STOPPED = 70


def spec_at(root: str) -> TreeSpec:
    """A tree in LuaRocks's layout for Lua 5.1."""
    return TreeSpec(
        "arg",
        root,
        f"{root}/bin",
        f"{root}/share/lua/5.1",
        f"{root}/lib/lua/5.1",
        f"{root}/lib/luarocks/rocks-5.1",
    )


class Faults:
    """Runs things in forked children whose calls of `os` are counted."""

    def __init__(self, functions: tuple[str, ...] | list[str]) -> None:
        self._functions = functions

    def run(self, work, *, at: int = -1, fault=None) -> tuple[str, int]:
        """`work` in a child, in which `fault(call)` happens instead of call number `at`.

        Gives ("done" | "error: …" | "killed", the number of calls).
        """
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            self._in_child(work, at, fault, writer)
        os.close(writer)
        with open(reader, "rb") as pipe:
            told = pipe.read().decode()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return "killed", -1
        assert os.WEXITSTATUS(status) == STOPPED, "the child did not come to its end"
        result, _, count = told.rpartition(" ")
        return result, int(count)

    def _in_child(self, work, at, fault, writer) -> None:
        from pumice.errors import PumiceError

        real_write, real_exit = os.write, os._exit
        calls = 0

        def wrap(name, real):
            def wrapped(*args, **named):
                nonlocal calls
                calls += 1
                if calls - 1 == at:
                    return fault(lambda: real(*args, **named), name, args)
                return real(*args, **named)

            return wrapped

        for name in self._functions:
            setattr(os, name, wrap(name, getattr(os, name)))
        try:
            try:
                work()
                result = "done"
            except PumiceError as error:
                result = f"error: {type(error).__name__}: {error.message}"
            except BaseException as error:
                result = f"bug: {type(error).__name__}: {error}"
            real_write(writer, f"{result} {calls}".encode())
        finally:
            real_exit(STOPPED)


def kill(_call, _name, _args) -> None:
    """The process dies instead of the call."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def failing(code: int):
    """The call fails with that errno."""

    def fault(_call, _name, _args):
        raise OSError(code, os.strerror(code))

    return fault


def fingerprint(root: str) -> str:
    """Everything in the tree: names, kinds, modes, contents."""
    digest = hashlib.sha256()
    for directory, names, files in os.walk(root):
        names.sort()
        for name in sorted([*files, *names]):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            digest.update(f"{path[len(root) :]} {stat.filemode(status.st_mode)}\n".encode())
            if stat.S_ISLNK(status.st_mode):
                digest.update(os.readlink(path).encode())
            elif stat.S_ISREG(status.st_mode) and name != "generation.json":
                digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def what_is_current(root: str) -> str:
    """As `fingerprint`, for a generation tree: what readers see, and its history; not the store."""
    tree = open_tree(spec_at(root), layout="generations")
    seen = [fingerprint(tree.read_spec.root) if tree.current else "", str(tree.current)]
    seen += [f"{each.number} {each.command}" for each in tree.history()]
    seen += sorted(name for name in os.listdir(root) if name != "store") if os.path.isdir(root) else []
    private = os.path.join(root, ".pumice")
    seen += os.listdir(private) if os.path.isdir(private) else []
    seen += sorted(os.listdir(os.path.join(root, "generations"))) if seen[0] else []
    return "\n".join(seen)


def copy(source: str, target: str) -> None:
    """A whole tree again: with its symlinks, hard links, modes and times."""
    names: dict[int, str] = {}
    for directory, inner, files in os.walk(source):
        into = target + directory[len(source) :]
        os.mkdir(into)
        for name in [*files, *inner]:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(path), os.path.join(into, name))
            elif stat.S_ISREG(status.st_mode):
                known = names.setdefault(status.st_ino, os.path.join(into, name))
                if known != os.path.join(into, name):
                    os.link(known, os.path.join(into, name))
                else:
                    shutil.copy2(path, known)


def put(path: str, text: str, mode: int = 0o644) -> Put:
    """A file with that text."""
    return Put(path, Content.of_bytes(text.encode()), mode)


def first_rocks(spec: TreeSpec):
    """Two rocks, as a start."""
    return [
        put(f"{spec.rocks_dir}/manifest", "two rocks"),
        put(f"{spec.rocks_dir}/a/1.0-1/a-1.0-1.rockspec", "a"),
        put(f"{spec.rocks_dir}/a/1.0-1/rock_manifest", "a"),
        put(f"{spec.rocks_dir}/a/1.0-1/doc/README", "read"),
        Make(f"{spec.rocks_dir}/a/1.0-1/data/empty"),
        put(f"{spec.rocks_dir}/b/1.0-1/b-1.0-1.rockspec", "b"),
        put(f"{spec.lua_dir}/a.lua", "return 'a 1.0'"),
        put(f"{spec.lua_dir}/a/util.lua", "return 'util 1.0'"),
        put(f"{spec.lua_dir}/b/init.lua", "return 'b 1.0'"),
        put(f"{spec.bin_dir}/a", "#!/bin/sh", 0o755),
    ]


def install(spec: TreeSpec):
    """A third rock comes."""
    return [
        put(f"{spec.rocks_dir}/c/2.0-1/c-2.0-1.rockspec", "c"),
        put(f"{spec.rocks_dir}/c/2.0-1/rock_manifest", "c"),
        put(f"{spec.rocks_dir}/c/2.0-1/conf/c.conf", "c" * 5000),
        Make(f"{spec.rocks_dir}/c/2.0-1/data/empty"),
        put(f"{spec.lua_dir}/c/deep/er/c.lua", "return 'c'"),
        put(f"{spec.lib_dir}/c.so", "\x7fELF", 0o755),
        put(f"{spec.bin_dir}/c", "#!/bin/sh", 0o755),
        put(f"{spec.rocks_dir}/manifest", "three rocks"),
    ]


def upgrade(spec: TreeSpec):
    """Rock a is replaced by another version: a module becomes a directory and a directory a module."""
    return [
        Move(f"{spec.lua_dir}/a.lua", f"{spec.lua_dir}/a_1_0_1-a.lua"),
        put(f"{spec.lua_dir}/a.lua/now/a/directory.lua", "return 1"),
        Delete(f"{spec.lua_dir}/a/util.lua"),
        put(f"{spec.lua_dir}/a", "now a file"),
        put(f"{spec.bin_dir}/a", "#!/bin/sh -e", 0o755),
        put(f"{spec.rocks_dir}/a/2.0-1/a-2.0-1.rockspec", "a 2"),
        Delete(f"{spec.rocks_dir}/a/1.0-1/a-1.0-1.rockspec"),
        Delete(f"{spec.rocks_dir}/a/1.0-1/rock_manifest"),
        Delete(f"{spec.rocks_dir}/a/1.0-1/doc/README"),
        Prune(f"{spec.rocks_dir}/a/1.0-1/doc", spec.rocks_dir),
        Prune(f"{spec.rocks_dir}/a/1.0-1/data/empty", spec.rocks_dir),
        Make(f"{spec.rocks_dir}/a/2.0-1/data/empty"),
        put(f"{spec.rocks_dir}/manifest", "two rocks, one newer"),
    ]


def remove(spec: TreeSpec):
    """Rock a goes, and with it the last command."""
    return [
        Delete(f"{spec.lua_dir}/a.lua"),
        Delete(f"{spec.lua_dir}/a/util.lua"),
        Prune(f"{spec.lua_dir}/a", spec.root),
        Delete(f"{spec.bin_dir}/a"),
        Prune(spec.bin_dir, spec.root),
        Delete(f"{spec.rocks_dir}/a/1.0-1/a-1.0-1.rockspec"),
        Delete(f"{spec.rocks_dir}/a/1.0-1/rock_manifest"),
        Delete(f"{spec.rocks_dir}/a/1.0-1/doc/README"),
        Prune(f"{spec.rocks_dir}/a/1.0-1/doc", spec.rocks_dir),
        Prune(f"{spec.rocks_dir}/a/1.0-1/data/empty", spec.rocks_dir),
        put(f"{spec.rocks_dir}/manifest", "one rock"),
    ]


class Scenario:
    """A tree of one kind before a change, and the fingerprints before and after it."""

    def __init__(self, layout: str, steps, base: str) -> None:
        self.layout = layout
        self.steps = steps
        self._base = base
        self._before = os.path.join(base, "before")
        self.root = os.path.join(base, "tree")
        self.fingerprint = fingerprint if layout == "plain" else what_is_current
        shutil.rmtree(base, ignore_errors=True)
        os.makedirs(base)
        self.change(first_rocks, "first")
        copy(self.root, self._before)
        self.reset()
        self.before = self.fingerprint(self.root)
        self.change()
        self.after = self.fingerprint(self.root)
        assert self.before != self.after
        self.reset()

    def tree(self):
        """The tree."""
        return open_tree(spec_at(self.root), layout=self.layout)

    def reset(self) -> None:
        """The tree is as before the change."""
        shutil.rmtree(self.root, ignore_errors=True)
        copy(self._before, self.root)

    def change(self, steps=None, command: str = "change") -> None:
        """The change, as a command makes it."""
        with self.tree().change(command=command, timeout=10) as change:
            change.commit((steps or self.steps)(change.spec))

    def recover(self) -> None:
        """What the next command does first."""
        with self.tree().change(timeout=10):
            pass

    def outcome(self) -> str:
        """`before`, `after`, or what is wrong."""
        now = self.fingerprint(self.root)
        return {self.before: "before", self.after: "after"}.get(now, "TORN")


@pytest.fixture(scope="session")
def quick_disk():
    """A directory where syncing costs nothing, if there is one: the sweeps make thousands of transactions."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="pumice-sweep-", dir=place) as directory:
        yield directory


@pytest.fixture
def scenario(quick_disk):
    """Makes scenarios: `scenario(layout, name)`."""
    named = {"install": install, "upgrade": upgrade, "remove": remove}
    return lambda layout, name: Scenario(layout, named[name], os.path.join(quick_disk, f"{layout}-{name}"))


@pytest.fixture
def faults():
    """`faults.writing` counts what changes the disk, `faults.all` what reads it as well."""
    return SimpleNamespace(
        writing=Faults(WRITING), all=Faults(WRITING + READING), kill=kill, failing=failing, flock=fcntl.flock
    )
