"""A rockspec brought to a new version, literal by literal: evaluated again, nothing else may differ."""

from __future__ import annotations

import os
import re

from pumice.errors import CheckError, LuaDataError
from pumice.kong.bump_texts import Change, number_runs, place_of, renumbered, replaced
from pumice.kong.lua_tokens import tokens
from pumice.lua.data import LuaFunction, evaluate
from pumice.rock.filename import parse_filename, rockspec_filename

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pumice.kong.lua_tokens import Token
    from pumice.lua.data import LuaTable
    from pumice.rock.rockspec import Rockspec

__all__ = ["left_behind", "rockspec_change"]

_SOURCE_FIELDS = ("tag", "branch", "url", "dir", "file")
_TAG = re.compile(r"(v?)\d+(?:\.\d+){1,2}(?:-\d+)?")
_MANY_EDITS = 60
"""So many literals are tried; a file with more is generated, and its generator is to be bumped."""


def rockspec_change(rockspec: Rockspec, new: str) -> Change:
    name = os.path.basename(rockspec.file_name)
    old, _, revision = rockspec.version.rpartition("-")
    before = evaluate(rockspec.text, name).globals
    wanted = _wanted(before, old, revision, new)
    text, left = _brought(rockspec.text, name, before, wanted, old, revision, new)
    for run in number_runs(rockspec.text, old, new) if left else ():
        trial = replaced(rockspec.text, run, new)
        if (present := _evaluated(trial, name)) is not None:
            found, still = _brought(trial, name, present, wanted, old, revision, new)
            if not still:
                text, left = found, still
                break
    if left:
        raise CheckError(
            f"{place_of(rockspec.text, name, left[0])}: {left[0]} cannot be brought to {new} by changing a "
            "literal",
            hint="It is put together from parts, or shares one with something else: edit the rockspec by "
            "hand, or write its version as one string.",
        )
    parsed = parse_filename(name)
    target = rockspec_filename(rockspec.name, f"{new}-1") if parsed is not None else name
    return Change(name, target, rockspec.text, text)


def _brought(
    text: bytes, name: str, before: LuaTable, wanted: LuaTable, old: str, revision: str, new: str
) -> tuple[bytes, list[str]]:
    """The text with literals changed towards `wanted`, and the fields that are still otherwise."""
    text = _edited(text, name, before, wanted, lambda token: _moved(token, old, revision, new, before))
    if revision != "1":
        # a revision that stands by itself: one literal of it, and the rest as before
        text = _edited(
            text, name, _evaluated(text, name) or {}, wanted, lambda token: _first(token, revision)
        )
    after = _evaluated(text, name)
    return text, list(_differences(wanted, after)) if after is not None else ["version"]


def left_behind(change: Change, new: str) -> Iterator[str]:
    """What the rockspec still says of a source that is not the new version's."""
    name = change.path
    source = (_evaluated(change.new, name) or {}).get("source")
    tag = source.get("tag") if isinstance(source, dict) else None
    if isinstance(tag, str) and new not in tag:
        place = place_of(change.new, name, "source.tag")
        yield f"{place}: source.tag is '{tag}', which does not tell a version: point it to {new}'s sources"


def _wanted(before: LuaTable, old: str, revision: str, new: str) -> LuaTable:
    """What the rockspec has to say afterwards."""
    wanted = {**before, "version": f"{new}-1"}
    source = before.get("source")
    if isinstance(source, dict):
        moved = {
            field: renumbered(value, old, revision, new)
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


def _moved(token: Token, old: str, revision: str, new: str, before: LuaTable) -> str | None:
    """What a literal becomes when it tells the version; None when it does not."""
    if token.kind not in ("string", "long"):
        return None
    moved = renumbered(token.text, old, revision, new)
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
