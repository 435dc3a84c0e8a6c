"""A power cut drops what was not synced: names and contents, each on its own."""

# The model is stricter than ext4: a name is on the disk only after its directory was synced, a file's bytes
# only after the file was; of what was not synced, any part may have reached the disk all the same. Only a rename
# within one directory is one thing, as it is on every file system.

from __future__ import annotations

import os
import random
import shutil
import stat

import pytest

pytestmark = [pytest.mark.sweep, pytest.mark.adversary(57)]


class Recorder:
    """Runs a change in this process and writes down, after every call, what is on the disk or may be.

    The disk is a table of directories: inode -> {name: inode}, and of files: inode -> bytes. `durable` is what
    is surely there, `present` what the running system sees.
    """

    CALLS = (
        "open",
        "write",
        "fsync",
        "rename",
        "unlink",
        "mkdir",
        "rmdir",
        "link",
        "symlink",
        "copy_file_range",
    )

    def __init__(self, root: str) -> None:
        self.top = os.path.dirname(root)
        self.durable = self.snapshot()
        self.renames: tuple[tuple[int, str, str], ...] = ()
        self.moments: list[tuple[dict, dict, tuple]] = [(self.durable, self.durable, ())]
        self._real = {name: getattr(os, name) for name in self.CALLS}

    def snapshot(self) -> dict:
        """Every directory entry and every file's state, by inode, as the system sees them now."""
        made: dict = {}
        pending = [self.top]
        while pending:
            directory = pending.pop()
            status = os.lstat(directory)
            names = {}
            with os.scandir(directory) as entries:
                for entry in entries:
                    names[entry.name] = entry.inode()
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.inode() not in made:
                        inner = os.lstat(entry.path)
                        if stat.S_ISLNK(inner.st_mode):
                            made[entry.inode()] = ("link", os.readlink(entry.path))
                        else:
                            with open(entry.path, "rb") as file:
                                made[entry.inode()] = ("file", file.read(), inner.st_mode, inner.st_mtime_ns)
            made[status.st_ino] = ("directory", names, status.st_mode)
        made["top"] = os.lstat(self.top).st_ino
        return made

    def __enter__(self):
        for name, real in self._real.items():
            setattr(os, name, self._wrap(name, real))
        return self

    def __exit__(self, *_error):
        for name, real in self._real.items():
            setattr(os, name, real)

    def _wrap(self, name, real):
        def wrapped(*args, **named):
            result = real(*args, **named)
            if name == "fsync":
                self._sync(os.fstat(args[0]))
            if name != "open" or args[1] & os.O_CREAT:
                if name == "rename" and os.path.dirname(args[0]) == os.path.dirname(args[1]):
                    directory = os.lstat(os.path.dirname(args[0])).st_ino
                    self.renames += ((directory, os.path.basename(args[0]), os.path.basename(args[1])),)
                self.moments.append((self.durable, self.snapshot(), self.renames))
            return result

        return wrapped

    def _sync(self, status) -> None:
        present = self.snapshot()
        self.durable = dict(self.durable)
        node = present.get(status.st_ino)
        if node is None:
            return
        self.durable[status.st_ino] = node
        self.renames = tuple(each for each in self.renames if each[0] != status.st_ino)
        if node[0] == "directory":
            for inode in node[1].values():  # a synced name leads to an inode, whose bytes may not be there
                there = present[inode]
                if inode not in self.durable or self.durable[inode][0] != there[0]:
                    empty = {"file": ("file", b"", 0o100644, 0), "directory": ("directory", {}, 0o40755)}
                    self.durable[inode] = empty.get(there[0], there)


def after_the_cut(durable: dict, present: dict, renames: tuple, chance: random.Random) -> dict:
    """What the disk holds: all that is durable; of the rest some, name by name and file by file."""
    disk = {}
    for inode in {*durable, *present} - {"top"}:
        old, new = durable.get(inode), present.get(inode)
        if old is None or new is None or old == new:
            disk[inode] = old or new
            if old is None and new[0] == "file" and chance.random() < 0.5:
                disk[inode] = ("file", new[1][: len(new[1]) // 2], new[2], new[3])
            elif old is None and new[0] == "directory":
                disk[inode] = (
                    "directory",
                    {n: i for n, i in new[1].items() if chance.random() < 0.5},
                    new[2],
                )
        elif new[0] == "directory":
            names = {}
            for name in {*old[1], *new[1]}:
                before, now = old[1].get(name), new[1].get(name)
                kept = now if chance.random() < 0.5 else before
                if kept is not None:
                    names[name] = kept
            for directory, source, target in renames:
                if directory == inode:
                    table = new[1] if chance.random() < 0.5 else old[1]
                    for name in (source, target):
                        names.pop(name, None)
                        if name in table:
                            names[name] = table[name]
            disk[inode] = ("directory", names, new[2])
        else:
            disk[inode] = new if chance.random() < 0.5 else old
    disk["top"] = durable["top"]
    return disk


def write_out(disk: dict, top: str) -> None:
    """The directory `top` holds that disk; names of one inode are hard links."""
    shutil.rmtree(top, ignore_errors=True)
    places: dict[int, str] = {}
    os.mkdir(top)
    pending = [(disk["top"], top)]
    while pending:
        inode, path = pending.pop()
        for name, inner in disk[inode][1].items():
            node = disk.get(inner)
            at = os.path.join(path, name)
            if node is None:
                continue
            if node[0] == "directory":
                if inner in places:  # a directory has one name: a half-done rename keeps the one seen first
                    continue
                places[inner] = at
                os.mkdir(at)
                pending.append((inner, at))
            elif inner in places:
                os.link(places[inner], at, follow_symlinks=False)
            elif node[0] == "link":
                places[inner] = at
                os.symlink(node[1], at)
            else:
                places[inner] = at
                with open(at, "wb") as file:
                    file.write(node[1])
                os.chmod(at, stat.S_IMODE(node[2]))
                os.utime(at, ns=(node[3], node[3]))


@pytest.mark.parametrize("change", ["install", "upgrade", "remove"])
@pytest.mark.parametrize("layout", ["plain", "generations"])
def test_power_cut_at_every_call_tears_no_tree(scenario, layout, change):
    it = scenario(layout, change)
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with Recorder(it.root) as recorder:
        it.change()
    assert len(recorder.moments) > 40
    seen = {"before": 0, "after": 0}
    top = os.path.dirname(it.root)
    for at, (durable, present, renames) in enumerate(recorder.moments):
        for how in ("nothing", "some"):
            disk = durable if how == "nothing" else after_the_cut(durable, present, renames, chance)
            write_out(disk, top)
            it.recover()
            outcome = it.outcome()
            assert outcome in seen, (
                f"seed {seed}: torn at call {at} of {len(recorder.moments)}, {how} unsynced kept"
            )
            seen[outcome] += 1
    write_out(recorder.durable, top)
    it.recover()
    assert it.outcome() == "after", "a change that had returned was lost"
    print(f"{layout} {change}: seed {seed}, {seen}, 0 torn")


def test_the_model_tears_a_tree_that_does_not_sync(scenario, monkeypatch):
    """The model can fail: without syncing, a cut tears the tree."""
    it = scenario("plain", "install")
    chance = random.Random(1)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    with Recorder(it.root) as recorder:
        recorder._sync = lambda _status: None
        it.change()
    top = os.path.dirname(it.root)
    torn = 0
    for durable, present, renames in recorder.moments[::3]:
        write_out(after_the_cut(durable, present, renames, chance), top)
        try:
            it.recover()
            torn += it.outcome() == "TORN"
        except Exception:
            torn += 1
    assert torn > 0
