"""A change of a plain tree: all of its steps, or none."""

from __future__ import annotations

import os
import stat
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.base import disk
from pumice.errors import DiskError, TreeError
from pumice.rock.content import Content
from pumice.tree.effect import effect_of
from pumice.tree.journal import Deleted, Journal, Made, Placed, encode
from pumice.tree.lock import TreeLock
from pumice.tree.steps import Delete, Make, Move, Prune, Put
from pumice.tree.transaction import commit, pending, recover


def put(path, text: str = "text", mode: int = 0o644) -> Put:
    return Put(str(path), Content.of_bytes(text.encode()), mode)


def files_in(root) -> dict[str, str]:
    """Every file by its path below `root`."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            with open(path) as file:
                found[os.path.relpath(path, root)] = file.read()
    return found


def refuse(text: str):
    raise DiskError(text)


def test_the_steps_happen_and_nothing_else_is_left(tmp_path):
    root = tmp_path / "tree"
    with TreeLock(str(root)):
        commit(str(root), [put(root / "a/b/c.lua", "1"), put(root / "bin/x", "2", 0o755)])
    assert files_in(root) == {"a/b/c.lua": "1", "bin/x": "2"}
    assert sorted(os.listdir(root)) == ["a", "bin"]


def test_modes_and_directories_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        commit(str(tmp_path), [put(tmp_path / "d/x", mode=0o755), put(tmp_path / "d/y", mode=0o4644)])
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "d").st_mode) == 0o750
    assert stat.S_IMODE(os.stat(tmp_path / "d/x").st_mode) == 0o750
    assert stat.S_IMODE(os.stat(tmp_path / "d/y").st_mode) == 0o640


@pytest.mark.adversary(13)
def test_a_file_takes_the_place_of_a_directory_and_the_reverse(tmp_path):
    root = str(tmp_path)
    commit(root, [put(tmp_path / "d/e/f", "1"), put(tmp_path / "g", "2")])
    commit(
        root,
        [
            Delete(f"{root}/d/e/f"),
            put(tmp_path / "d", "now a file"),
            Delete(f"{root}/g"),
            put(tmp_path / "g/h", "3"),
        ],
    )
    assert files_in(root) == {"d": "now a file", "g/h": "3"}


@pytest.mark.adversary(13)
@pytest.mark.parametrize("path", ["d", "d/kept/deeper"])
def test_what_is_in_the_way_and_not_deleted_is_refused_and_kept(tmp_path, path):
    root = str(tmp_path)
    commit(root, [put(tmp_path / "d/kept", "1")])
    with pytest.raises(TreeError, match="in the way"):
        commit(root, [put(tmp_path / "other", "x"), put(tmp_path / path, "2")])
    assert files_in(root) == {"d/kept": "1"}
    assert not os.path.exists(tmp_path / ".pumice/undo")


def test_a_module_may_be_put_moved_and_replaced_in_one_change(tmp_path):
    root = str(tmp_path)
    commit(root, [put(tmp_path / "m.lua", "old")])
    commit(
        root,
        [
            Move(f"{root}/m.lua", f"{root}/old-m.lua"),
            put(tmp_path / "m.lua", "new"),
            Move(f"{root}/m.lua", f"{root}/x.lua"),
            put(tmp_path / "m.lua", "newest"),
        ],
    )
    assert files_in(root) == {"old-m.lua": "old", "x.lua": "new", "m.lua": "newest"}


def test_empty_directories_are_pruned_up_to_the_stop(tmp_path):
    root = str(tmp_path)
    commit(root, [put(tmp_path / "a/b/c/d"), put(tmp_path / "a/x")])
    commit(root, [Delete(f"{root}/a/b/c/d"), Prune(f"{root}/a/b/c", f"{root}/a")])
    assert os.listdir(tmp_path / "a") == ["x"]


def test_a_directory_may_be_all_that_a_change_makes(tmp_path):
    root = str(tmp_path)
    commit(root, [Make(f"{root}/a/b"), Make(f"{root}/a")])
    commit(root, [Make(f"{root}/a/b")])
    assert os.listdir(tmp_path / "a") == ["b"]
    commit(root, [Prune(f"{root}/a/b", f"{root}/a")])
    assert os.listdir(tmp_path / "a") == []


def test_a_directory_that_was_made_is_undone(tmp_path):
    root = str(tmp_path)
    commit(root, [put(tmp_path / "a")])
    with pytest.raises(DiskError, match="hook"):
        commit(root, [Make(f"{root}/d/e")], before_finish=lambda: refuse("hook"))
    assert sorted(os.listdir(root)) == [".pumice", "a"] or os.listdir(root) == ["a"]


@pytest.mark.parametrize("path", ["a", "a/b"])
def test_a_file_in_the_way_of_a_directory_is_refused(tmp_path, path):
    root = str(tmp_path)
    commit(root, [put(tmp_path / "a", "kept")])
    with pytest.raises(TreeError, match="in the way"):
        commit(root, [Make(f"{root}/{path}")])
    assert files_in(root) == {"a": "kept"}


@pytest.mark.adversary(42)
@pytest.mark.parametrize("path", ["../out", ".pumice/x", "a/../../out"])
def test_no_directory_is_made_outside(tmp_path, path):
    root = str(tmp_path / "tree")
    with pytest.raises(TreeError, match="outside"):
        commit(root, [Make(f"{root}/{path}")])
    assert not os.path.exists(tmp_path / "out")


def test_what_the_hook_raises_undoes_everything(tmp_path):
    root = str(tmp_path)
    commit(root, [put(tmp_path / "manifest", "old"), put(tmp_path / "gone/x", "1")])
    seen = []

    def hook():
        seen.append(files_in(root).get("new/file"))
        refuse("post_install failed")

    steps = [put(tmp_path / "manifest", "new"), put(tmp_path / "new/file", "2"), Delete(f"{root}/gone/x")]
    steps.append(Prune(f"{root}/gone", root))
    with pytest.raises(DiskError, match="post_install failed"):
        commit(root, steps, before_finish=hook)
    assert seen == ["2"]
    assert files_in(root) == {"manifest": "old", "gone/x": "1"}
    assert not os.path.exists(tmp_path / "new")


def test_a_content_that_cannot_be_read_changes_nothing(tmp_path):
    root = str(tmp_path)
    with pytest.raises(DiskError, match="broken archive"):
        commit(
            root, [put(tmp_path / "a/b"), Put(f"{root}/c", Content(lambda: refuse("broken archive")), 0o644)]
        )
    assert files_in(root) == {}
    assert os.listdir(tmp_path) in ([], [".pumice"])


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/etc/passwd", ".pumice/x", "a//b", "."])
def test_steps_outside_of_the_tree_are_refused(tmp_path, path):
    root = tmp_path / "tree"
    root.mkdir()
    with pytest.raises(TreeError, match="outside of the tree"):
        commit(str(root), [put(f"{root}/{path}" if path[0] != "/" else path)])
    assert files_in(tmp_path) == {}


def test_a_tree_whose_path_is_a_symlink_is_changed_where_it_leads(tmp_path):
    (tmp_path / "real").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "link")
    with TreeLock(str(tmp_path / "link")):
        commit(str(tmp_path / "link"), [put(tmp_path / "link/a/b", "1")])
    assert files_in(tmp_path / "real") == {"a/b": "1"}


def test_without_hard_links_copies_serve(tmp_path, monkeypatch):
    """File systems without links, and files of other users (fs.protected_hardlinks)."""
    root = str(tmp_path)
    commit(root, [put(tmp_path / "m", "old"), put(tmp_path / "n", "n", 0o755)])

    def no_link(*_args, **_named):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    steps = [put(tmp_path / "m", "new"), Move(f"{root}/n", f"{root}/moved")]
    with pytest.raises(DiskError):
        commit(root, steps, before_finish=lambda: refuse("no"))
    assert files_in(root) == {"m": "old", "n": "n"}
    commit(root, steps)
    assert files_in(root) == {"m": "new", "moved": "n"}
    assert os.stat(tmp_path / "moved").st_mode & 0o777 == 0o755


@pytest.mark.skipif(
    not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == os.stat(tempfile.gettempdir()).st_dev,
    reason="needs a second file system at /dev/shm",
)
def test_directories_on_another_file_system_are_part_of_the_change(tmp_path):
    root = str(tmp_path)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        elsewhere = f"{place}/deep/bin"
        commit(root, [put(f"{elsewhere}/x", "1"), put(tmp_path / "m", "1")], directories=[elsewhere])
        assert files_in(place) == {"deep/bin/x": "1"}
        steps = [put(f"{elsewhere}/x", "2"), put(f"{elsewhere}/y", "2"), put(tmp_path / "m", "2")]
        steps.append(Move(f"{root}/m", f"{root}/n"))
        with pytest.raises(DiskError):
            commit(root, steps, directories=[elsewhere], before_finish=lambda: refuse("no"))
        assert (files_in(place), files_in(root)) == ({"deep/bin/x": "1"}, {"m": "1"})
        commit(root, steps, directories=[elsewhere])
        assert (files_in(place), files_in(root)) == ({"deep/bin/x": "2", "deep/bin/y": "2"}, {"n": "2"})
        assert sorted(os.listdir(elsewhere)) == ["x", "y"]


def journal_in(tmp_path, data: bytes) -> str:
    (tmp_path / "tree/.pumice").mkdir(parents=True)
    (tmp_path / "tree/.pumice/undo").write_bytes(data)
    (tmp_path / "tree/.pumice/o0").write_text("evil")
    return str(tmp_path / "tree")


@pytest.mark.adversary(41)
@pytest.mark.parametrize("path", ["../victim", "/etc/victim", "a/../../victim", ".pumice/lock"])
def test_a_hostile_journal_touches_nothing_outside_of_the_tree(tmp_path, path):
    root = str(tmp_path / "tree")
    (tmp_path / "victim").write_text("victim")
    for operation in (Placed(path, 0, 0, 6, 0, True), Deleted(path, 0, 0), Made(path)):
        bad = Journal((f"{root}/.pumice",), (operation,))
        assert journal_in(tmp_path, encode(bad, root)) == root
        with pytest.raises(TreeError, match="outside of the tree"):
            recover(root)
        assert (tmp_path / "victim").read_text() == "victim"
        disk.remove_tree(root)


@pytest.mark.adversary(41)
def test_another_users_journal_does_not_lead_out_through_a_symlink(tmp_path, monkeypatch):
    root = str(tmp_path / "tree")
    journal_in(tmp_path, encode(Journal((f"{root}/.pumice",), (Deleted(f"{root}/out/victim", 0, 0),)), root))
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", f"{root}/out")
    os.chown(f"{root}/.pumice/undo", 12345, 12345) if os.geteuid() == 0 else None
    if os.geteuid() != 0:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(TreeError, match="leads out of the tree"):
        recover(root)
    assert os.listdir(tmp_path / "outside") == []


def test_a_damaged_journal_is_an_error_that_says_what_to_do(tmp_path):
    good = encode(Journal((f"{tmp_path}/tree/.pumice",), (Made(f"{tmp_path}/tree/d"),)), f"{tmp_path}/tree")
    for bad in (b"", good[:-1], good.replace(b"made", b"fade"), b"\0" * 100):
        root = journal_in(tmp_path, bad)
        with pytest.raises(TreeError, match="damaged") as caught:
            recover(root)
        assert "pumice verify" in caught.value.hint
        disk.remove_tree(root)


def test_a_journal_of_another_version_is_named_as_such(tmp_path):
    root = journal_in(tmp_path, b"pumice-journal 2 abc\nwhatever")
    with pytest.raises(TreeError, match=r"another version of Pumice \(journal version 2\)"):
        recover(root)
    with pytest.raises(TreeError, match="was not finished"):
        commit(root, [put(f"{root}/x")])
    assert pending(root)


def test_undoing_leaves_alone_what_somebody_else_put_there_since(tmp_path):
    """LuaRocks 3.8 knows no lock: what it did after our process died is not lost."""
    root = str(tmp_path)
    commit(root, [put(tmp_path / "manifest", "old")])
    child = os.fork()
    if child == 0:
        commit(
            root,
            [put(tmp_path / "manifest", "new"), put(tmp_path / "m", "m")],
            before_finish=lambda: os._exit(0),
        )
    os.waitpid(child, 0)
    assert pending(root)
    (tmp_path / "manifest").write_text("written by luarocks")
    assert recover(root) == "undone"
    assert files_in(root) == {"manifest": "written by luarocks"}
    assert recover(root) is None


def test_an_installation_of_one_small_rock_is_cheap(tmp_path):
    """The budget is 8 ms with the lock; asserted with tenfold slack."""
    import time

    root = str(tmp_path)
    best = 1.0
    for number in range(5):
        steps = [put(tmp_path / f"rocks/r{number}/1-1/f{each}") for each in range(4)]
        steps += [put(tmp_path / f"share/r{number}/m{each}.lua") for each in range(4)]
        steps.append(put(tmp_path / "rocks/manifest", str(number)))
        started = time.perf_counter()
        with TreeLock(root):
            recover(root)
            commit(root, steps)
        best = min(best, time.perf_counter() - started)
    print(f"{best * 1000:.1f} ms")
    assert best < 0.08


NAMES = st.sampled_from(["a", "b", "c", "d/e", "d/f", "g/h/i"])
STEPS = st.one_of(
    st.tuples(st.just("put"), NAMES, st.text("xyz", min_size=1, max_size=3)),
    st.tuples(st.just("move"), NAMES, NAMES),
    st.tuples(st.just("delete"), NAMES, st.just("")),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, st.text("xyz", min_size=1), max_size=4), st.lists(STEPS, max_size=8))
def test_the_effect_is_that_of_the_steps_one_after_the_other(existing, described):
    with tempfile.TemporaryDirectory() as root:
        for name, text in existing.items():
            disk.make_directories(os.path.dirname(f"{root}/{name}"))
            disk.write_atomic(f"{root}/{name}", text.encode())
        model = dict(existing)
        steps = []
        for kind, name, other in described:
            if kind == "put":
                steps.append(put(f"{root}/{name}", other))
                model[name] = other
            elif kind == "delete":
                steps.append(Delete(f"{root}/{name}"))
                model.pop(name, None)
            elif name in model and name != other:
                steps.append(Move(f"{root}/{name}", f"{root}/{other}"))
                model[other] = model.pop(name)
        with pytest.raises(DiskError, match="no"):
            commit(root, [*steps, put(f"{root}/always", "x")], before_finish=lambda: refuse("no"))
        assert files_in(root) == existing
        commit(root, steps)
        assert files_in(root) == model


def test_a_step_that_changes_nothing_is_not_carried_out(tmp_path):
    (tmp_path / "a").write_text("a")
    steps = [
        Move(f"{tmp_path}/a", f"{tmp_path}/b"),
        Move(f"{tmp_path}/b", f"{tmp_path}/a"),
        Delete(f"{tmp_path}/c"),
    ]
    assert effect_of(steps).files == {}
