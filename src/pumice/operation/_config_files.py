"""LuaRocks's configuration files: which there are, and what they say together (contract 7.1, 7.2)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import ConfigError, DataError
from pumice.operation._plain_lua import plain_assignments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["Places", "Settings", "default_lua_version", "merge", "merge_under", "read_settings", "sequence"]

_DEFAULT_VERSION_FILE = "default-lua-version.lua"
_REPLACED = ("rocks_trees", "rocks_servers")
"""Settings that a later file replaces as a whole; all others are merged key by key."""
_NEVER_SETTINGS = ("os_getenv", "dump_env")


class Places(Value):
    """Where configuration is looked for."""

    home: str
    sysconfdir: str
    xdg_config_home: str
    cwd: str
    environment: Mapping[str, str]
    project_dir: str | None

    def in_project(self, name: str) -> str | None:
        """A file in the project's `.luarocks`."""
        return None if self.project_dir is None else f"{self.project_dir}/.luarocks/{name}"

    def named_by_environment(self, lua_version: str) -> tuple[str, str] | None:
        """Variable and path of the file that LUAROCKS_CONFIG_X_Y or LUAROCKS_CONFIG names."""
        for variable in (f"LUAROCKS_CONFIG_{lua_version.replace('.', '_')}", "LUAROCKS_CONFIG"):
            if variable in self.environment:
                return variable, os.path.join(self.cwd, self.environment[variable])
        return None

    def user_dirs(self) -> tuple[str, str]:
        """The two directories of a user's configuration, the preferred one first."""
        return f"{self.xdg_config_home}/luarocks", f"{self.home}/.luarocks"


class Settings(Value):
    """What the files say together; tables are dictionaries with Lua's keys."""

    table: dict[Any, Any]
    platforms: tuple[str, ...]
    files: tuple[tuple[str, str, bool], ...]
    """(kind, path, found) for system, user and project."""


def read_settings(
    places: Places,
    lua_version: str,
    platforms: tuple[str, ...],
    processor: str,
    variables: dict[str, str],
    warn: Callable[[str], None],
) -> Settings:
    """Read the system's, the user's and the project's file, each over the ones before it.

    `platforms`, `processor` and `variables` are what the files see. Raises ConfigError for a file that
    does not load; one that cannot be opened counts as absent.
    """
    reader = _Reader(places, lua_version, platforms, processor, variables)
    name = f"config-{lua_version}.lua"
    system = f"{places.sysconfdir}/{name}"
    files = [("system", system, reader.read(system))]

    user, found = "", False
    named = places.named_by_environment(lua_version)
    if named is not None:
        variable, user = named
        found = reader.read(user)
        if not found:
            warn(f"could not load configuration file `{user}` given in environment variable {variable}")
    if not found:
        for directory in places.user_dirs():
            user = f"{directory}/{name}"
            found = reader.read(user)
            if found:
                break
    files.append(("user", user, found))

    project = places.in_project(name)
    if project is not None:
        files.append(("project", project, reader.read(project)))
    return Settings(reader.table, reader.platforms, tuple(files))


def default_lua_version(places: Places) -> str | None:
    """The version that `luarocks config lua_version` or `luarocks init` has stored, or None."""
    user: str | None = places.user_dirs()[0]
    if not os.path.exists(f"{user}/config-5.1.lua"):
        user = places.user_dirs()[1]
    named = places.named_by_environment("5.1")
    if named is not None and os.path.exists(named[1]):
        user = None  # as in LuaRocks, a file named by the environment hides the user's directory
    candidates = [places.in_project(_DEFAULT_VERSION_FILE)]
    candidates += [f"{where}/{_DEFAULT_VERSION_FILE}" for where in (user, places.sysconfdir) if where]
    for path in candidates:
        source = None if path is None else _contents(path)
        if source is not None:
            version = _returned_version(source, path or "")
            if version is not None:
                return version
    if places.project_dir is not None:
        from pumice.lua.interpreter import LUA_VERSIONS

        for version in LUA_VERSIONS:
            if os.path.exists(f"{places.project_dir}/.luarocks/config-{version}.lua"):
                return version
    return None


def merge(target: dict[Any, Any], changes: Mapping[Any, Any]) -> None:
    """Lay `changes` over `target`: tables key by key, indices of arrays included."""
    for key, value in changes.items():
        if isinstance(value, dict):
            here = target.setdefault(key, {})
            if isinstance(here, dict):
                merge(here, value)
                continue
        target[key] = value


def merge_under(target: dict[Any, Any], defaults: Mapping[Any, Any]) -> None:
    """Fill in what `target` does not say: tables key by key, indices of arrays included."""
    for key, value in defaults.items():
        if isinstance(value, dict):
            here = target.setdefault(key, {})
            if isinstance(here, dict):
                merge_under(here, value)
        else:
            target.setdefault(key, value)


class _Reader:
    """The settings so far, which the next file sees a part of."""

    def __init__(
        self,
        places: Places,
        lua_version: str,
        platforms: tuple[str, ...],
        processor: str,
        variables: dict[str, str],
    ) -> None:
        self._environment = places.environment
        self._processor = processor
        self.platforms = platforms
        self.table: dict[Any, Any] = {
            "home": places.home,
            "lua_version": lua_version,
            "variables": dict(variables),
        }

    def read(self, path: str) -> bool:
        """Lay the file at `path` over the settings; False if it cannot be opened."""
        source = _contents(path)
        if source is None:
            return False
        names = {
            name: text
            for name, text in (
                ("home", self.table["home"]),
                ("lua_version", self.table["lua_version"]),
                ("processor", self._processor),
                ("target_cpu", self._processor),
            )
            if isinstance(text, str)
        }
        assigned: dict[Any, Any] | None = plain_assignments(source, names)
        if assigned is None:
            assigned = self._evaluated(source, path, names)
        for name in _NEVER_SETTINGS:
            assigned.pop(name, None)
        platforms = assigned.pop("platforms", None)
        if isinstance(platforms, dict) and 1 in platforms:
            listed = [str(name) for name in sequence(platforms)]
            self.platforms = tuple(listed if {"unix", "windows"} & set(listed) else ["unix", *listed])
        for key in _REPLACED:
            if assigned.get(key):
                self.table.pop(key, None)
        merge(self.table, assigned)
        return True

    def _evaluated(self, source: bytes, path: str, names: dict[str, str]) -> dict[Any, Any]:
        from pumice.lua.data import evaluate

        given: dict[str, Any] = {
            **names,
            "platforms": dict.fromkeys(self.platforms, True),
            "variables": self.table["variables"],
        }
        try:
            evaluation = evaluate(source, path, given=given, environment=self._environment)
        except DataError as error:
            raise ConfigError(error.message, hint="Mend the configuration file, or move it away.") from error
        return dict(evaluation.globals)


def _contents(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def sequence(table: Mapping[Any, Any]) -> list[Any]:
    """The values at 1, 2, 3, … up to the first that is missing."""
    found: list[Any] = []
    while len(found) + 1 in table:
        found.append(table[len(found) + 1])
    return found


def _returned_version(source: bytes, path: str) -> str | None:
    """The version of `return "5.4"`; None for whatever else the file does, as in LuaRocks."""
    words = source.split()
    returned: object = None
    if len(words) == 2 and words[0] == b"return" and words[1][:1] == b'"' and words[1].count(b'"') == 2:
        returned = words[1].strip(b'"').decode("ascii", "replace")
    elif words:
        from pumice.lua.data import evaluate

        try:
            returned = evaluate(source, path).returned
        except DataError:
            return None
    if isinstance(returned, str):
        major, dot, minor = returned.partition(".")
        if dot and major.isdecimal() and minor.isdecimal():
            return returned
    return None
