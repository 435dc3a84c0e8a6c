"""`pumice build`: build a rock from its sources and install it (contract 1.4)."""

from __future__ import annotations

from pumice.cli import make_command
from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.installing import install_options, print_outcome
from pumice.cli.options import INSTALLING
from pumice.errors import EXIT_OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "build",
    "Build/compile a rock from its sources, and install it.",
    description="Builds from rockspecs and source rocks, by file, URL or name, even where a server has "
    "binaries, and installs the result with what it needs. Without an argument it is `make`.",
    positionals=(Positional("rock", "Names, files or URLs.", "*"),),
    options=(
        Option(("--pack-binary-rock",), "Do not install; produce a .rock file in the current directory."),
        *INSTALLING,
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Builds and installs, or packs."""
    words = arguments.texts("rock")
    if not words:
        return make_command.run(arguments, session)
    from pumice.operation.build import build

    outcome, packed = build(
        words,
        session.config,
        install_options(arguments, session, "build"),
        session.terminal,
        pack=arguments.flag("pack_binary_rock"),
    )
    for path in packed:
        session.terminal.print(f"Packed: {path}")
    if not packed:
        print_outcome(outcome, session, only_deps=arguments.flag("only_deps"))
    return EXIT_OK
