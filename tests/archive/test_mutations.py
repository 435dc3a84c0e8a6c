"""Archives with bytes changed at random: refused as broken, or read as what they then say; never a crash."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.archive.member import Limits
from pumice.archive.names import NameSet, name_problem
from pumice.archive.tar_reader import open_tar
from pumice.archive.zip_reader import open_zip, read_member
from pumice.errors import ArchiveError, NotFoundError

pytestmark = pytest.mark.adversary(25)

CHANGES = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert", "double"]), st.integers(0, 4000), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def _changed(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    for kind, where, value in changes:
        at = where % (len(data) + 1)
        if kind == "set":
            data = data[:at] + bytes([value]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + value % 40 :]
        elif kind == "insert":
            data = data[:at] + bytes([value]) * (1 + value % 3) + data[at:]
        else:
            data = data[: at + 30] + data[at:]
    return data


def _read_all(path: Path, data: bytes, opens: Any) -> dict[str, bytes]:
    path.write_bytes(data)
    with opens(str(path)) as archive:
        for member in archive.members:
            assert name_problem(member.name) is None
        return {m.name: archive.read(m.name) for m in archive.members if m.kind == "file"}


@given(changes=CHANGES)
@settings(max_examples=600, deadline=None)
def test_a_changed_zip_is_refused_or_sound(changes: Any, zips: Any, tmp_path_factory: Any) -> None:
    """CRCs guard the contents: what is read is what was written, under whatever name."""
    members = [
        zips.member(b"dir/one.lua", b"return 1\n" * 20, method=8),
        zips.member(b"two", b"2" * 30),
        zips.member(b"link", b"two", mode=0o120777),
    ]
    data = _changed(zips.build(members, comment=b"comment"), changes)
    try:
        found = _read_all(tmp_path_factory.getbasetemp() / "changed.zip", data, open_zip)
    except ArchiveError:
        return
    assert set(found.values()) <= {b"return 1\n" * 20, b"2" * 30, b"two"}


class _Parts:
    """Bytes by position, as a server gives them."""

    path = "http://server/changed.zip"

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


@given(changes=CHANGES)
@settings(max_examples=600, deadline=None)
def test_one_member_read_alone_is_what_the_whole_says(changes: Any, zips: Any, tmp_path_factory: Any) -> None:
    """Where the whole archive is accepted, a member read in parts is the same; else it is that or refused."""
    members = [
        zips.member(b"dir/one.lua", b"return 1\n" * 20, method=8),
        zips.member(b"two", b"2" * 30),
        zips.member(b"three", b"return 1\n" * 20, method=8),
    ]
    data = _changed(zips.build(members, comment=b"comment"), changes)
    try:
        whole = _read_all(tmp_path_factory.getbasetemp() / "changed-too.zip", data, open_zip)
    except ArchiveError:
        whole = None
    for name in ("dir/one.lua", "two", "three"):
        try:
            alone = read_member(_Parts(data), name, Limits())
        except (ArchiveError, NotFoundError):
            assert whole is None or name not in whole
            continue
        assert alone in (b"return 1\n" * 20, b"2" * 30)
        assert whole is None or whole[name] == alone


@pytest.mark.parametrize("compressed", [False, True])
@given(changes=CHANGES)
@settings(max_examples=300, deadline=None)
def test_a_changed_tar_is_refused_or_read(
    compressed: bool, changes: Any, tars: Any, tmp_path_factory: Any
) -> None:
    data = tars.build(
        tars.file(b"dir/one.lua", b"return 1\n" * 20),
        tars.pax(path=b"long/" * 10 + b"name"),
        tars.file(b"two", b"2" * 30),
        tars.header(b"link", kind=b"2", target=b"dir/one.lua"),
    )
    data = _changed(gzip.compress(data) if compressed else data, changes)
    try:
        _read_all(tmp_path_factory.getbasetemp() / "changed.tar", data, open_tar)
    except ArchiveError:
        return


PART = st.sampled_from(
    ["a", "A", "b", "..", ".", "", "é", "e\u0301", "C:", "nul", "x" * 300, "a\\b", "a\n", " ", "a."]
)


@given(names=st.lists(st.tuples(st.lists(PART, max_size=4).map("/".join), st.booleans()), max_size=6))
@settings(max_examples=500, deadline=None)
def test_accepted_names_are_files_below_one_directory(names: Any) -> None:
    """By another road: no accepted set has a name that leaves, or two that normalise to one."""
    import posixpath
    import unicodedata

    accepted = NameSet("a.zip")
    kept = []
    try:
        for name, is_directory in names:
            accepted.add(name, "directory" if is_directory else "file")
            kept.append((name, is_directory))
    except ArchiveError:
        pass
    for name, _ in kept:
        assert posixpath.normpath(name) == name
        assert not posixpath.isabs(name)
        assert not name.startswith("..")
    folded = [
        unicodedata.normalize("NFC", name).casefold() for name, is_directory in kept if not is_directory
    ]
    assert len(folded) == len(set(folded))
    for name, _ in kept:
        assert not any(name.startswith(f"{other}/") for other, is_directory in kept if not is_directory)
