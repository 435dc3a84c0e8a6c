"""`pumice.lock`: exact rocks with the digest of every file fetched (settled.md, Formats).

TOML, `version = 1`, a `[[rock]]` table for each rock, Lua version and platform, sorted by name and version,
each key on a line of its own and dependencies by name alone: so two branches that changed different rocks
merge. A file fetched has `url` and `sha256`; a git source has its `commit` too, and `sha256` is of its
canonical tar.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import DataError
from pumice.rock.filename import is_safe_name
from pumice.rock.version import parse_version, sort_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    SortKey = tuple[str, tuple[int | float, ...], str, str, str]

__all__ = [
    "Changed",
    "Difference",
    "Lock",
    "LockedRock",
    "check_digest",
    "difference",
    "lock_text",
    "read_lock",
]

VERSION = 1
_HEAD = "# Written by `pumice lock`: which rocks there are, from where, and what their bytes are.\n"
_REQUIRED = ("name", "version", "lua", "platform", "url", "sha256")
_OPTIONAL = ("namespace", "commit", "dependencies")
_HEX = "0123456789abcdef"
_AGAIN = "write it anew with 'pumice lock'"


class LockedRock(Value):
    """One rock, for one Lua version and platform."""

    name: str
    version: str
    """With revision: `1.0-1`."""
    lua: str
    """`5.1` … `5.5`."""
    platform: str
    """The arch it was locked on: `linux-x86_64`."""
    url: str
    sha256: str
    """Of the file at `url`, or of the canonical tar of the commit; 64 lower-case hexadecimal digits."""
    dependencies: tuple[str, ...] = ()
    """Names of other rocks for the same Lua version and platform."""
    commit: str | None = None
    namespace: str | None = None


class Lock(Value):
    """All rocks of a lock, sorted."""

    rocks: tuple[LockedRock, ...] = ()

    def __init__(self, rocks: Iterable[LockedRock] = ()) -> None:
        object.__setattr__(self, "rocks", tuple(sorted(rocks, key=_sort_key)))

    def targets(self) -> tuple[tuple[str, str], ...]:
        """The (Lua version, platform) pairs that it is for."""
        return tuple(sorted({(rock.lua, rock.platform) for rock in self.rocks}))

    def select(self, lua: str, platform: str) -> tuple[LockedRock, ...]:
        """The rocks for one target, dependencies first.

        Raises DataError if it has none for that target, though it has for others.
        """
        chosen = {rock.name: rock for rock in self.rocks if (rock.lua, rock.platform) == (lua, platform)}
        if not chosen and self.rocks:
            known = ", ".join([f"Lua {each} on {where}" for each, where in self.targets()])
            raise DataError(
                f"pumice.lock has nothing for Lua {lua} on {platform}, only for {known}",
                hint="run 'pumice lock' here to add it",
            )
        return _ordered(chosen)

    def with_target(self, lua: str, platform: str, rocks: Iterable[LockedRock]) -> Lock:
        """The lock with these rocks in place of those it has for the target; other targets stay."""
        others = [rock for rock in self.rocks if (rock.lua, rock.platform) != (lua, platform)]
        return Lock([*others, *rocks])


class Changed(Value):
    """A rock that is installed from other bytes than the lock says."""

    rock: LockedRock
    sha256: str
    """Of what is installed."""

    def __str__(self) -> str:
        return _differs(self.rock, self.sha256)


class Difference(Value):
    """What makes a tree what a lock says."""

    install: tuple[LockedRock, ...]
    """Dependencies first; those of `changed` are not among them."""
    remove: tuple[tuple[str, str], ...]
    """(name, version), sorted."""
    changed: tuple[Changed, ...]


def difference(locked: Iterable[LockedRock], installed: Mapping[tuple[str, str], str | None]) -> Difference:
    """Compares one target's rocks with (name, version) -> SHA-256 (None: not known) of what a tree has."""
    wanted = {(rock.name, rock.version): rock for rock in locked}
    return Difference(
        tuple([rock for key, rock in wanted.items() if key not in installed]),
        tuple(sorted([key for key in installed if key not in wanted])),
        tuple(
            [
                Changed(rock, there)
                for key, rock in wanted.items()
                if (there := installed.get(key)) is not None and there != rock.sha256
            ]
        ),
    )


def check_digest(rock: LockedRock, sha256: str) -> None:
    """Raises DataError, with both digests, unless the bytes that came are those that were locked."""
    if sha256 != rock.sha256:
        raise DataError(
            _differs(rock, sha256),
            hint="find out why it changed; if that is right, accept it with 'pumice lock'",
        )


def _differs(rock: LockedRock, sha256: str) -> str:
    return (
        f"{rock.name} {rock.version} is not what pumice.lock says: "
        f"its SHA-256 is {sha256}, not {rock.sha256} ({rock.url})"
    )


def lock_text(lock: Lock) -> str:
    """The file's text: the same rocks always give the same text."""
    parts = [_HEAD, f"version = {VERSION}\n"]
    for rock in lock.rocks:
        lines = ["", "[[rock]]", *[f"{key} = {_quoted(getattr(rock, key))}" for key in _REQUIRED[:2]]]
        lines += [f"namespace = {_quoted(rock.namespace)}"] if rock.namespace is not None else []
        lines += [f"{key} = {_quoted(getattr(rock, key))}" for key in _REQUIRED[2:5]]
        lines += [f"commit = {_quoted(rock.commit)}"] if rock.commit is not None else []
        lines.append(f"sha256 = {_quoted(rock.sha256)}")
        if rock.dependencies:
            lines.append("dependencies = [")
            lines += [f"  {_quoted(name)}," for name in sorted(rock.dependencies)]
            lines.append("]")
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


def read_lock(text: str, name: str = "pumice.lock") -> Lock:
    """The lock that `text` writes.

    Raises DataError, beginning with `name`, that says which rock and which field is wrong.
    """
    import tomllib

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines()):
            raise _wrong(name, "has conflicts of a merge in it", "resolve them, or " + _AGAIN) from None
        raise _wrong(name, f"is no TOML: {error}") from None
    except RecursionError:
        raise _wrong(name, "is no TOML: its values are nested too deeply") from None
    version = table.get("version")
    if version != VERSION or isinstance(version, bool):
        shown = "without a version" if version is None else f"of version {version!r}"
        raise _wrong(
            name, f"is {shown}; this Pumice reads version {VERSION}", "use a newer Pumice, or " + _AGAIN
        )
    unknown = sorted(table.keys() - {"version", "rock"})
    if unknown:
        raise _wrong(name, f"has the unknown field '{unknown[0]}'")
    tables = table.get("rock", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise _wrong(name, "must write its rocks as [[rock]] tables")
    rocks = [_read_rock(each, number, name) for number, each in enumerate(tables, start=1)]
    _check_together(rocks, name)
    return Lock(rocks)


def _read_rock(table: dict[str, object], number: int, name: str) -> LockedRock:
    label = f"rock number {number}"
    if isinstance(table.get("name"), str):
        label += f" ({table['name']})"
    for key in (*_REQUIRED, *_OPTIONAL):
        value = table.get(key)
        if value is None and key in _REQUIRED:
            raise _wrong(name, f"has no '{key}' for {label}")
        if key == "dependencies":
            if value is not None and not (
                isinstance(value, list) and all(isinstance(each, str) for each in value)
            ):
                raise _wrong(name, f"must have a list of names as 'dependencies' of {label}")
        elif value is not None and not isinstance(value, str):
            raise _wrong(name, f"must have a string as '{key}' of {label}")
    unknown = sorted(table.keys() - {*_REQUIRED, *_OPTIONAL})
    if unknown:
        raise _wrong(name, f"has the unknown field '{unknown[0]}' for {label}")
    text = {key: value for key, value in table.items() if isinstance(value, str)}
    for key in ("name", "version", "lua", "platform", "namespace"):
        if key in text and not is_safe_name(text[key]):
            raise _wrong(name, f"has a '{key}' of {label} that cannot be one: {text[key]!r}")
    if not _is_hex(text["sha256"], (64,)):
        raise _wrong(name, f"has a 'sha256' of {label} that is not 64 hexadecimal digits")
    if "commit" in text and not _is_hex(text["commit"], (40, 64)):
        raise _wrong(name, f"has a 'commit' of {label} that is not one in full")
    listed = table.get("dependencies")
    names = tuple(sorted(map(str, listed))) if isinstance(listed, list) else ()
    return LockedRock(dependencies=names, **text)


def _check_together(rocks: list[LockedRock], name: str) -> None:
    """One version of a rock for each target, and every dependency among them."""
    seen: dict[tuple[str, str, str], LockedRock] = {}
    for rock in rocks:
        other = seen.setdefault((rock.name, rock.lua, rock.platform), rock)
        if other is not rock:
            raise _wrong(
                name,
                f"has {rock.name} twice for Lua {rock.lua} on {rock.platform}: "
                f"{other.version} and {rock.version}",
            )
    for rock in rocks:
        for needed in rock.dependencies:
            if (needed, rock.lua, rock.platform) not in seen:
                raise _wrong(
                    name,
                    f"says that {rock.name} {rock.version} needs {needed}, "
                    f"but has no {needed} for Lua {rock.lua} on {rock.platform}",
                )


def _wrong(name: str, problem: str, hint: str = _AGAIN) -> DataError:
    return DataError(f"{name} {problem}", hint=hint)


def _is_hex(text: str, lengths: tuple[int, ...]) -> bool:
    return len(text) in lengths and not text.strip(_HEX)


def _sort_key(rock: LockedRock) -> SortKey:
    return rock.name, sort_key(parse_version(rock.version)), rock.version, rock.lua, rock.platform


def _ordered(rocks: dict[str, LockedRock]) -> tuple[LockedRock, ...]:
    """Dependencies before what needs them; where they go in circles, by name."""
    order: dict[str, LockedRock] = {}
    started: set[str] = set()
    for root, rock in rocks.items():
        if root in started:
            continue
        started.add(root)
        stack = [(root, iter(rock.dependencies))]
        while stack:
            name, waiting = stack[-1]
            for needed in waiting:
                if needed in rocks and needed not in started:
                    started.add(needed)
                    stack.append((needed, iter(rocks[needed].dependencies)))
                    break
            else:
                stack.pop()
                order[name] = rocks[name]
    return tuple(order.values())


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        escaped = "".join(
            [each if each.isprintable() else f"\\U{ord(each):08X}" for each in escaped],
        )
    return f'"{escaped}"'
