"""Names of rock and rockspec files (LuaRocks contract 2.1 and 4)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import DataError, RockspecError

__all__ = [
    "RockName",
    "base_name",
    "check_rockspec_filename",
    "parse_filename",
    "parse_rock_filename",
    "parse_rockspec_filename",
    "rock_filename",
    "rockspec_filename",
]


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


def rock_filename(name: str, version: str, arch: str) -> str:
    """`<name>-<version>.<arch>.rock`, or the rockspec's name when `arch` is `rockspec`."""
    if arch == "rockspec":
        return rockspec_filename(name, version)
    return f"{name.lower()}-{version}.{arch}.rock"


def rockspec_filename(name: str, version: str) -> str:
    """`<name>-<version>.rockspec`, the name in lower case."""
    return f"{name.lower()}-{version}.rockspec"


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
