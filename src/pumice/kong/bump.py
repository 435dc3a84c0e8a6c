"""`plan_bump`: a plugin's version raised in every place that tells it, or nothing (Kong contract 3.1, 3.4).

Texts are edited as little as can be, literal by literal, and then evaluated again: an edit counts only when
the rockspec and the handler come out as they were but for the version. What comes out otherwise is refused.
"""

from __future__ import annotations

import os
import re

from pumice.base.value import Value
from pumice.errors import CheckError, LuaDataError, UsageError
from pumice.kong.handler_rules import cleaned_version
from pumice.kong.loaded import Job
from pumice.kong.lua_tokens import tokens
from pumice.kong.plugin import find_plugins
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules
from pumice.lua.data import LuaFunction, evaluate
from pumice.rock.filename import parse_filename, rockspec_filename

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pumice.kong.loaded import Loaded
    from pumice.kong.lua_tokens import Token
    from pumice.kong.package import Package
    from pumice.kong.plugin import Plugin
    from pumice.lua.data import LuaTable
    from pumice.rock.rockspec import Rockspec

__all__ = ["Bump", "Change", "next_version", "plan_bump"]

_SOURCE_FIELDS = ("tag", "branch", "url", "dir", "file")
_TAG = re.compile(r"(v?)\d+(?:\.\d+){1,2}(?:-\d+)?")
_MANY_EDITS = 60
"""So many literals are tried; a file with more is generated, and its generator is to be bumped."""


class Change(Value):
    """A file before and after. Paths are relative to the package's directory."""

    path: str
    new_path: str
    old: bytes
    new: bytes


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
    numbers = _numbers(current)
    if step in ("major", "minor", "patch"):
        place = ("major", "minor", "patch").index(step)
        raised = [*numbers[:place], numbers[place] + 1, *([0] * (2 - place))]
        return ".".join(str(number) for number in raised)
    if re.fullmatch(r"(?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8})){2}", step) is None:
        raise UsageError(
            f"'{step}' is no version to go to", hint="Give major, minor or patch, or three numbers: 1.2.0."
        )
    if _numbers(step) <= numbers:
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
    changes = [_rockspec_change(rockspec, new)]
    edited: dict[str, bytes] = {}
    for plugin in find_plugins(package.modules):
        path, text = _handler_edit(package, plugin, new, edited)
        edited[path] = text
    for path, text in edited.items():
        changes.append(Change(path, path, package.source(path) or b"", text))
    notes: list[str] = []
    if changelog is not None:
        name, before = changelog
        after = _changelog(before, new, today)
        if after != before:
            changes.append(Change(name, name, before, after))
            notes.append(f"write down in {name} what changed in {new}")
    return Bump(old, new, tuple(change for change in changes if change.old != change.new), tuple(notes))


def _numbers(version: str) -> list[int]:
    numbers = [int(part) for part in version.split(".")]
    return numbers + [0] * (3 - len(numbers))


# ----------------------------------------------------------------------------------------- the rockspec


def _rockspec_change(rockspec: Rockspec, new: str) -> Change:
    name = os.path.basename(rockspec.file_name)
    old, _, revision = rockspec.version.rpartition("-")
    before = evaluate(rockspec.text, name).globals
    wanted = _wanted(before, old, revision, new)
    text = _edited(
        rockspec.text, name, before, wanted, lambda token: _moved(token, old, revision, new, before)
    )
    if revision != "1":
        # a revision that stands by itself: one literal of it, and the rest as before
        text = _edited(
            text, name, _evaluated(text, name) or {}, wanted, lambda token: _first(token, revision)
        )
    after = _evaluated(text, name)
    left = list(_differences(wanted, after)) if after is not None else ["version"]
    if left:
        raise CheckError(
            f"{name}: {left[0]} cannot be brought to {new} by changing a literal",
            hint="It is put together from parts, or shares one with something else: edit the rockspec by "
            "hand, or write its version as one string.",
        )
    parsed = parse_filename(name)
    target = rockspec_filename(rockspec.name, f"{new}-1") if parsed is not None else name
    return Change(name, target, rockspec.text, text)


def _wanted(before: LuaTable, old: str, revision: str, new: str) -> LuaTable:
    """What the rockspec has to say afterwards."""
    wanted = {**before, "version": f"{new}-1"}
    source = before.get("source")
    if isinstance(source, dict):
        moved = {
            field: _renumbered(value, old, revision, new)
            for field in _SOURCE_FIELDS
            if isinstance(value := source.get(field), str)
        }
        for field in ("tag", "branch"):
            shape = _TAG.fullmatch(str(source.get(field)))
            if shape is not None:
                # also one that had stayed behind
                moved[field] = f"{shape[1]}{new}" + ("-1" if "-" in shape[0] else "")
        wanted["source"] = {**source, **moved}
    return wanted


def _renumbered(text: str, old: str, revision: str, new: str) -> str:
    bounded = r"(?<![0-9])(?<![0-9]\.)" + re.escape(old)
    text = re.sub(bounded + "-" + re.escape(revision) + r"(?![0-9]|\.[0-9])", f"{new}-1", text)
    return re.sub(bounded + r"(?![0-9]|\.[0-9])", new, text)


def _moved(token: Token, old: str, revision: str, new: str, before: LuaTable) -> str | None:
    """What a literal becomes when it tells the version; None when it does not."""
    if token.kind not in ("string", "long"):
        return None
    moved = _renumbered(token.text, old, revision, new)
    if moved != token.text:
        return moved
    source = before.get("source")
    stale = (source.get("tag"), source.get("branch")) if isinstance(source, dict) else ()
    shape = _TAG.fullmatch(token.text)
    if shape is not None and token.text in stale:
        return f"{shape[1]}{new}" + ("-1" if "-" in token.text else "")
    return None


def _first(token: Token, revision: str) -> str | None:
    if token.text == revision and token.kind in ("string", "number"):
        return "1"
    return "-1" if token.kind == "string" and token.text == f"-{revision}" else None


def _edited(
    text: bytes, name: str, before: LuaTable, wanted: LuaTable, change: Callable[[Token], str | None]
) -> bytes:
    """The text with each literal changed that brings a field nearer to `wanted`, and harms none."""
    present = before
    missing = set(_differences(wanted, present))
    for token in _candidates(text, change):
        replacement = change(token)
        assert replacement is not None
        trial = text[: token.start] + replacement.encode("utf-8", "surrogateescape") + text[token.end :]
        after = _evaluated(trial, name)
        if after is None:
            continue
        touched = set(_differences(present, after))
        # the version may come right in two steps: its number, then its revision
        allowed = {
            field for field in missing if field in ("version", *(f"source.{f}" for f in _SOURCE_FIELDS))
        }
        if touched and touched <= allowed:
            text, present = trial, after
            missing = set(_differences(wanted, present))
    return text


def _candidates(text: bytes, change: Callable[[Token], str | None]) -> Iterator[Token]:
    """Tokens that could change, the last first: an edit moves nothing that is still to come."""
    found = [token for token in tokens(text) if change(token) is not None]
    yield from reversed(found[:_MANY_EDITS])


def _evaluated(text: bytes, name: str) -> LuaTable | None:
    try:
        return evaluate(text, name).globals
    except LuaDataError:
        return None


def _differences(one: object, other: object, path: str = "") -> Iterator[str]:
    """The fields, dotted, in which two evaluated values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            below = f"{path}.{key}" if path else str(key)
            yield from _differences(one.get(key), other.get(key), below)
    elif isinstance(one, LuaFunction) and isinstance(other, LuaFunction):
        return
    elif type(one) is not type(other) or one != other:
        yield path


# ----------------------------------------------------------------------------------------- the handler


def _handler_edit(
    package: Package, plugin: Plugin, new: str, edited: Mapping[str, bytes]
) -> tuple[str, bytes]:
    """The file that has to change so that the handler's VERSION is `new`, and its text."""
    sources = {
        name: (path, edited.get(path, text))
        for name, path in package.modules.items()
        if (text := package.source(path)) is not None
    }
    if plugin.handler not in sources:
        raise CheckError(f"'{plugin.name}' has no handler", hint="`pumice check` says what is missing.")
    before = _loaded(plugin, sources)
    handler = sources[plugin.handler][0]
    if before.error is not None:
        raise CheckError(
            f"{handler} does not load: {before.error.splitlines()[0] if before.error else 'no reason given'}",
            hint="Mend it first; `pumice check` says more.",
        )
    version = before.version
    if version is None or version.type != "string" or cleaned_version(version.text) is None:
        raise CheckError(
            f"{handler} has no VERSION that could be raised", hint=f'Set VERSION = "{new}" in it by hand.'
        )
    if version.text == new:
        return handler, sources[plugin.handler][1]
    if _numbers(cleaned_version(version.text) or "0") > _numbers(new):
        raise CheckError(
            f"{handler} says VERSION {version.text}, which is above {new}",
            hint=f"Rockspec and handler have drifted: give the version to go to, above {version.text}.",
        )
    for module, (path, text), token in _version_literals(plugin, sources, version.text):
        trial = text[: token.start] + new.encode() + text[token.end :]
        after = _loaded(plugin, {**sources, module: (path, trial)})
        if (
            after.error is None
            and after.version is not None
            and after.version.text == new
            and (after.priority, after.functions) == (before.priority, before.functions)
        ):
            return path, trial
    raise CheckError(
        f"{handler} says VERSION {version.text}, and no single string of the plugin makes it {new}",
        hint=f'Write VERSION = "{new}" in it by hand, and take the same step again.',
    )


def _version_literals(
    plugin: Plugin, sources: Mapping[str, tuple[str, bytes]], text: str
) -> Iterator[tuple[str, tuple[str, bytes], Token]]:
    """Strings that are the version: after `VERSION =` first, then in the handler, then elsewhere."""
    order = [plugin.handler, *(module for module in plugin.modules if module != plugin.handler)]
    order += [module for module in sources if module not in order]
    for module in order:
        if module not in sources:
            continue
        listed = list(tokens(sources[module][1]))
        found = [
            (place, token)
            for place, token in enumerate(listed)
            if token.kind in ("string", "long") and token.text == text
        ]
        found.sort(key=lambda item: not _is_assigned(listed, item[0]))
        for _, token in found[:10]:
            yield module, sources[module], token


def _is_assigned(listed: list[Token], place: int) -> bool:
    """Whether a token stands after `VERSION =` or `["VERSION"] =`."""
    return (
        place >= 2
        and listed[place - 1].text == "="
        and "VERSION"
        in (
            listed[place - 2].text,
            listed[place - 3].text if place >= 3 and listed[place - 2].text == "]" else "",
        )
    )


def _loaded(plugin: Plugin, sources: Mapping[str, tuple[str, bytes]]) -> Loaded:
    sandbox = Sandbox(
        modules={name: ModuleSource(path, text) for name, (path, text) in sources.items()},
        assume_missing=True,
    )
    outcome = load_modules([Job("handler", plugin.handler)], sandbox)
    if not outcome.loaded:
        raise CheckError(
            f"the handler of '{plugin.name}' could not be loaded: {outcome.failure}",
            hint="`pumice check` says more.",
        )
    return outcome.loaded[0]


# ----------------------------------------------------------------------------------------- the changelog


def _changelog(text: bytes, new: str, today: str) -> bytes:
    """The changelog with a heading for `new`, in the shape that its newest one has."""
    lines = text.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    headings = [number for number, line in enumerate(lines) if re.match(r"#{1,4}\s", line)]
    if any(_renumbered(lines[number], new, "", "\0") != lines[number] for number in headings):
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
