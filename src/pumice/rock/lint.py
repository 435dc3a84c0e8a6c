"""What is wrong or doubtful in a rockspec that loads: `luarocks lint`, and more (contract 2.2, 12)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.rock.platform import OVERRIDE_ORDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.lua.data import LuaTable
    from pumice.rock.rockspec import Rockspec

__all__ = ["Problem", "lint"]

_SECTIONS_WITH_PLATFORMS = (
    "build",
    "dependencies",
    "build_dependencies",
    "test_dependencies",
    "external_dependencies",
    "source",
    "hooks",
    "test",
)


class Problem(Value):
    """One finding."""

    severity: str
    """`error`: `luarocks lint` fails too. `warning`: only Pumice says so."""
    code: str
    """A short name to silence it by."""
    message: str
    hint: str


def lint(rockspec: Rockspec) -> tuple[Problem, ...]:
    """The problems of a rockspec that loads, errors first."""
    return (*_errors(rockspec), *_warnings(rockspec))


def _errors(rockspec: Rockspec) -> Iterator[Problem]:
    if rockspec.description.license is None:
        yield Problem(
            "error",
            "no-license",
            "Rockspec has no license field.",
            "add description.license, such as 'MIT' or 'Apache-2.0'",
        )


def _warnings(rockspec: Rockspec) -> Iterator[Problem]:
    for dependency in (*rockspec.dependencies, *rockspec.build_dependencies, *rockspec.test_dependencies):
        for constraint in dependency.constraints:
            if constraint.version.warning:
                yield Problem(
                    "warning",
                    "odd-version",
                    f"dependency '{dependency.text}': {constraint.version.warning}",
                    "versions are numbers and words divided by '.', '-' and '_'",
                )
            if constraint.no_upgrade:
                yield Problem(
                    "warning",
                    "no-upgrade",
                    f"dependency '{dependency.text}': '@' has no effect",
                    "drop the '@'",
                )
    if rockspec.build_type is None:
        yield Problem(
            "warning",
            "no-build-type",
            "Rockspec error: build type not specified",
            f"add build.type: format {rockspec.format} has no default",
        )
    if rockspec.build_type == "module":
        yield Problem(
            "warning", "old-build-type", "build type 'module' is the old name of 'builtin'", "rename it"
        )
    for section in _SECTIONS_WITH_PLATFORMS:
        table = rockspec.globals.get(section)
        platforms = table.get("platforms") if isinstance(table, dict) else None
        if isinstance(table, dict) and isinstance(platforms, dict):
            yield from _override_warnings(section, table, platforms)


def _override_warnings(section: str, table: LuaTable, platforms: LuaTable) -> Iterator[Problem]:
    for platform, changes in platforms.items():
        if platform not in OVERRIDE_ORDER:
            yield Problem(
                "warning",
                "platform-without-effect",
                f"{section}.platforms.{platform} is never applied",
                "macOS is 'macosx' here; other names are listed in the documentation of LuaRocks",
            )
        elif isinstance(changes, dict):
            for where in _overridden_arrays(table, changes, section):
                yield Problem(
                    "warning",
                    "array-override",
                    f"{where} is overridden item by item for {platform}, not as a whole",
                    "repeat the items that must stay, in their places",
                )


def _overridden_arrays(table: LuaTable, changes: LuaTable, where: str) -> Iterator[str]:
    """Where an array of `changes` covers only a part of the one that it is merged into."""
    if 1 in changes and len(_numbered(changes)) < len(_numbered(table)):
        yield where
    for key, value in changes.items():
        here = table.get(key)
        if isinstance(value, dict) and isinstance(here, dict):
            yield from _overridden_arrays(here, value, f"{where}.{key}")


def _numbered(table: LuaTable) -> list[object]:
    return [key for key in table if isinstance(key, int) and not isinstance(key, bool)]
