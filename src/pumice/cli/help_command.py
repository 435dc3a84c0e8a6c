"""`pumice help`, `pumice COMMAND --help`, and the usage lines above an error (contract 1.1, 1.6)."""

from __future__ import annotations

import os

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.commands import COMMANDS, module_of
from pumice.cli.options import GLOBAL
from pumice.errors import EXIT_OK, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run", "show", "usage"]

_WIDTH = 80
_COLUMN = 25

COMMAND = Command(
    "help",
    "Show help for commands.",
    positionals=(Positional("command", "Command to show help for.", "?"),),
)


def run(arguments: Arguments, session: Session) -> int:
    """`pumice help [COMMAND]`."""
    name = arguments.text("command")
    if name is not None and name.replace("-", "_") not in COMMANDS:
        raise UsageError(f"unknown command '{name}'", hint="`pumice help` lists the commands.")
    return show(name.replace("-", "_") if name else None, session)


def show(command: str | None, session: Session) -> int:
    """Prints the help of one command, or the overview with a report on the configuration."""
    terminal = session.terminal
    if command is not None:
        terminal.print(_command_help(module_of(command).COMMAND, session.program))
        return EXIT_OK
    terminal.print(_overview(session.program))
    terminal.print(_report(session))
    return EXIT_OK


def usage(command: object, program: str) -> str:
    """The usage lines of a command, or of the program when `command` is None."""
    if isinstance(command, Command):
        words = ["[-h]", *(_bracketed(option) for option in command.options if not option.hidden)]
        words += [_positional(positional) for positional in command.positionals]
        return _wrapped_usage(f"Usage: {program} {command.name}", words)
    words = [_bracketed(option) for option in GLOBAL if not option.hidden]
    return _wrapped_usage(f"Usage: {program}", [*words, "[<command>]", "..."])


def _bracketed(option: Option) -> str:
    return f"[{option.names[0]}{' ' + option.metavar if option.metavar else ''}]"


def _positional(positional: Positional) -> str:
    name = f"<{positional.name}>"
    return {"1": name, "?": f"[{name}]", "+": f"{name} ...", "*": f"[{name}] ..."}[positional.count]


def _wrapped_usage(head: str, words: list[str]) -> str:
    lines = [head]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > 70:
            lines.append("       " + word)
        else:
            lines[-1] += " " + word
    return "\n".join(lines) + "\n"


def _wrap(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            if line and len(line) + 1 + len(word) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return lines


def _entry(left: str, text: str) -> list[str]:
    """A two-column entry: `left` and a wrapped description."""
    lines = _wrap(text, _WIDTH - _COLUMN)
    head = f"   {left}"
    if len(head) > _COLUMN - 2:
        return [head, *(" " * _COLUMN + line for line in lines)]
    return [head.ljust(_COLUMN) + lines[0], *(" " * _COLUMN + line for line in lines[1:])]


def _option_lines(options: tuple[Option, ...]) -> list[str]:
    lines: list[str] = []
    for option in options:
        if not option.hidden:
            names = ", ".join(sorted(option.names, key=lambda name: name.startswith("--")))
            lines += _entry(f"{names} {option.metavar}".rstrip(), option.help)
    return lines


def _command_help(command: Command, program: str) -> str:
    lines = [usage(command, program).rstrip("\n"), "", *_wrap(command.description or command.summary, _WIDTH)]
    if command.positionals:
        lines += ["", "Arguments:"]
        for positional in command.positionals:
            lines += _entry(positional.name, positional.help)
    lines += ["", "Options:", *_entry("-h, --help", "Show this help message and exit.")]
    lines += _option_lines(command.options)
    if command.examples:
        lines += ["", "Examples:"]
        for example, meaning in command.examples:
            lines += [f"   {example}", *(f"       {line}" for line in _wrap(meaning, _WIDTH - 7))]
    lines += ["", "See also:", f"   '{program} help' for general options and configuration.", ""]
    return "\n".join(lines)


def _overview(program: str) -> str:
    lines = [
        usage(None, program).rstrip("\n"),
        "",
        "Pumice: a package manager for Lua rocks and Kong Gateway plugins.",
        "",
        "Options:",
        *_option_lines(GLOBAL),
        *_entry("VAR=VALUE", "Override a configuration variable for this command, as in CC=clang."),
    ]
    groups: dict[str, list[str]] = {}
    for entry in COMMANDS.values():
        groups.setdefault(entry.group, []).extend(_entry(entry.name, entry.summary))
    for group, entries in groups.items():
        lines += ["", f"{group}:", *entries]
    return "\n".join(lines)


def _report(session: Session) -> str:
    """The configuration report of contract 1.6."""
    from pumice.errors import BuildError
    from pumice.lua.headers import find_headers
    from pumice.lua.interpreter import find_interpreter

    config = session.config
    interpreter = find_interpreter(config)
    lua = f"{interpreter.path} (ok)" if interpreter else "(interpreter not found)"
    try:
        headers = find_headers(config, interpreter)
        incdir = f"{headers.incdir} (ok)"
        libdir = f"{headers.libdir} (ok)" if headers.libdir else "(Lua library itself not found)"
    except BuildError:
        incdir, libdir = "(lua.h not found)", "(Lua library itself not found)"
    lines = [
        "",
        "Configuration:",
        "   Lua:",
        f"      Version    : {config.lua_version}",
        f"      LUA        : {lua}",
        f"      LUA_INCDIR : {incdir}",
        f"      LUA_LIBDIR : {libdir}",
        "",
        "   Configuration files:",
    ]
    for kind, path, found in config.config_files:
        lines.append(f"      {kind.capitalize():<8}: {path} ({'ok' if found else 'not found'})")
    lines += ["", "   Rocks trees in use:"]
    for tree in config.trees:
        name = f' ("{tree.name}")' if tree.name and tree.name != "arg" else ""
        lines.append(f"      {_shown(tree.root, config.home)}{name}")
    lines.append("")
    return "\n".join(lines)


def _shown(path: str, home: str) -> str:
    return "~" + path[len(home) :] if home and path.startswith(home + os.sep) else path
