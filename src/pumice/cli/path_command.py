"""`pumice path`: the package path as shell commands (contract 1.5)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option
from pumice.errors import EXIT_OK
from pumice.operation.paths import cleaned, shell_paths, tree_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "path",
    "Return the currently configured package path.",
    description="Returns the package path currently configured, formatted as shell commands to update "
    "LUA_PATH and LUA_CPATH.\n\nYou may run:\n  eval $(pumice path)",
    options=(
        Option(("--no-bin",), "Do not export the PATH variable."),
        Option(
            ("--append",),
            "Appends the paths to the existing paths. Default is to put the trees' paths first.",
        ),
        Option(("--lr-path",), "Prints the Lua path of the trees (not formatted as shell command)."),
        Option(("--lr-cpath",), "Prints the Lua cpath of the trees (not formatted as shell command)."),
        Option(("--full",), "With --lr-path, --lr-cpath and --lr-bin: the whole path, not the trees' alone."),
        Option(("--lr-bin",), "Prints the system path of the trees (not formatted as shell command)."),
        Option(("--bin",), hidden=True),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints one list, or the export commands."""
    config, terminal = session.config, session.terminal
    chosen = (config.tree,) if session.tree_chosen else ()
    trees = chosen + tuple(tree for tree in config.trees if tree not in chosen)
    append = arguments.flag("append")
    if any(arguments.flag(key) for key in ("lr_path", "lr_cpath", "lr_bin")):
        full = arguments.flag("full")
        paths = (
            shell_paths(trees, config, terminal, append=append)
            if full
            else tree_paths(trees, config, terminal)
        )
        if arguments.flag("lr_path"):
            text = cleaned(paths.lua_path, ";", config.lua_version, keep_first=True)
        elif arguments.flag("lr_cpath"):
            text = cleaned(paths.lua_cpath, ";", config.lua_version, keep_first=True)
        else:
            text = cleaned(paths.bin_path, ":", None, keep_first=True)
        terminal.print(text)
        return EXIT_OK
    paths = shell_paths(trees, config, terminal, append=append)
    terminal.print(_export(paths.lua_path_variable, paths.lua_path))
    terminal.print(_export(paths.lua_cpath_variable, paths.lua_cpath))
    if not arguments.flag("no_bin"):
        terminal.print(_export("PATH", paths.bin_path))
    return EXIT_OK


def _export(name: str, value: str) -> str:
    quoted = value.replace("'", "'\\''")
    return f"export {name}='{quoted}'"
