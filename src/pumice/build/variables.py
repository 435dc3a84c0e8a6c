"""Build variables: `$(NAME)` in a rockspec (LuaRocks contract 2.7)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.lua.headers import Headers
    from pumice.lua.interpreter import Interpreter
    from pumice.rock.rockspec import Rockspec

__all__ = ["Variables", "rock_variables"]

_TOOLS = {
    "MAKE": "make",
    "AR": "ar",
    "RANLIB": "ranlib",
    "CMAKE": "cmake",
    "GIT": "git",
    "CP": "cp",
    "LS": "ls",
    "RM": "rm",
    "FIND": "find",
    "MKDIR": "mkdir",
    "RMDIR": "rmdir",
    "CHMOD": "chmod",
    "MKTEMP": "mktemp",
    "TOUCH": "touch",
    "TEST": "test",
    "PWD": "pwd",
    "LIBFLAG": "-shared",
}
_INTERPRETER = ("LUA", "LUA_DIR", "LUA_BINDIR")
_HEADERS = ("LUA_INCDIR", "LUA_LIBDIR", "LUALIB")


class Variables:
    """The variables of one build; interpreter and headers are searched for when first asked for."""

    def __init__(
        self,
        config: Config,
        progress: Progress,
        own: Mapping[str, str],
        interpreter: Interpreter | None = None,
    ) -> None:
        """`own`: the variables of this rock (PREFIX, LUADIR, …); they win over the configuration's."""
        self._config = config
        self._progress = progress
        self._values = {**_defaults(config), **config.variables, **own}
        self._interpreter = interpreter
        self._looked = interpreter is not None
        self._headers: Headers | None = None

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __getitem__(self, name: str) -> str:
        """The value, or an empty text for a variable that does not exist."""
        return self.get(name) or ""

    def set(self, name: str, value: str) -> None:
        """Give a variable its value (external dependencies add theirs)."""
        self._values[name] = value

    def get(self, name: str) -> str | None:
        """The value of a variable. Raises BuildError if it is a header directory that cannot be found."""
        value = self._values.get(name)
        if value is None and name in _INTERPRETER and (found := self.interpreter()) is not None:
            value = {"LUA": found.path, "LUA_DIR": found.prefix, "LUA_BINDIR": found.bin_dir}[name]
        elif value is None and name in _HEADERS:
            headers = self.headers()
            if name == "LUA_INCDIR":
                value = headers.incdir
            elif name == "LUA_LIBDIR":
                value = headers.libdir
            else:
                value = headers.library
        return value

    def interpreter(self) -> Interpreter | None:
        """The target's interpreter, searched for once."""
        if not self._looked:
            from pumice.lua.interpreter import find_interpreter

            self._interpreter = find_interpreter(self._config)
            self._looked = True
        return self._interpreter

    def headers(self) -> Headers:
        """The target's headers, searched for once. Raises BuildError that names the package to install."""
        if self._headers is None:
            from pumice.lua.headers import find_headers

            self._headers = find_headers(self._config, self.interpreter())
        return self._headers

    def substitute(self, text: str) -> str:
        """`text` with every `$(NAME)` replaced; unknown ones vanish with LuaRocks's warning."""
        if "$(" not in text:
            return text
        import re

        pattern = re.compile(r"\$\(([A-Za-z][A-Za-z0-9_]+)\)")

        def known(match: re.Match[str]) -> str:
            value = self.get(match[1])
            return match[0] if value is None else value

        def unknown(match: re.Match[str]) -> str:
            self._progress.message("warning", f"unmatched variable {match[1]}")
            return ""

        return pattern.sub(unknown, pattern.sub(known, text))


def rock_variables(
    rockspec: Rockspec, config: Config, rock_dir: str, dependency_dirs: Mapping[str, str]
) -> dict[str, str]:
    """The variables that point into the directory of this rock, into its tree, and (from format 3.1 on)
    into the rock directories of its dependencies."""
    late: dict[str, str] = {}
    if rockspec.format_at_least("3.1"):
        late = {f"{name.upper()}_ROCKDIR": place for name, place in dependency_dirs.items()}
        late["LUA_VERSION"] = config.lua_version
    return {
        "PREFIX": rock_dir,
        "LUADIR": f"{rock_dir}/lua",
        "LIBDIR": f"{rock_dir}/lib",
        "BINDIR": f"{rock_dir}/bin",
        "CONFDIR": f"{rock_dir}/conf",
        "DOCDIR": f"{rock_dir}/doc",
        "ROCKS_TREE": config.tree.rocks_dir,
        "SCRIPTS_DIR": config.tree.bin_dir,
        **late,
    }


def _defaults(config: Config) -> dict[str, str]:
    """What LuaRocks gives on Unix; CC, CFLAGS, LDFLAGS, … of the environment count (contract 7.5)."""
    environment = config.environment
    compiler = environment.get("CC") or ("cc" if "bsd" in config.platforms else "gcc")
    flags = environment.get("CFLAGS") or "-O2"
    if "-fPIC" not in flags:
        flags += " -fPIC"
    defaults = {
        **_TOOLS,
        "CC": compiler,
        "LD": compiler,
        "CFLAGS": flags,
        "LDFLAGS": environment.get("LDFLAGS", ""),
        "LIB_EXTENSION": config.lib_extension,
        "OBJ_EXTENSION": config.obj_extension,
    }
    for tool in ("MAKE", "AR", "RANLIB"):
        if environment.get(tool):
            defaults[tool] = environment[tool]
    if "macosx" in config.platforms:
        defaults["LIBFLAG"] = "-bundle -undefined dynamic_lookup -all_load"
    return defaults
