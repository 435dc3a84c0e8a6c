"""`bump`: a plugin's version raised in rockspec, handler and changelog together, or not at all.

A journal in `.pumice/` holds the old texts while the files change, so a bump that was killed is undone by
the next, unless somebody has edited the files since.
"""

from __future__ import annotations

import os

from pumice.base.disk import make_directories, remove_if_empty, translate, write_atomic
from pumice.errors import CheckError
from pumice.kong.bump import Bump, Change, plan_bump
from pumice.operation.check import package_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.base.config import Config

__all__ = ["Bump", "bump", "difference"]

_CHANGELOGS = ("changelog.md", "changes.md", "history.md", "changelog", "changelog.txt", "changes")
_JOURNAL = ".pumice/bump.json"


def bump(path: str, step: str, config: Config, *, dry_run: bool = False) -> Bump:
    """Raises the version of the project at `path` (a directory or its rockspec), and gives what was changed.

    `step` is major, minor, patch or X.Y.Z. With `dry_run` nothing is written. Raises UsageError, CheckError
    where a version cannot be changed safely, and what `check_path` raises; the files are then as before.
    """
    import time

    absolute = os.path.normpath(os.path.join(config.cwd, path))
    folder = absolute if os.path.isdir(absolute) else os.path.dirname(absolute)
    if not dry_run:
        _undo_killed(folder)
    package = package_at(path, config)
    if (
        package.rockspec is not None
        and os.path.dirname(os.path.abspath(package.rockspec.file_name)) != folder
    ):
        raise CheckError(
            f"the rockspec does not lie in {folder}",
            hint="Move it beside the sources, where LuaRocks and Pumice look first.",
        )
    today = time.strftime("%Y-%m-%d")
    plan = plan_bump(package, step, changelog=_changelog(folder), today=today)
    for change in plan.changes:
        _refuse_strange(folder, change)
    if not dry_run:
        _write(folder, plan.changes)
    return plan


def difference(change: Change) -> str:
    """A change as `diff -u` shows it."""
    import difflib

    old, new = (text.decode("utf-8", "replace").splitlines() for text in (change.old, change.new))
    lines = difflib.unified_diff(old, new, f"a/{change.path}", f"b/{change.new_path}", lineterm="")
    return "\n".join(lines)


def _changelog(folder: str) -> tuple[str, bytes] | None:
    try:
        names = {name.lower(): name for name in sorted(os.listdir(folder), reverse=True)}
        for wanted in _CHANGELOGS:
            if wanted in names and os.path.isfile(os.path.join(folder, names[wanted])):
                with open(os.path.join(folder, names[wanted]), "rb") as file:
                    return names[wanted], file.read()
    except OSError as error:
        raise translate(error, f"read the changelog in {folder}") from error
    return None


def _refuse_strange(folder: str, change: Change) -> None:
    """Links are not replaced by files, and nothing outside or already there is written over."""
    place = os.path.join(folder, change.path)
    if os.path.realpath(place) != os.path.join(os.path.realpath(folder), change.path):
        raise CheckError(
            f"{change.path} is reached through a link", hint="Raise the version where the file itself lies."
        )
    if change.new_path != change.path and os.path.lexists(os.path.join(folder, change.new_path)):
        raise CheckError(
            f"{change.new_path} is there already",
            hint="Move the rockspec of that version away, or go to another version.",
        )


def _write(folder: str, changes: Sequence[Change]) -> None:
    try:
        _write_journal(folder, changes)
        for change in changes:
            source, target = (os.path.join(folder, path) for path in (change.path, change.new_path))
            write_atomic(target, change.new, os.stat(source).st_mode & 0o7777)
        for change in changes:
            if change.new_path != change.path:
                os.unlink(os.path.join(folder, change.path))
        _forget_journal(folder)
    except BaseException as error:
        _undo_killed(folder)
        _forget_journal(folder)
        if isinstance(error, OSError):
            raise translate(error, f"raise the version in {folder}") from error
        raise


def _write_journal(folder: str, changes: Sequence[Change]) -> None:
    import json

    journal = os.path.join(folder, _JOURNAL)
    make_directories(os.path.dirname(journal))
    record = [
        {
            "path": change.path,
            "new_path": change.new_path,
            "old": change.old.decode("latin-1"),
            "new": change.new.decode("latin-1"),
            "mode": os.stat(os.path.join(folder, change.path)).st_mode & 0o7777,
        }
        for change in changes
    ]
    write_atomic(journal, json.dumps(record).encode())


def _forget_journal(folder: str) -> None:
    journal = os.path.join(folder, _JOURNAL)
    if os.path.lexists(journal):
        os.unlink(journal)
    try:
        remove_if_empty(os.path.dirname(journal))
    except OSError:
        # an empty directory that stays is no reason to undo anything
        pass


def _undo_killed(folder: str) -> None:
    """Puts back what a bump that did not end had changed; nothing without a journal of one.

    Raises CheckError when somebody has edited one of the files since.
    """
    import json

    journal = os.path.join(folder, _JOURNAL)
    try:
        with open(journal, "rb") as file:
            record = json.load(file)
        changes = [
            (
                Change(
                    _inside(item["path"]),
                    _inside(item["new_path"]),
                    item["old"].encode("latin-1"),
                    item["new"].encode("latin-1"),
                ),
                int(item["mode"]) & 0o777,
            )
            for item in record
        ]
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckError(
            f"{journal} is no record of a bump",
            hint="Look at the files that git calls changed, and delete it.",
        ) from error
    except OSError as error:
        raise translate(error, f"read {journal}") from error
    _refuse_edited(folder, [change for change, _ in changes])
    try:
        for change, mode in changes:
            if _content(folder, change.path) != change.old:
                write_atomic(os.path.join(folder, change.path), change.old, mode)
        for change, _ in changes:
            if change.new_path != change.path and _content(folder, change.new_path) is not None:
                os.unlink(os.path.join(folder, change.new_path))
        _forget_journal(folder)
    except OSError as error:
        raise translate(error, f"put back the version in {folder}") from error


def _refuse_edited(folder: str, changes: Sequence[Change]) -> None:
    """What is neither the old text nor the new one was written by somebody else, and is not touched."""
    for change in changes:
        for path in {change.path, change.new_path}:
            if _content(folder, path) not in (None, change.old, change.new):
                raise CheckError(
                    f"{path} was edited after a bump that was killed",
                    hint=f"Make the versions right by hand, and delete {os.path.join(folder, _JOURNAL)}.",
                )


def _content(folder: str, path: str) -> bytes | None:
    try:
        with open(os.path.join(folder, path), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _inside(path: str) -> str:
    """A path of the journal, if it stays in the project. Raises ValueError."""
    if os.path.isabs(path) or os.path.normpath(path) != path or path.startswith(".."):
        raise ValueError(path)
    return path
