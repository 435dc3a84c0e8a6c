"""`plan_bump`: a plugin's version raised in every place that tells it, or nothing (Kong contract 3.1, 3.4).

Texts are edited as little as can be, literal by literal, and then evaluated again: an edit counts only when
the rockspec and the handler come out as they were but for the version. What comes out otherwise is refused.
"""

from __future__ import annotations

import re

from pumice.base.value import Value
from pumice.errors import CheckError, UsageError
from pumice.kong.bump_handler import handler_edit
from pumice.kong.bump_rockspec import left_behind, rockspec_change
from pumice.kong.bump_texts import Change, numbers_of, with_heading
from pumice.kong.plugin import find_plugins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.kong.package import Package

__all__ = ["Bump", "Change", "next_version", "plan_bump"]


class Bump(Value):
    """A whole raise of the version."""

    old: str
    new: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    """What was left to the author."""


def next_version(current: str, step: str) -> str:
    """`current` (`1.2.3`) raised by `major`, `minor` or `patch`, or the version X.Y.Z that `step` is.

    Raises UsageError for another word, and for a version that is not above `current`.
    """
    numbers = numbers_of(current)
    if step in ("major", "minor", "patch"):
        place = ("major", "minor", "patch").index(step)
        raised = [*numbers[:place], numbers[place] + 1, *([0] * (2 - place))]
        return ".".join(str(number) for number in raised)
    if re.fullmatch(r"(?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8})){2}", step) is None:
        raise UsageError(
            f"'{step}' is no version to go to", hint="Give major, minor or patch, or three numbers: 1.2.0."
        )
    if numbers_of(step) <= numbers:
        raise UsageError(
            f"{step} is not above {current}, which the rockspec has",
            hint="A version that was published stays as it is: give a higher one.",
        )
    return step


def plan_bump(package: Package, step: str, *, changelog: tuple[str, bytes] | None, today: str) -> Bump:
    """What `step` (see `next_version`) changes in a source directory; nothing is written.

    `changelog` is the file's name and bytes, `today` the date that it gets where it has dates. Raises
    UsageError, and CheckError where a version cannot be found or changed safely: it says what to do by hand.
    """
    rockspec = package.rockspec
    if rockspec is None or package.kind != "directory":
        raise CheckError(
            "only a directory with a rockspec has a version to raise", hint="Give the source directory."
        )
    old = rockspec.version.rpartition("-")[0]
    if not re.fullmatch(r"\d{1,9}(?:\.\d{1,9}){0,2}", old):
        raise CheckError(
            f"the rockspec's version {old} is no number that could be raised",
            hint="Copy the rockspec to one with a version such as 0.1.0-1 first.",
        )
    new = next_version(old, step)
    changes = [rockspec_change(rockspec, new)]
    edited: dict[str, bytes] = {}
    for plugin in find_plugins(package.modules):
        path, text = handler_edit(package, plugin, new, edited)
        edited[path] = text
    for path, text in edited.items():
        changes.append(Change(path, path, package.source(path) or b"", text))
    notes = [*left_behind(changes[0], new)]
    if changelog is not None:
        name, before = changelog
        after = with_heading(before, new, today)
        if after != before:
            changes.append(Change(name, name, before, after))
            notes.append(f"write down in {name} what changed in {new}")
    return Bump(old, new, tuple(change for change in changes if change.old != change.new), tuple(notes))
