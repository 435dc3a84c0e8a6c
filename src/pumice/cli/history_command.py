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
    description="Lists the generations of a generation tree, the newest last; the current one has a "
    "star. One that `ship` left again, since the plugin did not load, says so.",
    options=(JSON,),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints a line a generation."""
    import time

    generations, current = history(session.config)
    for generation in generations:
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(generation.time))
        added = [f"{name} {version}" for name, version in generation.added]
        removed = [f"{name} {version}" for name, version in generation.removed]
        if arguments.flag("json"):
            import json

            facts = {
                "number": generation.number,
                "current": generation.number == current,
                "time": when,
                "command": generation.command,
                "added": added,
                "removed": removed,
                "rolled_back": generation.rejected or None,
            }
            session.terminal.print(json.dumps(facts))
        else:
            star = "*" if generation.number == current else " "
            changes = ", ".join([f"+{rock}" for rock in added] + [f"-{rock}" for rock in removed])
            line = f"{star} {generation.number:>4}  {when}  {generation.command:<10}  {changes}"
            if generation.rejected:
                line += f"  (rolled back: {generation.rejected})"
            session.terminal.print(line.rstrip())
    return EXIT_OK
