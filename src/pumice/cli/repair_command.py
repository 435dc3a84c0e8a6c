"""`pumice repair`: mend what can be mended in a tree."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.cli.findings import counted
from pumice.errors import EXIT_OK, CheckError
from pumice.operation.repair import repair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "repair",
    "Mend what can be mended in a tree.",
    description="Puts back deployed files that were lost or changed, from the rock files given, the cache "
    "or the store, and writes the tree manifest anew where it disagrees with the disk. Says what it cannot "
    "mend.",
    positionals=(Positional("rock", "Rock files to take lost contents from.", "*"),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Mends, and says what was and what was not."""
    result = repair(arguments.texts("rock"), session.config, session.terminal)
    for text in result.mended:
        session.terminal.print(f"mended: {text}")
    for text in result.unmended:
        session.terminal.print(f"not mended: {text}")
    if result.unmended:
        raise CheckError(
            f"{counted(len(result.unmended), 'error')} could not be mended in {session.config.tree.root}.",
            hint="Name the .rock files that hold the lost contents, or install those rocks again.",
        )
    if not result.mended:
        session.terminal.message("info", "Nothing to mend.")
    return EXIT_OK
