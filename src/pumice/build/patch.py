"""Unified diffs: read and applied strictly, on texts in memory (LuaRocks contract 2.7; section 9, 16).

The policy, in one place:

- Paths lose their first part (`-p1`). The old path names the file; if there is no such file, the new one.
- A hunk applies where its header says, moved by what the hunks before it were moved. If its old lines are
  not there, the nearest place where they all are is taken (after the previous hunk; forward first when two
  are equally near), with a warning. A hunk with less context before than after it can move only to the
  start of the file, one with less after than before only to the end, one without old lines nowhere.
- There is no fuzz: every context line must be there. A hunk that does not apply fails the patch.
- Lines are compared byte by byte; if that finds no place, without their line ends. Then added lines get the
  line end of the file, so that a patch with LF applies to a file with CRLF, and the reverse.
- A file that does not take the patch but has every new line where it says, has it already: a warning.
- `/dev/null` (or an empty side dated at the epoch) creates and deletes files where the caller allows it.
- Renames, copies and binary patches are refused.
"""

from __future__ import annotations

import re

from pumice.base.value import Value
from pumice.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FilePatch", "Hunk", "apply_hunks", "apply_patch", "parse_patch"]

_NULL = "/dev/null"
_CHOPPED = 3
"""Editors cut blank lines off the end of a text: so many missing ones are taken for blank context."""
_HEADER = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_DATE = re.compile(rb"[ \t]+(?:\d{4}-\d\d-\d\d|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )")
_EPOCH = re.compile(rb"[^0-9](?:1969-12-31|1970-01-01|Dec 31 [0-9:]+ 1969|Jan +1 [0-9:]+ 1970)")
_REFUSED = (b"rename from ", b"rename to ", b"copy from ", b"copy to ", b"GIT binary patch", b"Binary files ")


class Hunk(Value):
    """One change: its old and new place (first line from 1, number of lines) and its lines."""

    number: int
    """Within its file, from 1."""
    old_start: int
    old_count: int
    new_start: int
    new_count: int
    lines: tuple[tuple[str, bytes], ...]
    """(" ", "-" or "+", the line with its line end; without one only at the end of a file)."""

    def old(self) -> tuple[bytes, ...]:
        """What must be there."""
        return tuple(line for tag, line in self.lines if tag != "+")

    def new(self) -> tuple[bytes, ...]:
        """What is there afterwards."""
        return tuple(line for tag, line in self.lines if tag != "-")


class FilePatch(Value):
    """The changes of one file."""

    old_path: str
    """As written, before its first part is taken off."""
    new_path: str
    old_is_epoch: bool
    new_is_epoch: bool
    hunks: tuple[Hunk, ...]


def parse_patch(data: bytes) -> tuple[FilePatch, ...]:
    """The file patches of a unified diff; text around them is passed over.

    Raises BuildError naming the line if the diff is malformed, empty, or of a kind that is refused.
    """
    lines = _lines(data)
    patches: list[FilePatch] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith(_REFUSED):
            raise BuildError(
                f"line {at + 1}: {_shown(line)!r} cannot be applied",
                hint="Write the patch as plain unified diffs (git diff --no-renames).",
            )
        if not line.startswith(b"--- ") or at + 1 == len(lines) or not lines[at + 1].startswith(b"+++ "):
            at += 1
            continue
        old, old_epoch = _path(line, at)
        new, new_epoch = _path(lines[at + 1], at + 1)
        hunks: list[Hunk] = []
        at += 2
        while at < len(lines) and lines[at].startswith(b"@@ "):
            hunk, at = _hunk(lines, at, len(hunks) + 1, new)
            hunks.append(hunk)
        if not hunks:
            raise BuildError(f"line {at + 1}: no hunk (@@ -1,2 +1,2 @@) follows the file names of {new}")
        patches.append(FilePatch(old, new, old_epoch, new_epoch, tuple(hunks)))
    if not patches:
        raise BuildError("it holds no unified diff", hint="Patches are made by diff -u or git diff.")
    return tuple(patches)


def apply_patch(
    patches: Sequence[FilePatch], read: Callable[[str], bytes | None], *, may_create: bool
) -> list[tuple[str, bytes | None, tuple[str, ...]]]:
    """Apply file patches; gives (path, new text or None if it is deleted, warnings) in order.

    `read` gives the text of a file by its path, or None if there is none; later patches see what earlier
    ones made. `may_create`: files may be created and deleted (rockspec formats from 3.0 on).
    Raises BuildError naming the file and the hunk.
    """
    changed: dict[str, bytes | None] = {}
    result: list[tuple[str, bytes | None, tuple[str, ...]]] = []

    def current(path: str) -> bytes | None:
        return changed[path] if path in changed else read(path)

    for patch in patches:
        path, text, notes = _apply_file(patch, current, may_create)
        changed[path] = text
        result.append((path, text, notes))
    return result


def apply_hunks(text: bytes, patch: FilePatch) -> tuple[bytes, tuple[str, ...]]:
    """The text with every hunk applied, and warnings about those that were moved.

    Raises BuildError naming the first hunk that does not apply.
    """
    lines = _lines(text)
    made: list[bytes] = []
    notes: list[str] = []
    done = moved = 0
    for hunk in patch.hunks:
        place, exact = _locate(lines, hunk, done, moved)
        if place is None:
            if _has_it_already(lines, patch.hunks):
                return text, (f"{_stripped(patch.new_path)} is already patched",)
            raise BuildError(
                f"hunk {hunk.number} does not apply to {_stripped(patch.new_path)} at line {hunk.old_start}",
                hint="The sources differ from what the patch was made for; Pumice applies no hunk by guess.",
            )
        expected = _expected(hunk)
        if place != expected + moved:
            notes.append(
                f"hunk {hunk.number} of {_stripped(patch.new_path)} applied at line {place + 1}, "
                f"{place - expected:+d} lines from where it says"
            )
            moved = place - expected
        made += lines[done:place]
        made += _replacement(lines, hunk, place, exact)
        done = place + hunk.old_count
    made += lines[done:]
    return _joined(made, _line_end(lines) or b"\n"), tuple(notes)


def _lines(data: bytes) -> list[bytes]:
    """Lines with their ends; only LF ends one, so that CRLF stays at the end and a lone CR inside."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip()


def _path(line: bytes, at: int) -> tuple[str, bool]:
    """The path of a `---` or `+++` line, and whether its date is the epoch."""
    rest = line[4:].rstrip(b"\r\n")
    quoted = re.match(rb'"((?:[^"\\]|\\.)*)"', rest)
    if quoted:
        name = re.sub(rb"\\(?:([0-7]{3})|(.))", _unquoted, quoted[1])
    else:
        name = rest.split(b"\t")[0]
        date = _DATE.search(name)
        name = (name[: date.start()] if date else name).rstrip(b" ")
    if not name:
        raise BuildError(f"line {at + 1}: a file name is missing")
    return name.decode("utf-8", "surrogateescape"), _EPOCH.search(rest) is not None


def _unquoted(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes([int(match[1], 8) & 0xFF])
    return {b"n": b"\n", b"t": b"\t", b"r": b"\r"}.get(match[2], match[2])


def _hunk(lines: Sequence[bytes], at: int, number: int, path: str) -> tuple[Hunk, int]:
    """The hunk whose header is line `at`, and the index of the line after it."""
    found = _HEADER.match(lines[at])
    if not found:
        raise BuildError(
            f"line {at + 1}: hunk {number} of {path} has a malformed header {_shown(lines[at])!r}"
        )
    old_start, old_count, new_start, new_count = (
        1 if value is None else int(value) for value in found.groups()
    )
    header = at
    body: list[tuple[str, bytes]] = []
    old_left, new_left = old_count, new_count
    at += 1
    while at < len(lines):
        line = lines[at]
        if line.startswith(b"\\"):
            if not body:
                raise BuildError(f"line {at + 1}: hunk {number} of {path} starts with {_shown(line)!r}")
            tag, text = body[-1]
            body[-1] = (tag, text.rstrip(b"\n").removesuffix(b"\r"))
            at += 1
            continue
        if old_left <= 0 and new_left <= 0:
            break
        tag = chr(line[0]) if line not in (b"\n", b"\r\n") else " "
        if tag not in " -+":
            raise BuildError(f"line {at + 1}: hunk {number} of {path} has an odd line {_shown(line)!r}")
        text = line if line in (b"\n", b"\r\n") else line[1:]
        body.append((tag, text if text.endswith(b"\n") else text + b"\n"))
        old_left -= tag != "+"
        new_left -= tag != "-"
        at += 1
    if at == len(lines) and old_left == new_left <= _CHOPPED:
        body += [(" ", b"\n")] * old_left
        old_left = new_left = 0
    if old_left or new_left:
        raise BuildError(
            f"line {header + 1}: hunk {number} of {path} does not have the {old_count} old and {new_count} "
            "new lines that its header says"
        )
    _refuse_surplus(lines, at, number, path)
    return Hunk(number, old_start, old_count, new_start, new_count, tuple(body)), at


def _refuse_surplus(lines: Sequence[bytes], at: int, number: int, path: str) -> None:
    """Raise BuildError if a complete hunk is followed by more lines of a hunk."""
    if at == len(lines) or not lines[at].strip() or lines[at].startswith((b"--", b"++")):
        return
    if lines[at].startswith((b"+", b"-", b" ")):
        raise BuildError(f"line {at + 1}: hunk {number} of {path} has more lines than its header says")


def _stripped(path: str) -> str:
    """The path without its first part (`-p1`)."""
    return path.split("/", 1)[1] if "/" in path else path


def _apply_file(
    patch: FilePatch, read: Callable[[str], bytes | None], may_create: bool
) -> tuple[str, bytes | None, tuple[str, ...]]:
    first = patch.hunks[0]
    single = len(patch.hunks) == 1
    empty_old = single and first.old_start == 0 and first.old_count == 0
    empty_new = single and first.new_start == 0 and first.new_count == 0
    if patch.old_path == _NULL:
        path = _stripped(patch.new_path)
        text = read(path)
    else:
        path = _stripped(patch.old_path)
        text = read(path)
        if text is None and patch.new_path != _NULL and (text := read(_stripped(patch.new_path))) is not None:
            path = _stripped(patch.new_path)
    creates = patch.old_path == _NULL or (empty_old and patch.old_is_epoch)
    deletes = patch.new_path == _NULL or (empty_new and patch.new_is_epoch)
    if creates and deletes:
        raise BuildError(f"it creates and deletes {path} at once")
    if creates and not text:
        if not may_create:
            raise BuildError(
                f"it creates {_stripped(patch.new_path)}",
                hint='Patches create and delete files from rockspec_format = "3.0" on.',
            )
        return _stripped(patch.new_path), apply_hunks(b"", patch)[0], ()
    if creates and text:
        if text != apply_hunks(b"", patch)[0]:
            raise BuildError(f"it creates {path}, which is there already with other contents")
        return path, text, (f"{path} is already patched",)
    if text is None:
        raise BuildError(f"it changes {path}, which is not in the source directory")
    made, notes = apply_hunks(text, patch)
    if deletes and may_create:
        if made:
            raise BuildError(f"it deletes {path}, which holds more than the patch knows of")
        return path, None, notes
    return path, made, notes


def _expected(hunk: Hunk) -> int:
    """The index of the hunk's first old line; for one without old lines, of the line that it goes before."""
    return hunk.old_start - 1 if hunk.old_count else hunk.old_start


def _locate(lines: Sequence[bytes], hunk: Hunk, floor: int, moved: int) -> tuple[int | None, bool]:
    """Where the hunk applies (None: nowhere), and whether byte by byte."""
    old = hunk.old()
    last = len(lines) - len(old)
    expected = _expected(hunk) + moved
    if not old:
        return (expected if floor <= expected <= last else None), True
    before = next((at for at, (tag, _) in enumerate(hunk.lines) if tag != " "), len(hunk.lines))
    after = next((at for at, (tag, _) in enumerate(reversed(hunk.lines)) if tag != " "), len(hunk.lines))
    for exact in (True, False):
        place = _nearest(lines, old, floor, expected, exact, before < after, after < before)
        if place is not None:
            return place, exact
    return None, False


def _nearest(
    lines: Sequence[bytes],
    old: Sequence[bytes],
    floor: int,
    expected: int,
    exact: bool,
    only_start: bool,
    only_end: bool,
) -> int | None:
    if not exact:
        lines = [_bare(line) for line in lines]
        old = [_bare(line) for line in old]
    last = len(lines) - len(old)

    def fits(place: int) -> bool:
        return floor <= place <= last and all(line == lines[place + at] for at, line in enumerate(old))

    if fits(expected):
        return expected
    if only_start or only_end:
        place = 0 if only_start else last
        return place if fits(place) and not (only_start and only_end) else None
    for distance in range(1, max(last - expected, expected - floor) + 1):
        for place in (expected + distance, expected - distance):
            if fits(place):
                return place
    return None


def _bare(line: bytes) -> bytes:
    return line.rstrip(b"\n").rstrip(b"\r")


def _replacement(lines: Sequence[bytes], hunk: Hunk, place: int, exact: bool) -> list[bytes]:
    """The new lines: kept ones as they are in the file, added ones with its line end if that differs."""
    end = None if exact else _line_end(lines)
    made = []
    for tag, line in hunk.lines:
        if tag != "+":
            if tag == " ":
                made.append(lines[place])
            place += 1
        elif end is None or not line.endswith(b"\n"):
            made.append(line)
        else:
            made.append(_bare(line) + end)
    return made


def _line_end(lines: Sequence[bytes]) -> bytes | None:
    """The one line end of a file, or None if it has none or several."""
    ends = {line[len(_bare(line)) :] for line in lines if line.endswith(b"\n")}
    return ends.pop() if len(ends) == 1 and ends <= {b"\n", b"\r\n"} else None


def _joined(lines: Sequence[bytes], end: bytes) -> bytes:
    """The text; a line that lacks its end gets one unless it is the last."""
    return b"".join(
        line if line.endswith(b"\n") or at == len(lines) - 1 else line + end for at, line in enumerate(lines)
    )


def _has_it_already(lines: Sequence[bytes], hunks: Sequence[Hunk]) -> bool:
    """Whether every hunk's new lines are where its header says."""
    for hunk in hunks:
        new = hunk.new()
        start = hunk.new_start - 1 if hunk.new_count else hunk.new_start
        there = lines[start : start + len(new)]
        if not new or [_bare(line) for line in there] != [_bare(line) for line in new]:
            return False
    return True
