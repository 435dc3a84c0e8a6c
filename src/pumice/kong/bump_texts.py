"""Versions in texts: where they stand, and the texts with others in their place. Pure."""

from __future__ import annotations

import re
from itertools import islice

from pumice.base.value import Value
from pumice.kong.lua_tokens import tokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.lua_tokens import Token

__all__ = ["Change", "number_runs", "numbers_of", "place_of", "renumbered", "replaced", "with_heading"]

_MANY_RUNS = 20


class Change(Value):
    """A file before and after. Paths are relative to the package's directory."""

    path: str
    new_path: str
    old: bytes
    new: bytes


def numbers_of(version: str) -> list[int]:
    """Three numbers of a version that has up to three."""
    numbers = [int(part) for part in version.split(".")]
    return numbers + [0] * (3 - len(numbers))


def renumbered(text: str, old: str, revision: str, new: str) -> str:
    """The text with `old` and `old-revision` as `new` and `new-1`; longer numbers around them are others."""
    bounded = r"(?<![0-9])(?<![0-9]\.)" + re.escape(old)
    text = re.sub(bounded + "-" + re.escape(revision) + r"(?![0-9]|\.[0-9])", f"{new}-1", text)
    return re.sub(bounded + r"(?![0-9]|\.[0-9])", new, text)


def number_runs(text: bytes, old: str, new: str) -> Iterator[list[Token]]:
    """Literals one after another that are the parts of a version: `1`, `0` and `0`, for 1.0.0."""
    parts = old.split(".")
    listed = [token for token in tokens(text) if token.kind in ("number", "string") and token.text != "."]
    if len(parts) < 2 or len(parts) != len(new.split(".")):
        return
    runs = (listed[at : at + len(parts)] for at in range(len(listed) - len(parts) + 1))
    yield from islice((run for run in runs if [token.text for token in run] == parts), _MANY_RUNS)


def replaced(text: bytes, run: list[Token], new: str) -> bytes:
    """The text with the parts of the new version where those of the old one stood."""
    for token, part in reversed(list(zip(run, new.split("."), strict=True))):
        text = text[: token.start] + part.encode() + text[token.end :]
    return text


def place_of(text: bytes, name: str, field: str) -> str:
    """`file:line` of what a field is set to, where that can be seen; else the file."""
    word = field.rpartition(".")[2]
    listed = list(tokens(text))
    for place, token in enumerate(listed):
        if token.text == word and any(after.text == "=" for after in listed[place + 1 : place + 3]):
            return f"{name}:{token.line}"
    return name


def with_heading(text: bytes, new: str, today: str) -> bytes:
    """The changelog with a heading for `new`, in the shape that its newest one has."""
    lines = text.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    headings = [number for number, line in enumerate(lines) if re.match(r"#{1,4}\s", line)]
    if any(renumbered(lines[number], new, "", "\0") != lines[number] for number in headings):
        return text
    previous = next(
        (number for number in headings if re.search(r"(?<![\d.])v?\d+\.\d+", lines[number])), None
    )
    unreleased = next((number for number in headings if "unreleased" in lines[number].lower()), None)
    if previous is not None:
        head = re.sub(r"\d+(?:\.\d+)+(?:-\d+)?", new, lines[previous].rstrip("\r\n"), count=1)
        head = re.sub(r"\d{4}-\d\d-\d\d", today, head)
        # the address of the old one's comparison is not the new one's
        head = re.sub(r"\]\([^)\n]*\)", "]", head)
    else:
        head = f"## {new}"
    if unreleased is not None:
        # what was written there is what is released now
        place = unreleased + 1
        added = [ending, head + ending]
    else:
        place = previous if previous is not None else min(1, len(lines))
        added = [head + ending, ending] if previous is not None else [ending, head + ending]
    return "".join(lines[:place] + added + lines[place:]).encode("utf-8", "surrogateescape")
