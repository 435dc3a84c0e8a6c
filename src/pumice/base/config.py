"""`Config`: every setting of a command, read once at the edge and passed down (house.md).

How the fields are found (LuaRocks config files, environment, flags) is the matter of
`operation.settings`; no other module reads the environment.
"""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Config", "TreeSpec"]


class TreeSpec(Value):
    """One rocks tree by its directories, all absolute (LuaRocks contract 5.1, 7.7)."""

    name: str
    """`user`, `system`, `project`, `arg` (given by --tree) or a configured name; may be empty."""
    root: str
    bin_dir: str
    """Deployed commands: `<root>/bin`."""
    lua_dir: str
    """Deployed Lua modules: `<root>/share/lua/X.Y`."""
    lib_dir: str
    """Deployed C modules: `<root>/lib/lua/X.Y`."""
    rocks_dir: str
    """Rock directories and the tree manifest: `<root>/lib/luarocks/rocks-X.Y`."""

    @classmethod
    def at(cls, root: str, lua_version: str, name: str = "") -> TreeSpec:
        """A tree with LuaRocks's own layout below `root`."""
        return cls(
            name,
            root,
            f"{root}/bin",
            f"{root}/share/lua/{lua_version}",
            f"{root}/lib/lua/{lua_version}",
            f"{root}/lib/luarocks/rocks-{lua_version}",
        )


class Config(Value):
    """The settings of one command."""

    lua_version: str
    """The target: "5.1" … "5.5"."""
    tree: TreeSpec
    """The tree that the command acts on."""
    trees: tuple[TreeSpec, ...]
    """Every tree, in LuaRocks's order; `tree` is among them."""
    arch: str
    """`linux-x86_64` and the like."""
    platforms: tuple[str, ...]
    """The identifiers of this machine, as in contract 2.3: ("linux", "unix")."""
    variables: Mapping[str, str]
    """`variables.*` of LuaRocks: LUA, LUA_INCDIR, CC, FOO_DIR, …; only what was set or is cheap to know."""
    home: str
    sysconfdir: str
    cache_dir: str
    """`$PUMICE_CACHE`, else `$XDG_CACHE_HOME/pumice`, else `~/.cache/pumice`; may not exist yet."""
    cwd: str
    environment: Mapping[str, str]
    """The environment for programs that Pumice starts."""
    rocks_servers: tuple[tuple[str, ...], ...] = ()
    """Each entry is the mirrors of one server."""
    project_dir: str | None = None
    deps_mode: str = "one"
    rocks_provided: Mapping[str, str] = {}
    wrap_bin_scripts: bool = True
    keep_other_versions: bool = False
    hooks_enabled: bool = True
    no_manifest: bool = False
    accept_unknown_fields: bool = False
    accepted_build_types: tuple[str, ...] | None = None
    lib_extension: str = "so"
    obj_extension: str = "o"
    wrapper_suffix: str = ""
    external_deps_dirs: tuple[Mapping[str, str] | str, ...] = ("/usr/local", "/usr", "/")
    external_deps_subdirs: Mapping[str, str | tuple[str, ...]] = {}
    external_deps_patterns: Mapping[str, tuple[str, ...]] = {}
    runtime_external_deps_subdirs: Mapping[str, str | tuple[str, ...]] = {}
    runtime_external_deps_patterns: Mapping[str, tuple[str, ...]] = {}
    gcc_rpath: bool = True
    link_lua_explicitly: bool = False
    cmake_generator: str = "Unix Makefiles"
    connection_timeout: float = 30.0
    check_certificates: bool = True
    only_sources_from: str | None = None
    local_by_default: bool = False
    lock_timeout: float = 60.0
    force_lock: bool = False
    verbose: bool = False
    config_files: tuple[tuple[str, str, bool], ...] = ()
    """(kind, path, found) for system, user and project, for reports."""
