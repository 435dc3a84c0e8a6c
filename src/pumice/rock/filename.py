"""Names of rock and rockspec files (LuaRocks contract 2.1 and 4)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import DataError, RockspecError

__all__ = [
    "LONGEST_NAME",
    "RockName",
    "base_name",
    "check_rockspec_filename",
    "is_safe_name",
    "lower_name",
    "parse_filename",
    "parse_rock_filename",
    "parse_rockspec_filename",
    "rock_filename",
    "rockspec_filename",
]

LONGEST_NAME = 200
"""Of a rock or a version: it is to be a part of file names, with more beside it."""
_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class RockName(Value):
    """What a file name says of a rock."""

    name: str
    """As in the file name, where it should be lower case."""
    version: str
    """With revision: `1.0-1`."""
    arch: str
    """`rockspec`, `src`, `all`, or a machine's arch such as `linux-x86_64`."""


def base_name(path: str) -> str:
    """The last part of a path or URL, whose parts end at `/` or `\\`; LuaRocks's `base_name`."""
    stripped = path.rstrip("/\\")
    cut = max(stripped.rfind("/"), stripped.rfind("\\"))
    return stripped[cut + 1 :] if cut >= 0 else path


def lower_name(package: str) -> str:
    """The name that directories, manifests and files have: ASCII letters of the package in lower case."""
    return package.lower() if package.isascii() else package.translate(_ASCII_LOWER)


def is_safe_name(name: str) -> bool:
    """Whether `name` can be one directory of a tree and a part of a file's name, and nothing worse."""
    if name in ("", ".", "..") or len(name) > LONGEST_NAME:
        return False
    return not any(character in "/\\\x7f" or character < " " for character in name)


def rock_filename(name: str, version: str, arch: str) -> str:
    """`<name>-<version>.<arch>.rock`, or the rockspec's name when `arch` is `rockspec`."""
    if arch == "rockspec":
        return rockspec_filename(name, version)
    return f"{lower_name(name)}-{version}.{arch}.rock"


def rockspec_filename(name: str, version: str) -> str:
    """`<name>-<version>.rockspec`, the name in lower case."""
    return f"{lower_name(name)}-{version}.rockspec"


def parse_filename(path: str) -> RockName | None:
    """Name, version and arch of a `.rock` or `.rockspec` file, looking at the last part of `path` only."""
    file = base_name(path)
    if file.endswith(".rock"):
        stem, dot, arch = file[: -len(".rock")].rpartition(".")
        if not dot or not arch:
            return None
    elif file.endswith(".rockspec"):
        stem, arch = file[: -len(".rockspec")], "rockspec"
    else:
        return None
    left, dash, revision = stem.rpartition("-")
    name, second_dash, upstream = left.rpartition("-")
    if not (dash and second_dash and name and upstream and revision.isdigit() and revision.isascii()):
        return None
    return RockName(name, f"{upstream}-{revision}", arch)


def parse_rock_filename(path: str) -> RockName:
    """What the name of a `.rock` file says. Raises DataError for any other name."""
    parsed = parse_filename(path)
    if parsed is None or parsed.arch == "rockspec":
        raise DataError(
            f"'{base_name(path)}' is not the name of a rock",
            hint="rocks are named <name>-<version>-<revision>.<arch>.rock, such as inspect-3.1.3-0.all.rock",
        )
    return parsed


def parse_rockspec_filename(path: str) -> RockName:
    """What the name of a `.rockspec` file says. Raises RockspecError for any other name."""
    parsed = parse_filename(path)
    if parsed is None or parsed.arch != "rockspec":
        raise _not_a_rockspec_name()
    return parsed


def check_rockspec_filename(path: str) -> None:
    """Raises RockspecError for a name under which LuaRocks opens no rockspec; `rockspec` alone is one."""
    file = base_name(path)
    if file == "rockspec" or file.count("-") >= 2:
        return
    raise _not_a_rockspec_name()


def _not_a_rockspec_name() -> RockspecError:
    return RockspecError(
        "Expected filename in format 'name-version-revision.rockspec'.",
        hint="rename the file after its package and version, such as inspect-3.1.3-0.rockspec",
    )
