"""`pumice rollback`: back to an earlier generation, by one rename."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.history import rollback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "rollback",
    "Go back to an earlier generation: one rename.",
    positionals=(
        Positional("generation", "Its number, as `pumice history` shows it; default: the one before.", "?"),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Swaps the current generation."""
    word = arguments.text("generation")
    if word is not None and not (word.isascii() and word.isdigit()):
        raise UsageError(f"malformed argument '{word}'", hint="A generation is a number: `pumice history`.")
    number = rollback(session.config, int(word) if word else None)
    session.terminal.print(f"Generation {number} is now current in {session.config.tree.root}")
    return EXIT_OK
