"""`pumice.lock` as text and back, and what it says of a tree."""

import subprocess
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import DataError
from pumice.solve.lock import (
    Changed,
    Lock,
    LockedRock,
    check_digest,
    difference,
    lock_text,
    read_lock,
)

LINUX = "linux-x86_64"
ONE, TWO = "1" * 64, "2" * 64


def rock(name, version="1.0-1", *needs, lua="5.1", platform=LINUX, sha256=ONE, **more):
    url = f"https://rocks.example/{name}-{version}.all.rock"
    return LockedRock(name, version, lua, platform, url, sha256, needs, **more)


def test_the_text_is_the_settled_format():
    lock = Lock(
        [
            rock("penlight", "1.14.0-2", "luafilesystem"),
            rock("luafilesystem", "1.8.0-1", commit="c" * 40, namespace="kepler"),
        ]
    )
    expected = f"""\
# Written by `pumice lock`: which rocks there are, from where, and what their bytes are.
version = 1

[[rock]]
name = "luafilesystem"
version = "1.8.0-1"
namespace = "kepler"
lua = "5.1"
platform = "linux-x86_64"
url = "https://rocks.example/luafilesystem-1.8.0-1.all.rock"
commit = "{"c" * 40}"
sha256 = "{ONE}"

[[rock]]
name = "penlight"
version = "1.14.0-2"
lua = "5.1"
platform = "linux-x86_64"
url = "https://rocks.example/penlight-1.14.0-2.all.rock"
sha256 = "{ONE}"
dependencies = [
  "luafilesystem",
]
"""
    assert expected == lock_text(lock)
    assert lock == read_lock(expected)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
safe = st.from_regex(r"[a-z][a-z0-9._-]{0,8}", fullmatch=True)


@given(
    st.lists(
        st.builds(
            LockedRock,
            safe,
            st.sampled_from(["1.0-1", "1.0-2", "1.10-1", "1.9-1", "scm-1"]),
            st.sampled_from(["5.1", "5.4"]),
            st.sampled_from([LINUX, "macosx-aarch64"]),
            texts,
            st.sampled_from([ONE, TWO]),
            st.just(()),
            st.sampled_from([None, "a" * 40]),
            st.none() | safe,
        ),
        unique_by=lambda each: (each.name, each.lua, each.platform),
    )
)
def test_what_is_written_is_read_again_whatever_it_says_and_in_whatever_order(rocks_given):
    lock = Lock(rocks_given)
    text = lock_text(lock)
    assert lock == read_lock(text)
    assert text == lock_text(Lock(reversed(rocks_given)))
    assert len(rocks_given) == len(tomllib.loads(text).get("rock", []))


def test_rocks_are_sorted_by_name_then_version_as_luarocks_orders_it():
    lock = Lock([rock("b"), rock("a", "1.10-1", lua="5.4"), rock("a", "1.9-1")])
    assert [(each.name, each.version) for each in lock.rocks] == [
        ("a", "1.9-1"),
        ("a", "1.10-1"),
        ("b", "1.0-1"),
    ]


def test_a_target_has_its_own_rocks_dependencies_first_and_the_others_stay():
    lock = Lock([rock("a", "1.0-1", "c"), rock("c"), rock("a", "2.0-1", lua="5.4")])
    assert [each.name for each in lock.select("5.1", LINUX)] == ["c", "a"]
    assert lock.targets() == (("5.1", LINUX), ("5.4", LINUX))
    changed = lock.with_target("5.4", LINUX, [rock("b", lua="5.4")])
    assert lock.select("5.1", LINUX) == changed.select("5.1", LINUX)
    assert [each.name for each in changed.select("5.4", LINUX)] == ["b"]


def test_rocks_that_need_one_another_are_still_ordered():
    assert [
        each.name for each in Lock([rock("a", "1.0-1", "b"), rock("b", "1.0-1", "a")]).select("5.1", LINUX)
    ] == ["b", "a"]


def test_a_target_without_rocks_is_an_error_that_names_the_others_and_an_empty_lock_is_none():
    with pytest.raises(
        DataError, match=r"nothing for Lua 5\.4 on linux-x86_64, only for Lua 5\.1 on linux-x86_64"
    ):
        Lock([rock("a")]).select("5.4", LINUX)
    assert Lock().select("5.4", LINUX) == ()


def test_the_difference_says_what_to_install_to_remove_and_what_has_other_bytes():
    locked = Lock([rock("a"), rock("b"), rock("c", "2.0-1"), rock("d")]).select("5.1", LINUX)
    there = {("a", "1.0-1"): ONE, ("b", "1.0-1"): TWO, ("c", "1.0-1"): ONE, ("d", "1.0-1"): None}
    found = difference(locked, there)
    assert [each.name for each in found.install] == ["c"]
    assert found.remove == (("c", "1.0-1"),)
    assert (Changed(rock("b"), TWO),) == found.changed
    assert ONE in str(found.changed[0]) and TWO in str(found.changed[0])


@pytest.mark.adversary(71)
def test_other_bytes_of_the_same_version_are_refused_with_both_digests():
    check_digest(rock("a"), ONE)
    with pytest.raises(DataError) as caught:
        check_digest(rock("a"), TWO)
    assert f"a 1.0-1 is not what pumice.lock says: its SHA-256 is {TWO}, not {ONE}" in caught.value.message


GOOD = lock_text(Lock([rock("a", "1.0-1", "b"), rock("b")]))


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("version = 1\n", "version = 2\n", "is of version 2; this Pumice reads version 1"),
        ("version = 1\n", "", "is without a version; this Pumice reads version 1"),
        ("version = 1\n", "version = true\n", "is of version True; this Pumice reads version 1"),
        ("version = 1\n", "version = 1\nextra = 1\n", "has the unknown field 'extra'"),
        ('name = "b"\n', "", "has no 'name' for rock number 2"),
        ('url = "https://rocks.example/b-1.0-1.all.rock"\n', "", "has no 'url' for rock number 2 (b)"),
        ('name = "b"', "name = 3", "must have a string as 'name' of rock number 2"),
        ('name = "b"', 'name = "../b"', "has a 'name' of rock number 2 (../b) that cannot be one: '../b'"),
        ('name = "b"', 'name = "b"\nmirror = "x"', "has the unknown field 'mirror' for rock number 2 (b)"),
        (
            'name = "b"',
            'name = "b"\ncommit = "abc"',
            "has a 'commit' of rock number 2 (b) that is not one in full",
        ),
        (ONE, ONE[:-1] + "g", "has a 'sha256' of rock number 1 (a) that is not 64 hexadecimal digits"),
        ('"b",', "3,", "must have a list of names as 'dependencies' of rock number 1 (a)"),
        ('"b",', '"c",', "says that a 1.0-1 needs c, but has no c for Lua 5.1 on linux-x86_64"),
        ('name = "b"', 'name = "a"', "has a twice for Lua 5.1 on linux-x86_64: 1.0-1 and 1.0-1"),
        ("[[rock]]", "[rock]", "is no TOML: Cannot overwrite a value"),
        ("version = 1\n", "version = 1\nrock = 3\n", "is no TOML"),
        ("[[rock]]", "<<<<<<< HEAD\n[[rock]]", "has conflicts of a merge in it"),
    ],
)
def test_what_is_wrong_is_said_exactly(before, after, problem):
    assert before in GOOD
    with pytest.raises(DataError) as caught:
        read_lock(GOOD.replace(before, after, 1), "pumice.lock")
    assert caught.value.message.startswith(f"pumice.lock {problem}")
    assert caught.value.hint


def test_a_bomb_of_nested_values_is_refused():
    with pytest.raises(DataError, match="is no TOML"):
        read_lock("version = 1\nx = " + "[" * 100_000)


@pytest.mark.peer
def test_branches_that_change_different_rocks_merge(tmp_path):
    names = ["a", "b", "c", "d", "e"]
    base = [rock(name) for name in names]
    ours = [rock("b", "2.0-1", sha256=TWO) if each.name == "b" else each for each in base]
    theirs = [rock("d", "2.0-1", sha256=TWO) if each.name == "d" else each for each in base] + [rock("f")]
    both = [rock(name, "2.0-1", sha256=TWO) if name in "bd" else rock(name) for name in [*names, "f"]]
    files = []
    for name, rocks_then in (("ours", ours), ("base", base), ("theirs", theirs)):
        files.append(tmp_path / name)
        files[-1].write_text(lock_text(Lock(rocks_then)))
    merged = subprocess.run(
        ["git", "merge-file", "-p", *files], capture_output=True, text=True, check=True, timeout=30
    )
    assert lock_text(Lock(both)) == merged.stdout
