"""`pumice history`: the generations of a generation tree."""

from __future__ import annotations

from pumice.cli.arguments import Command
from pumice.cli.options import JSON
from pumice.errors import EXIT_OK
from pumice.operation.history import history

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "history",
    "List the generations of a generation tree.",
    description="Lists the generations of a generation tree, the newest last; the current one has a star.",
    options=(JSON,),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints a line a generation."""
    for generation in history(session.config):
        if arguments.flag("json"):
            import json

            session.terminal.print(
                json.dumps(
                    {
                        "number": generation.number,
                        "current": generation.current,
                        "time": generation.time,
                        "command": generation.command,
                        "added": list(generation.added),
                        "removed": list(generation.removed),
                    }
                )
            )
        else:
            star = "*" if generation.current else " "
            changes = [f"+{rock}" for rock in generation.added] + [f"-{rock}" for rock in generation.removed]
            when = f"{generation.number:>4}  {generation.time}  {generation.command:<10}"
            session.terminal.print(f"{star} {when} {' '.join(changes)}".rstrip())
    return EXIT_OK
