"""`load_config`: flags, environment and configuration files become one frozen `Config` (contract 7)."""

from __future__ import annotations

import os

from pumice.base.config import Config
from pumice.base.value import Value
from pumice.errors import ConfigError, UsageError
from pumice.operation import _config_defaults as defaults
from pumice.operation import _config_values as values
from pumice.operation._config_files import Places, default_lua_version, merge_under, read_settings, sequence
from pumice.operation._trees import Layout, choose_tree, configured_trees
from pumice.rock.arch import machine_arch
from pumice.rock.platform import platforms_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["DEPS_MODES", "Flags", "load_config"]

DEPS_MODES = ("all", "one", "order", "none")
DEFAULT_LUA_VERSION = "5.1"

_SYSCONFDIRS = ("/etc/luarocks", "/usr/local/etc/luarocks", "/opt/homebrew/etc/luarocks")
"""Where packages and builds of LuaRocks keep the system's configuration; the first that exists counts."""
_PROJECT_LEVELS = 10


class Flags(Value):
    """What the command line says about the configuration (contract 1.2)."""

    dev: bool = False
    server: str | None = None
    only_server: str | None = None
    only_sources: str | None = None
    namespace: str | None = None
    lua_dir: str | None = None
    lua_version: str | None = None
    tree: str | None = None
    local: bool = False
    global_: bool = False
    no_project: bool = False
    project_tree: str | None = None
    force_lock: bool = False
    lock_timeout: float | None = None
    verbose: bool = False
    timeout: float | None = None
    deps_mode: str | None = None
    no_manifest: bool = False
    keep: bool = False
    assignments: Mapping[str, str] = {}
    """`VAR=VALUE` words: they override `variables.*`."""


def load_config(
    flags: Flags,
    environment: Mapping[str, str],
    cwd: str,
    *,
    superuser: bool | None = None,
    warn: Callable[[str], None] | None = None,
) -> Config:
    """The settings of one command.

    `cwd` is an absolute path. `superuser` is looked up when not given; `warn` gets a line for people.
    Raises UsageError for a malformed flag (LuaRocks prints its usage there too), and ConfigError for flags
    that contradict each other or name what is not there, and for configuration files that do not load or
    hold what cannot be.
    """
    _refuse_contradictions(flags)
    if superuser is None:
        superuser = os.geteuid() == 0
    home = environment.get("HOME") or _home_of_user()
    project_dir = _project_dir(flags, cwd)
    places = Places(
        home,
        environment.get("LUAROCKS_SYSCONFDIR") or _sysconfdir(),
        environment.get("XDG_CONFIG_HOME") or f"{home}/.config",
        cwd,
        environment,
        project_dir,
    )
    cache_dir = _cache_dir(environment, home)
    arch = machine_arch()
    system, _, processor = arch.partition("-")
    version = flags.lua_version or default_lua_version(places)
    lua = _lua_of_prefix(flags, version, cwd, cache_dir, environment)
    if version is None and "LUA" in lua:
        version = lua.pop("version")
    lua.pop("version", None)
    settings = read_settings(
        places,
        version or DEFAULT_LUA_VERSION,
        platforms_of(system),
        processor,
        lua,
        warn or (lambda _: None),
    )
    table, platforms = settings.table, settings.platforms
    lua_version = flags.lua_version or values.text(table, "lua_version") or DEFAULT_LUA_VERSION
    if not _is_version(lua_version):
        raise ConfigError(f"Configuration error: lua_version '{lua_version}' is not of the form X.Y.")
    merge_under(table, defaults.default_settings(lua_version, platforms, processor))

    layout = Layout(
        values.text(table, "lua_modules_path") or "",
        values.text(table, "lib_modules_path") or "",
        values.text(table, "rocks_subdir") or "",
        cwd,
    )
    home_tree = f"{home}/.luarocks"
    deps_mode = flags.deps_mode or values.text(table, "deps_mode") or "one"
    if deps_mode not in DEPS_MODES:
        listed = ", ".join(f"'{mode}'" for mode in DEPS_MODES)
        raise ConfigError(f"Configuration error: deps_mode must be one of {listed}, not '{deps_mode}'.")
    local_by_default = values.truth(table, "local_by_default", False) and not flags.global_
    tree, trees = choose_tree(
        flags,
        configured_trees(table.get("rocks_trees"), layout, home_tree=home_tree, superuser=superuser),
        layout,
        home_tree=home_tree,
        project_dir=project_dir,
        local_by_default=local_by_default,
        deps_mode=deps_mode,
        superuser=superuser,
    )

    variables = {
        **defaults.default_variables(platforms, environment),
        **values.texts(table, "variables"),
        **lua,
    }
    if lua:
        for stale in ("LUA_INCDIR", "LUA_LIBDIR"):
            variables.pop(stale, None)
    # As in LuaRocks these name the platform's extensions, whatever lib_extension is set to.
    variables.setdefault("LIB_EXTENSION", "so")
    variables.setdefault("OBJ_EXTENSION", "o")
    variables.update(ROCKS_TREE=tree.rocks_dir, SCRIPTS_DIR=tree.bin_dir)
    variables.update(flags.assignments)

    timeout = flags.timeout if flags.timeout is not None else values.number(table, "connection_timeout", 30.0)
    lock_timeout = (
        flags.lock_timeout if flags.lock_timeout is not None else values.number(table, "lock_timeout", 60.0)
    )
    accepted = table.get("accepted_build_types")
    return Config(
        lua_version=lua_version,
        tree=tree,
        trees=trees,
        arch=values.text(table, "arch") or arch,
        platforms=platforms,
        variables=variables,
        home=values.text(table, "home") or home,
        sysconfdir=places.sysconfdir,
        cache_dir=cache_dir,
        cwd=cwd,
        environment=dict(environment),
        rocks_servers=_servers(flags, table),
        project_dir=project_dir,
        deps_mode=deps_mode,
        rocks_provided=values.texts(table, "rocks_provided"),
        wrap_bin_scripts=values.truth(table, "wrap_bin_scripts", True),
        keep_other_versions=flags.keep or values.truth(table, "keep_other_versions", False),
        hooks_enabled=values.truth(table, "hooks_enabled", True),
        no_manifest=flags.no_manifest or values.truth(table, "no_manifest", False),
        accept_unknown_fields=values.truth(table, "accept_unknown_fields", False),
        accepted_build_types=None if accepted is None else values.strings(table, "accepted_build_types"),
        lib_extension=values.text(table, "lib_extension") or "so",
        obj_extension=values.text(table, "obj_extension") or "o",
        wrapper_suffix=values.text(table, "wrapper_suffix") or "",
        external_deps_dirs=values.prefixes(table),
        external_deps_subdirs=values.subdirs(table, "external_deps_subdirs"),
        external_deps_patterns=values.patterns(table, "external_deps_patterns"),
        runtime_external_deps_subdirs=values.subdirs(table, "runtime_external_deps_subdirs"),
        runtime_external_deps_patterns=values.patterns(table, "runtime_external_deps_patterns"),
        gcc_rpath=values.truth(table, "gcc_rpath", True),
        link_lua_explicitly=values.truth(table, "link_lua_explicitly", False),
        cmake_generator=values.text(table, "cmake_generator") or "Unix Makefiles",
        connection_timeout=timeout,
        check_certificates=values.truth(table, "check_certificates", True),
        only_sources_from=(
            flags.only_sources if flags.only_sources is not None else values.text(table, "only_sources_from")
        ),
        local_by_default=local_by_default,
        lock_timeout=lock_timeout,
        force_lock=flags.force_lock,
        verbose=flags.verbose,
        config_files=settings.files,
    )


def _refuse_contradictions(flags: Flags) -> None:
    if flags.only_server is not None:
        for other, given in (("--dev", flags.dev), ("--server", flags.server is not None)):
            if given:
                raise ConfigError(f"--only-server cannot be used with {other}", hint="Leave one of them out.")
    if flags.lua_version is not None and not _is_version(flags.lua_version):
        raise UsageError(
            f"malformed argument '{flags.lua_version}'", hint="--lua-version takes a version such as 5.1."
        )
    if flags.deps_mode is not None and flags.deps_mode not in DEPS_MODES:
        listed = ", ".join(f"'{mode}'" for mode in DEPS_MODES)
        raise UsageError(f"argument for option '--deps-mode' must be one of {listed}")
    for name, value in flags.assignments.items():
        if not (name.isascii() and name.isidentifier() and name == name.upper()):
            raise ConfigError(
                f"Invalid assignment: {name}={value}", hint="Variables have upper-case names: CC=clang."
            )


def _is_version(text: str) -> bool:
    major, dot, minor = text.partition(".")
    return bool(dot) and text.isascii() and major.isdigit() and minor.isdigit()


def _home_of_user() -> str:
    """The home directory where HOME is not set, as under a service manager."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def _sysconfdir() -> str:
    for directory in _SYSCONFDIRS:
        if os.path.isdir(directory):
            return directory
    return _SYSCONFDIRS[0]


def _cache_dir(environment: Mapping[str, str], home: str) -> str:
    own = environment.get("PUMICE_CACHE")
    return own or f"{environment.get('XDG_CACHE_HOME') or home + '/.cache'}/pumice"


def _project_dir(flags: Flags, cwd: str) -> str | None:
    """The parent of --project-tree, else the nearest directory with `.luarocks` and `lua_modules`."""
    if flags.project_tree:
        return os.path.dirname(os.path.normpath(os.path.join(cwd, flags.project_tree)))
    if flags.no_project:
        return None
    directory = cwd
    for _ in range(_PROJECT_LEVELS):
        if os.path.exists(f"{directory}/.luarocks") and os.path.exists(f"{directory}/lua_modules"):
            return directory
        if os.path.exists(f"{directory}/.luarocks-no-project"):
            return None
        directory = os.path.dirname(directory)
    return None


def _lua_of_prefix(
    flags: Flags, version: str | None, cwd: str, cache_dir: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """The variables that --lua-dir decides, and under `version` what is there."""
    if flags.lua_dir is None:
        return {}
    from pumice.lua.interpreter import find_in_prefix

    prefix = os.path.normpath(os.path.join(cwd, flags.lua_dir))
    found = find_in_prefix(prefix, version, cache_dir=cache_dir, environment=environment)
    if found is None:
        wanted = f"Lua {version} interpreter" if version else "Lua interpreter"
        raise ConfigError(
            f"{wanted} not found at {flags.lua_dir}",
            hint="You may want to specify a different Lua version with --lua-version."
            if flags.lua_version is None
            else "Give the prefix whose bin directory holds the interpreter.",
        )
    return {
        "version": found.version,
        "LUA": found.path,
        "LUA_DIR": prefix,
        "LUA_BINDIR": found.bin_dir,
    }


def _servers(flags: Flags, table: Mapping[Any, Any]) -> tuple[tuple[str, ...], ...]:
    """The mirrors of every server, in the order in which they are asked."""
    if flags.only_server is not None:
        return ((_url(flags.only_server),),)
    servers: list[tuple[str, ...]] = []
    configured = table.get("rocks_servers")
    if isinstance(configured, dict):
        for entry in sequence(configured):
            mirrors = sequence(entry) if isinstance(entry, dict) else [entry]
            if not all(isinstance(mirror, str) for mirror in mirrors):
                raise values.wrong("rocks_servers", "a list of URLs and of lists of URLs")
            servers.append(tuple(mirrors))
    else:
        servers.extend(defaults.SERVERS)
    if flags.server is not None:
        servers.insert(0, (_url(flags.server),))
    if flags.dev:
        sub = [tuple(f"{mirror.rstrip('/')}/dev" for mirror in mirrors) for mirrors in servers]
        servers = sub + servers
    disabled = table.get("disabled_servers")
    if isinstance(disabled, dict):
        off = {key for key, value in disabled.items() if value} | set(map(str, sequence(disabled)))
        servers = [tuple(mirror for mirror in mirrors if mirror not in off) for mirrors in servers]
    return tuple(mirrors for mirrors in servers if mirrors)


def _url(text: str) -> str:
    return text if "://" in text else f"file://{text}"
