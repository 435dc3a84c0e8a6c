"""The strict patch applier: its rules by example, and against the real `diff` and `patch`."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.build.patch import apply_hunks, apply_patch, parse_patch
from pumice.errors import BuildError, PumiceError
from pumice.rock.rockspec import load_rockspec

OLD = b"".join(b"line %d\n" % number for number in range(1, 21))
CHANGE = b"""--- a/f.txt
+++ b/f.txt
@@ -4,5 +4,5 @@
 line 4
 line 5
-line 6
+LINE 6
 line 7
 line 8
"""


def applied(patch: bytes, files: dict[str, bytes], may_create: bool = True) -> dict[str, bytes]:
    """The files after the patch."""
    result = dict(files)
    for path, text, _ in apply_patch(parse_patch(patch), files.get, may_create=may_create):
        if text is None:
            result.pop(path, None)
        else:
            result[path] = text
    return result


def warnings(patch: bytes, text: bytes) -> tuple[str, ...]:
    return apply_hunks(text, parse_patch(patch)[0])[1]


def test_a_hunk_applies_where_it_says_without_a_word() -> None:
    assert applied(CHANGE, {"f.txt": OLD}) == {"f.txt": OLD.replace(b"line 6\n", b"LINE 6\n")}
    assert warnings(CHANGE, OLD) == ()


def test_a_hunk_moves_to_where_all_its_lines_are_and_says_so() -> None:
    text = b"more\nmore\n" + OLD
    assert applied(CHANGE, {"f.txt": text}) == {"f.txt": text.replace(b"line 6\n", b"LINE 6\n")}
    assert warnings(CHANGE, text) == ("hunk 1 of f.txt applied at line 6, +2 lines from where it says",)


def test_a_hunk_takes_the_nearest_place() -> None:
    block = b"".join(OLD.splitlines(keepends=True)[3:8])
    text = block + b"x\n" * 4 + block + b"x\n" * 30 + block
    made = apply_hunks(text, parse_patch(CHANGE)[0])[0]
    assert made == block.replace(b"line 6", b"LINE 6") + text[len(block) :]


@pytest.mark.parametrize("gone", [b"line 4\n", b"line 8\n", b"line 6\n"])
def test_there_is_no_fuzz(gone: bytes) -> None:
    with pytest.raises(BuildError, match=r"hunk 1 does not apply to f\.txt at line 4"):
        applied(CHANGE, {"f.txt": OLD.replace(gone, b"other\n")})


def test_a_hunk_at_the_start_does_not_move_into_the_middle() -> None:
    patch = b"--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n+new\n one\n two\n"
    assert applied(patch, {"f": b"one\ntwo\n"}) == {"f": b"new\none\ntwo\n"}
    with pytest.raises(BuildError, match="hunk 1 does not apply"):
        applied(patch, {"f": b"zero\none\ntwo\n"})


def test_a_hunk_at_the_end_moves_with_the_end_only() -> None:
    patch = b"--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n one\n two\n+new\n"
    assert applied(patch, {"f": b"zero\none\ntwo\n"}) == {"f": b"zero\none\ntwo\nnew\n"}
    with pytest.raises(BuildError, match="hunk 1 does not apply"):
        applied(patch, {"f": b"zero\none\ntwo\nthree\n"})


def test_a_patch_that_is_there_already_changes_nothing() -> None:
    text = OLD.replace(b"line 6\n", b"LINE 6\n")
    assert apply_hunks(text, parse_patch(CHANGE)[0]) == (text, ("f.txt is already patched",))


def test_a_patch_with_lf_applies_to_crlf_and_keeps_it() -> None:
    text = OLD.replace(b"\n", b"\r\n")
    assert applied(CHANGE, {"f.txt": text}) == {"f.txt": text.replace(b"line 6", b"LINE 6")}


def test_a_patch_with_crlf_applies_to_lf_and_keeps_it() -> None:
    patch = CHANGE.replace(b"\n", b"\r\n")
    assert applied(patch, {"f.txt": OLD}) == {"f.txt": OLD.replace(b"line 6", b"LINE 6")}


def test_no_newline_at_the_end_is_kept_as_the_patch_says() -> None:
    none = b"\n\\ No newline at end of file\n"
    patch = b"--- a/f\n+++ b/f\n@@ -1 +1 @@\n-old" + none + b"+new" + none
    assert applied(patch, {"f": b"old"}) == {"f": b"new"}
    patch = b"--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n-old\n\\ No newline at end of file\n+old\n+new\n"
    assert applied(patch, {"f": b"old"}) == {"f": b"old\nnew\n"}


def test_a_line_added_after_an_unfinished_one_does_not_join_it() -> None:
    patch = b"--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n old\n+new\n"
    assert applied(patch, {"f": b"old"}) == {"f": b"old\nnew\n"}


def test_an_empty_line_in_a_hunk_is_an_empty_context_line() -> None:
    patch = b"--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n-a\n+A\n\n b\n"
    assert applied(patch, {"f": b"a\n\nb\n"}) == {"f": b"A\n\nb\n"}


def test_blank_lines_cut_off_the_end_of_a_patch_are_context() -> None:
    patch = b"--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n-a\n+A\n b"
    assert applied(patch, {"f": b"a\nb\n\n"}) == {"f": b"A\nb\n\n"}


CREATE = b"--- /dev/null\n+++ b/new/f\n@@ -0,0 +1,2 @@\n+one\n+two\n"
DELETE = b"--- a/f\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-one\n-two\n"


def test_dev_null_creates_and_deletes() -> None:
    assert applied(CREATE, {}) == {"new/f": b"one\ntwo\n"}
    assert applied(DELETE, {"f": b"one\ntwo\n"}) == {}


def test_the_epoch_creates_and_deletes() -> None:
    epoch = b"\t1970-01-01 00:00:00.000000000 +0000\n"
    create = b"--- a/f" + epoch + b"+++ b/f\t2020-02-02 10:00:00 +0000\n@@ -0,0 +1 @@\n+one\n"
    delete = b"--- a/f\t2020-02-02 10:00:00 +0000\n+++ b/f" + epoch + b"@@ -1 +0,0 @@\n-one\n"
    assert applied(create, {}) == {"f": b"one\n"}
    assert applied(delete, {"f": b"one\n"}) == {}


def test_old_formats_create_nothing() -> None:
    with pytest.raises(BuildError, match="it creates new/f"):
        applied(CREATE, {}, may_create=False)


def test_creating_what_is_there_with_other_text_fails() -> None:
    with pytest.raises(BuildError, match="it creates new/f, which is there already with other contents"):
        applied(CREATE, {"new/f": b"precious\n"})


def test_creating_what_is_there_just_so_changes_nothing() -> None:
    assert apply_patch(parse_patch(CREATE), {"new/f": b"one\ntwo\n"}.get, may_create=True) == [
        ("new/f", b"one\ntwo\n", ("new/f is already patched",))
    ]


def test_deleting_what_holds_more_fails() -> None:
    with pytest.raises(BuildError, match="holds more than the patch knows of"):
        applied(DELETE, {"f": b"one\ntwo\nthree\n"})


def test_a_missing_file_is_named() -> None:
    with pytest.raises(BuildError, match=r"it changes f\.txt, which is not in the source directory"):
        applied(CHANGE, {})


def test_the_new_name_is_taken_if_the_old_one_is_not_there() -> None:
    patch = CHANGE.replace(b"--- a/f.txt", b"--- a/f.txt.orig")
    assert applied(patch, {"f.txt": OLD}) == {"f.txt": OLD.replace(b"line 6", b"LINE 6")}


def test_a_second_patch_of_a_file_sees_the_first() -> None:
    again = CHANGE.replace(b"LINE 6", b"last").replace(b"-line 6", b"-LINE 6")
    assert applied(CHANGE + again, {"f.txt": OLD}) == {"f.txt": OLD.replace(b"line 6", b"last")}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"a/f.txt\t2020-01-01 10:00:00", "a/f.txt"),
        (b"a/f.txt 2020-01-01 10:00:00", "a/f.txt"),
        (b"a/f.txt Mon Jan  1 10:00:00 2020", "a/f.txt"),
        (b"a/my file.txt", "a/my file.txt"),
        (b'"a/caf\\303\\251\\t.txt"', "a/caf\u00e9\t.txt"),
        (b"a/f.txt\r", "a/f.txt"),
    ],
)
def test_names_are_read_as_the_tools_write_them(line: bytes, name: str) -> None:
    patch = b"--- " + line + b"\n+++ " + line + b"\n@@ -1 +1 @@\n-a\n+b\n"
    assert parse_patch(patch)[0].old_path == name


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (b"", "holds no unified diff"),
        (b"hello\n", "holds no unified diff"),
        (b"--- a/f\n+++ b/f\n", "line 3: no hunk"),
        (b"--- a/f\n+++ b/f\n@@ nonsense @@\n", "line 3: hunk 1 of b/f has a malformed header"),
        (b"--- a/f\n+++ b/f\n@@ -1,9 +1,9 @@\n a\n", "line 3: hunk 1 of b/f does not have the 9 old"),
        (b"--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n+c\n", "line 6: hunk 1 of b/f has more lines"),
        (b"--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n+b\n*c\n", "line 6: hunk 1 of b/f has an odd line"),
        (b"--- a/f\n+++ b/f\n@@ -1 +1 @@\n\\ No newline\n", "starts with"),
        (b"diff --git a/f b/g\nrename from f\nrename to g\n", "rename from f"),
        (b"GIT binary patch\nliteral 3\n", "GIT binary patch"),
        (CHANGE + b"Binary files a/x and b/x differ\n", "line 10: 'Binary files"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(patch: bytes, words: str) -> None:
    with pytest.raises(BuildError, match=words):
        parse_patch(patch)


LINES = st.lists(st.sampled_from(["a", "b", "c", "", "-x", "+y", "\\z", "--- q", "@@"]), max_size=25)
ENDS = st.sampled_from(["\n", "\r\n"])


@st.composite
def two_texts(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A text and an edited one; either may lack its last line end."""
    end = draw(ENDS)
    old = draw(LINES)
    new = list(old)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(new)))
        new[at : at + draw(st.integers(0, 3))] = draw(st.lists(st.sampled_from(["n", "a", ""]), max_size=3))

    def text(lines: list[str]) -> bytes:
        whole = "".join(line + end for line in lines).encode()
        return whole.removesuffix(end.encode()) if draw(st.booleans()) else whole

    return text(old), text(new)


def diff(old: bytes, new: bytes, context: int, folder: Path) -> bytes:
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    names = ["--label", "a/f", "--label", "b/f"]
    command = ["diff", f"-U{context}", *names, "old", "new"]
    return subprocess.run(command, cwd=folder, capture_output=True).stdout


@pytest.mark.peer
@settings(max_examples=150, deadline=None)
@given(texts=two_texts(), context=st.integers(0, 4))
def test_what_diff_writes_turns_the_old_text_into_the_new(
    tmp_path_factory: pytest.TempPathFactory, texts: tuple[bytes, bytes], context: int
) -> None:
    folder = tmp_path_factory.mktemp("diff")
    old, new = texts
    patch = diff(old, new, context, folder)
    if patch:
        assert applied(patch, {"f": old}) == {"f": new}


@pytest.mark.peer
@settings(max_examples=120, deadline=None)
@given(texts=two_texts(), shift=st.integers(0, 3), data=st.data())
def test_a_moved_patch_does_what_patch_without_fuzz_does(
    tmp_path_factory: pytest.TempPathFactory,
    texts: tuple[bytes, bytes],
    shift: int,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("patch")
    old, new = texts
    change = diff(old, new, 3, folder)
    if not change:
        return
    base = b"".join([b"top\n"] * shift) + old
    if data.draw(st.booleans()):
        base += b"bottom\n"
    (folder / "f").write_bytes(base)
    real = subprocess.run(
        ["patch", "-p1", "-F0", "-N", "-s", "--binary", "--posix", "-i", "-"],
        cwd=folder,
        input=change,
        capture_output=True,
    )
    try:
        mine: bytes | None = applied(change, {"f": base})["f"]
    except BuildError:
        mine = None
    if real.returncode == 0:
        assert mine == (folder / "f").read_bytes()


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300), text=st.binary(max_size=60), cut=st.integers(0, len(CHANGE)))
def test_any_bytes_are_applied_or_refused(data: bytes, text: bytes, cut: int) -> None:
    for patch in (data, CHANGE[:cut] + data, data + CHANGE):
        try:
            applied(patch, {"f.txt": text, "f": text})
        except BuildError as error:
            assert error.message


@pytest.mark.corpus
def test_real_patches_of_the_corpus_are_read(shared: Path, tmp_path: Path) -> None:
    """One among them is malformed: its counts are wrong."""
    import tarfile

    read, refused = 0, []
    with tarfile.open(shared / "corpus/rockspecs.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".rockspec") else None
            data = file.read() if file is not None else b""
            if b"patches" not in data:
                continue
            try:
                rockspec = load_rockspec(data, member.name, ("linux", "unix"), check_name=False)
            except PumiceError:
                continue
            for text in rockspec.build.get("patches", {}).values():
                try:
                    read += len(parse_patch(text.encode()))
                except BuildError as error:
                    refused.append((member.name, error.message))
    assert read >= 40
    assert [name.rpartition("/")[2] for name, _ in refused] == ["luazip-1.2.4-3.rockspec"]
