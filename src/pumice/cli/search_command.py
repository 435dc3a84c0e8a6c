"""`pumice search`: which rocks the servers have (contract 1.4, 1.5)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.options import JSON, PORCELAIN
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.search import search

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.cli.terminal import Terminal
    from pumice.index.index import Row

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "search",
    "Query the LuaRocks servers.",
    positionals=(
        Positional("name", "Name of the rock to search for, or a part of it.", "?"),
        Positional("version", "Rock version to search for.", "?"),
    ),
    options=(
        Option(("--source",), 'Return only rockspecs and source rocks, to be used with the "build" command.'),
        Option(("--binary",), "Return only pure Lua and binary rocks, which need no C toolchain."),
        Option(
            ("--all",),
            "List all contents of the server that are suitable to this platform, do not filter by name.",
        ),
        PORCELAIN,
        JSON,
    ),
    examples=(("pumice search jwt", "Shows every rock with `jwt` in its name."),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints what was found, sources first; nothing found is no failure."""
    everything = arguments.flag("all")
    word = arguments.text("name")
    if word is None and not everything:
        raise UsageError(
            f"Enter name and version or use --all. See '{session.program} help search'.",
            hint="A part of a name is enough: `pumice search jwt`.",
        )
    name, namespace = session.named_rock(word or "")
    version = arguments.text("version")
    if everything:
        name, version = "", None
    found = search(name, version, namespace, session.config, session.terminal, offline=session.offline)
    sources = () if arguments.flag("binary") else found.sources
    binaries = () if arguments.flag("source") else found.binaries
    if arguments.flag("json"):
        _print_json((*sources, *binaries), session.terminal)
    elif arguments.flag("porcelain"):
        for row in (*sources, *binaries):
            session.terminal.print("\t".join((row.name, row.version, row.arch, row.server)))
    else:
        shown = (f"{namespace}/" if namespace else "") + name + (f" {version}" if version else "")
        title = f"{shown} - Search results for Lua {session.config.lua_version}:"
        _print_title(title, "=", session.terminal)
        _print_section("Rockspecs and source rocks:", sources, session.terminal)
        _print_section("Binary and pure-Lua rocks:", binaries, session.terminal)
    return EXIT_OK


def _print_title(title: str, underline: str, terminal: Terminal) -> None:
    # LuaRocks counts bytes.
    width = len(title.encode("utf-8", "surrogateescape"))
    terminal.print(f"\n{title}\n{underline * width}\n")


def _print_section(title: str, rows: Sequence[Row], terminal: Terminal) -> None:
    if not rows:
        return
    _print_title(title, "-", terminal)
    name = None
    for row in rows:
        if row.name != name:
            if name is not None:
                terminal.print()
            name = row.name
            terminal.print(name)
        terminal.print(f"   {row.version} ({row.arch}) - {row.server}")
    terminal.print()


def _print_json(rows: Sequence[Row], terminal: Terminal) -> None:
    import json

    for row in rows:
        terminal.print(
            json.dumps(
                {
                    "name": row.name,
                    "version": row.version,
                    "arch": row.arch,
                    "server": row.server,
                    "namespace": row.namespace,
                }
            )
        )
