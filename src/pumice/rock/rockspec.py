"""`Rockspec`: what a rockspec says, checked, with this platform's overrides applied (LuaRocks contract 2)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import LuaDataError, RockspecError, VersionError
from pumice.lua.data import evaluate, sequence
from pumice.rock.dependency import Dependency, parse_dependency
from pumice.rock.filename import (
    base_name,
    check_rockspec_filename,
    is_safe_name,
    lower_name,
    rockspec_filename,
)
from pumice.rock.platform import overridden, unsupported_platforms
from pumice.rock.rockspec_schema import FORMATS, check_rockspec_table
from pumice.rock.source import Source, source_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pumice.lua.data import LuaTable, LuaValue

__all__ = ["Description", "ExternalDependency", "Rockspec", "load_rockspec"]

_BUILTIN = ("builtin", "module")


class Description(Value):
    """What a rock is, for people."""

    summary: str | None = None
    detailed: str | None = None
    homepage: str | None = None
    license: str | None = None
    maintainer: str | None = None
    labels: tuple[str, ...] = ()
    issues_url: str | None = None


class ExternalDependency(Value):
    """What a rock needs of the system: a program, a header, a library; None where not asked for."""

    program: str | None = None
    header: str | None = None
    library: str | None = None


class Rockspec(Value):
    """A rockspec that LuaRocks accepts. Tables are plain dicts and must not be changed."""

    file_name: str
    """As it was given to `load_rockspec`; for messages."""
    package: str
    """The name as written."""
    name: str
    """The name in lower case: directories, manifests and file names use it."""
    version: str
    """With revision: `1.0-1`."""
    format: str
    """`1.0`, `1.1`, `3.0` or `3.1`; `1.0` when not written."""
    description: Description
    supported_platforms: tuple[str, ...]
    """As written: `linux`, `!windows`."""
    dependencies: tuple[Dependency, ...]
    """Each with its `text` as written."""
    build_dependencies: tuple[Dependency, ...]
    test_dependencies: tuple[Dependency, ...]
    external_dependencies: Mapping[str, ExternalDependency]
    source: Source
    build: LuaTable
    """Empty when not written; keys of the build type are not checked here."""
    build_type: str | None
    """As written; from format 3.0 on `builtin` when not written, before that None, which cannot be built."""
    hooks: Mapping[str, str]
    wrap_bin_scripts: bool | None
    """`deploy.wrap_bin_scripts`; None when not written."""
    test: LuaTable
    globals: LuaTable
    """Every field as evaluated, before overrides."""
    text: bytes
    """The file itself."""

    @property
    def is_builtin(self) -> bool:
        """Whether the build type is `builtin`, or `module`, its old name."""
        return self.build_type in _BUILTIN

    @property
    def modules(self) -> LuaTable:
        """The modules map of a builtin build; empty for another type, and where it is to be found out."""
        modules = self.build.get("modules") if self.is_builtin else None
        return modules if isinstance(modules, dict) else {}

    @property
    def rockspec_name(self) -> str:
        """The name that the file must have: `<name>-<version>.rockspec`."""
        return rockspec_filename(self.name, self.version)

    def format_at_least(self, wanted: str) -> bool:
        """Whether the rockspec is of format `wanted` or a later one."""
        return FORMATS.index(self.format) >= FORMATS.index(wanted)

    def check_platform(self, platforms: Collection[str]) -> None:
        """Raises RockspecError, in LuaRocks's words, if the rock does not support these platforms."""
        missing = unsupported_platforms(self.supported_platforms, platforms)
        if missing is not None:
            raise RockspecError(
                f"This rockspec for {self.package} does not support {missing} platforms.",
                hint="look for another version of the rock, or one with the same purpose",
            )


def load_rockspec(
    data: bytes,
    file_name: str,
    platforms: Collection[str],
    *,
    accept_unknown_fields: bool = False,
    check_name: bool = True,
) -> Rockspec:
    """The rockspec in `data`, with the overrides for `platforms`.

    `file_name` is for messages, and with `check_name` its last part must be what package and version demand.
    Raises RockspecError for whatever LuaRocks 3.13 refuses, in its words.
    """
    if check_name:
        check_rockspec_filename(file_name)
    try:
        evaluation = evaluate(data, file_name)
    except LuaDataError as error:
        raise RockspecError(
            f"Could not load rockspec file {file_name} ({error.message})", hint=error.hint
        ) from error
    table = evaluation.globals
    problem = check_rockspec_table(table, evaluation.undefined, accept_unknown_fields=accept_unknown_fields)
    if problem is not None:
        raise RockspecError(f"{file_name}: {problem}", hint="mend the rockspec; 'pumice lint' checks it")
    name = lower_name(str(table["package"]))
    if not is_safe_name(name):
        raise RockspecError(
            f"{file_name}: '{name}' cannot be the name of a rock",
            hint="a rock's name is a directory's too: it has no '/', and is not empty, '.' or '..'",
        )
    rockspec = _rockspec(table, name, file_name, data, platforms)
    if check_name:
        given = base_name(file_name)
        if given not in ("rockspec", rockspec.rockspec_name):
            raise RockspecError(
                f"Inconsistency between rockspec filename ({given}) and its contents "
                f"({rockspec.rockspec_name}).",
                hint="rename the file, or mend package and version",
            )
    return rockspec


def _rockspec(
    table: LuaTable, name: str, file_name: str, data: bytes, platforms: Collection[str]
) -> Rockspec:
    """From globals that the schema accepts."""

    def section(field: str) -> LuaTable:
        value = table.get(field)
        return overridden(value, platforms) if isinstance(value, dict) else {}

    def dependencies(field: str) -> tuple[Dependency, ...]:
        return tuple([_dependency(text, file_name) for text in sequence(section(field))])

    rockspec_format = str(table.get("rockspec_format", "1.0"))
    build = section("build")
    build_type = build.get("type")
    if build_type is None and FORMATS.index(rockspec_format) >= FORMATS.index("3.0"):
        build_type = "builtin"
    deploy = table.get("deploy")
    wrap = deploy.get("wrap_bin_scripts") if isinstance(deploy, dict) else None
    return Rockspec(
        file_name,
        str(table["package"]),
        name,
        str(table["version"]),
        rockspec_format,
        _description(table.get("description")),
        _strings(table.get("supported_platforms")),
        dependencies("dependencies"),
        dependencies("build_dependencies"),
        dependencies("test_dependencies"),
        _external_dependencies(section("external_dependencies")),
        source_of(section("source")),
        build,
        build_type if isinstance(build_type, str) else None,
        {
            key: value
            for key, value in section("hooks").items()
            if isinstance(key, str) and isinstance(value, str)
        },
        wrap if isinstance(wrap, bool) else None,
        section("test"),
        table,
        data,
    )


def _dependency(text: LuaValue, file_name: str) -> Dependency:
    try:
        if not isinstance(text, str):
            raise VersionError(f"a dependency must be a string, not {text!r}")
        return parse_dependency(text)
    except VersionError as error:
        raise RockspecError(
            f"{file_name}: Parse error processing dependency '{text}': {error.message}", hint=error.hint
        ) from error


def _description(value: LuaValue) -> Description:
    table = value if isinstance(value, dict) else {}
    return Description(
        _text(table, "summary"),
        _text(table, "detailed"),
        _text(table, "homepage"),
        _text(table, "license"),
        _text(table, "maintainer"),
        _strings(table.get("labels")),
        _text(table, "issues_url"),
    )


def _external_dependencies(table: LuaTable) -> dict[str, ExternalDependency]:
    return {
        name: ExternalDependency(_text(wanted, "program"), _text(wanted, "header"), _text(wanted, "library"))
        for name, wanted in table.items()
        if isinstance(name, str) and isinstance(wanted, dict)
    }


def _text(table: LuaTable, field: str) -> str | None:
    value = table.get(field)
    return value if isinstance(value, str) else None


def _strings(table: LuaValue) -> tuple[str, ...]:
    return (
        tuple([value for value in table.values() if isinstance(value, str)])
        if isinstance(table, dict)
        else ()
    )
