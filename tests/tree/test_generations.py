"""A tree of generations: whole directories of links, one of them current."""

from __future__ import annotations

import os
import shutil
import stat

import pytest

from pumice.base.config import TreeSpec
from pumice.errors import DiskError, TreeError
from pumice.rock.content import Content
from pumice.tree.generations import GenerationTree
from pumice.tree.kinds import PlainTree, open_tree
from pumice.tree.steps import Delete, Make, Move, Prune, Put


def spec_at(root) -> TreeSpec:
    return TreeSpec(
        "arg",
        str(root),
        f"{root}/bin",
        f"{root}/share/lua/5.1",
        f"{root}/lib/lua/5.1",
        f"{root}/lib/luarocks/rocks-5.1",
    )


def put(path: str, text: str, mode: int = 0o644) -> Put:
    return Put(path, Content.of_bytes(text.encode()), mode)


@pytest.fixture
def tree(tmp_path) -> GenerationTree:
    """A tree that is not there yet."""
    return open_tree(spec_at(tmp_path / "tree"), layout="generations")


def change(tree, *described, command="test", **named) -> None:
    """Put (path, text) for each, below the new generation."""
    with tree.change(command=command) as one:
        one.commit([put(f"{one.spec.root}/{path}", text) for path, text in described], **named)


def text_of(tree, path: str) -> str:
    with open(f"{tree.read_spec.root}/{path}") as file:
        return file.read()


def test_a_change_makes_a_new_generation_and_the_old_one_stays_as_it_was(tree):
    change(tree, ("share/lua/5.1/a.lua", "1"), ("share/lua/5.1/b.lua", "b"))
    before = tree.read_spec
    change(tree, ("share/lua/5.1/a.lua", "2"))
    assert tree.current == 2
    assert tree.read_spec.lua_dir == f"{tree.root}/generations/2/share/lua/5.1"
    assert (text_of(tree, "share/lua/5.1/a.lua"), text_of(tree, "share/lua/5.1/b.lua")) == ("2", "b")
    with open(f"{before.lua_dir}/a.lua") as file:
        assert file.read() == "1"
    assert os.path.samefile(f"{before.lua_dir}/b.lua", f"{tree.read_spec.lua_dir}/b.lua")
    assert os.readlink(f"{tree.root}/current") == "generations/2"
    assert sorted(os.listdir(tree.root)) == ["current", "generations", "store"]


def test_all_kinds_of_steps(tree):
    change(tree, ("share/lua/5.1/m.lua", "m"), ("share/lua/5.1/d/x.lua", "x"))
    with tree.change() as one:
        lua = one.spec.lua_dir
        one.commit(
            [
                Move(f"{lua}/m.lua", f"{lua}/old/m.lua"),
                Delete(f"{lua}/d/x.lua"),
                Delete(f"{lua}/d/never-was.lua"),
                Prune(f"{lua}/d", one.spec.root),
                put(f"{lua}/d", "a file now"),
                put(f"{one.spec.bin_dir}/c", "#!/bin/sh", 0o755),
            ]
        )
    assert sorted(tree.generation(2).files) == ["bin/c", "share/lua/5.1/d", "share/lua/5.1/old/m.lua"]
    assert stat.S_IMODE(os.stat(f"{tree.read_spec.bin_dir}/c").st_mode) & 0o555 == 0o555
    assert stat.S_IMODE(os.stat(f"{tree.read_spec.lua_dir}/d").st_mode) & 0o222 == 0


def test_empty_directories_stay_from_generation_to_generation(tree):
    with tree.change() as one:
        one.commit([Make(f"{one.spec.root}/data/empty"), Make(f"{one.spec.root}/data/filled")])
    change(tree, ("data/filled/x", "1"))
    change(tree, ("b", "1"))
    assert os.listdir(f"{tree.root}/current/data/empty") == []
    assert tree.generation(3).directories == ("data/empty",)
    with tree.change() as one:
        root = one.spec.root
        one.commit([Prune(f"{root}/data/empty", root), put(f"{root}/c", "1")])
    assert not os.path.exists(f"{tree.root}/current/data/empty")
    assert tree.generation(4).directories == ()
    tree.rollback(1)
    assert sorted(os.listdir(f"{tree.root}/current/data")) == ["empty", "filled"]


def test_a_record_that_names_a_directory_outside_is_refused(tree):
    import json

    change(tree, ("a", "1"))
    record = f"{tree.root}/generations/1/generation.json"
    with open(record) as file:
        data = json.load(file)
    with open(record, "w") as file:
        json.dump({**data, "directories": ["../../../out"]}, file)
    with pytest.raises(TreeError, match="outside"), tree.change():
        pass
    assert not os.path.exists(f"{tree.root}/../out")


def test_what_was_not_committed_leaves_nothing(tree):
    with tree.change():
        pass
    assert not os.path.exists(tree.root) or os.listdir(tree.root) == ["generations"]
    change(tree, ("a", "1"))
    with pytest.raises(DiskError, match="hook"), tree.change() as one:

        def hook():
            raise DiskError("hook")

        one.commit([put(f"{one.spec.root}/a", "2")], before_finish=hook)
    assert (tree.current, text_of(tree, "a"), os.listdir(f"{tree.root}/generations")) == (1, "1", ["1"])
    assert not os.path.exists(f"{tree.root}/.pumice")


def test_files_that_a_hook_made_belong_to_the_generation(tree):
    with tree.change() as one:

        def hook():
            with open(f"{one.spec.root}/made", "w") as file:
                file.write("by the hook")

        one.commit([put(f"{one.spec.root}/a", "1")], before_finish=hook)
    change(tree, ("b", "2"))
    assert text_of(tree, "made") == "by the hook"


def test_a_wrapper_names_the_generation_that_it_is_in(tree):
    with tree.change() as one:
        one.commit([put(f"{one.spec.bin_dir}/c", f"exec lua {one.spec.root}/lib/x", 0o755)])
    change(tree, ("a", "1"))
    assert text_of(tree, "bin/c") == f"exec lua {tree.root}/generations/2/lib/x"


def test_history_and_rollback(tree):
    change(tree, ("a", "1"), command="install x", added=[("x", "1.0-1")])
    change(tree, ("a", "2"), command="install y", added=[("y", "2.0-1")], removed=[("x", "1.0-1")])
    change(tree, ("a", "3"))
    told = [(each.number, each.parent, each.command, each.added, each.removed) for each in tree.history()]
    assert told[:2] == [
        (1, 0, "install x", (("x", "1.0-1"),), ()),
        (2, 1, "install y", (("y", "2.0-1"),), (("x", "1.0-1"),)),
    ]
    assert tree.rollback(1).number == 1
    assert text_of(tree, "a") == "1"
    change(tree, ("b", "4"))
    assert (tree.current, tree.generation(4).parent, text_of(tree, "a")) == (4, 1, "1")
    assert tree.rollback().number == 1
    with pytest.raises(TreeError, match="no generation before 1"):
        tree.rollback()
    with pytest.raises(TreeError, match="no generation 77"):
        tree.rollback(77)


def test_only_so_many_generations_are_kept_and_their_contents(tmp_path):
    tree = open_tree(spec_at(tmp_path / "tree"), layout="generations", keep=3)
    for number in range(8):
        change(tree, ("a", f"content {number}"), ("same", "same"))
    assert [each.number for each in tree.history()] == [6, 7, 8]
    assert len(list(tree.store.keys())) == 4
    assert tree.verify() == ()
    tree.rollback(6)
    assert tree.collect(keep=1).generations == (7,)
    assert [each.number for each in tree.history()] == [6, 8]
    assert len(list(tree.store.keys())) == 3


def corrupt(path: str, *, quietly: bool) -> None:
    """Other bytes of the same length; quietly: with the old times and mode, as a failing disk does it."""
    status = os.stat(path)
    os.chmod(path, 0o644)
    with open(path, "r+") as file:
        file.write("X")
    if quietly:
        os.chmod(path, stat.S_IMODE(status.st_mode))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.adversary(47, 48)
@pytest.mark.parametrize("quietly", [False, True], ids=["edited", "bit rot"])
def test_a_damaged_content_is_found_by_verify_and_never_linked_again(tree, quietly):
    change(tree, ("share/lua/5.1/m.lua", "good"), ("n", "n"))
    corrupt(f"{tree.read_spec.lua_dir}/m.lua", quietly=quietly)
    damage = tree.verify()
    assert [(each.generation, each.path) for each in damage] == [(1, "share/lua/5.1/m.lua")]
    with pytest.raises(TreeError, match=r"changed or damaged on disk: share/lua/5\.1/m\.lua"):
        change(tree, ("n", "other"))
    assert tree.current == 1
    change(tree, ("share/lua/5.1/m.lua", "good"))
    assert text_of(tree, "share/lua/5.1/m.lua") == "good"
    change(tree, ("n", "other"))
    assert text_of(tree, "share/lua/5.1/m.lua") == "good"


@pytest.mark.adversary(47)
def test_who_may_not_write_can_verify(tree, tmp_path):
    change(tree, ("m", "good"), ("n", "n"))
    corrupt(f"{tree.read_spec.root}/m", quietly=True)
    child = os.fork()
    if child == 0:
        found = 99
        try:
            if os.geteuid() == 0:
                # under xdist there is one more directory of pytest's own above
                for folder in (tmp_path, *tmp_path.parents):
                    if str(folder) not in ("/", "/tmp"):
                        os.chmod(folder, os.stat(folder).st_mode | 0o055)
                os.setuid(65534)
            else:
                os.chmod(tree.root, 0o555)
            found = [each.path for each in tree.verify()] == ["m"]
        finally:
            os._exit(found)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert not os.path.exists(f"{tree.root}/store/damaged")
    os.chmod(tree.root, 0o755)


@pytest.mark.adversary(48)
def test_an_edit_through_a_link_shows_at_the_next_change_without_reading_everything(tree):
    change(tree, ("share/lua/5.1/m.lua", "good"), ("n", "n"))
    corrupt(f"{tree.read_spec.lua_dir}/m.lua", quietly=False)
    with pytest.raises(TreeError, match="changed or damaged"):
        change(tree, ("n", "other"))


@pytest.mark.adversary(48)
def test_contents_cannot_be_written_by_those_who_are_not_root(tree):
    change(tree, ("share/lua/5.1/m.lua", "good"))
    for key in list(tree.store.keys()):
        assert os.stat(tree.store.path(key)).st_mode & 0o222 == 0


def test_where_links_are_refused_copies_serve(tree, monkeypatch):
    def no_link(*_args, **_named):
        raise OSError(31, "Too many links")

    change(tree, ("a", "1"))
    monkeypatch.setattr(os, "link", no_link)
    change(tree, ("b", "2"))
    assert (text_of(tree, "a"), text_of(tree, "b")) == ("1", "2")
    assert tree.collect(keep=1).files == 0


@pytest.mark.parametrize("record", [b"", b"{}", b"[]", b'{"version": 9}', b'{"version": 1, "files": 7}'])
def test_a_damaged_record_is_an_error_and_stops_the_collection_of_garbage(tree, record):
    change(tree, ("a", "1"))
    change(tree, ("a", "2"))
    with open(f"{tree.root}/generations/1/generation.json", "wb") as file:
        file.write(record)
    with pytest.raises(TreeError):
        tree.rollback(1)
    assert tree.collect().files == 0
    assert [each.number for each in tree.history()] == [2]


@pytest.mark.adversary(41)
def test_a_hostile_record_does_not_lead_outside(tree, tmp_path):
    change(tree, ("a", "1"))
    record = f"{tree.root}/generations/1/generation.json"
    with open(record) as file:
        text = file.read()
    os.chmod(record, 0o644)
    with open(record, "w") as file:
        file.write(text.replace('"a":', '"../../../victim":'))
    with pytest.raises(TreeError, match="outside"):
        change(tree, ("b", "2"))
    assert sorted(os.listdir(tmp_path)) == ["tree"]


def test_the_kind_is_told_from_the_disk(tree, tmp_path):
    change(tree, ("lib/luarocks/rocks-5.1/manifest", "x"))
    assert open_tree(spec_at(tree.root)).kind == "generations"
    with pytest.raises(TreeError, match="is a tree of generations"):
        open_tree(spec_at(tree.root), layout="plain")
    plain = open_tree(spec_at(tmp_path / "plain"))
    assert isinstance(plain, PlainTree)
    with plain.change() as one:
        one.commit([put(f"{one.spec.rocks_dir}/manifest", "x")])
    with pytest.raises(TreeError, match="is a plain tree already"):
        open_tree(spec_at(plain.root), layout="generations")


@pytest.mark.parametrize("way", ["current", "generations/1"])
def test_one_generation_can_be_read_as_a_plain_tree_and_not_changed(tree, way):
    change(tree, ("lib/luarocks/rocks-5.1/manifest", "x"))
    one = open_tree(spec_at(f"{tree.root}/{way}"))
    assert one.kind == "plain"
    with pytest.raises(TreeError, match="generations never change"):
        one.change()


def test_directories_elsewhere_are_refused(tmp_path):
    spec = spec_at(tmp_path / "tree").replace(bin_dir=str(tmp_path / "elsewhere"))
    with pytest.raises(TreeError, match="cannot have"):
        open_tree(spec, layout="generations").change().__enter__()
    shutil.rmtree(tmp_path)
