"""`pumice bump`: the version of a plugin, raised in every place that tells it."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.errors import EXIT_OK
from pumice.operation.bump import bump, difference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "bump",
    "Raise a plugin's version everywhere at once.",
    description="Raises the version in the handler, in the rockspec (its name too), in a source reference "
    "that is shaped like a version, and in the changelog: all of them, or nothing where one cannot be "
    "changed safely.",
    positionals=(
        Positional("step", "major, minor or patch, or the version to go to: 1.2.0."),
        Positional("path", "The project's directory or rockspec; default: this directory.", "?"),
    ),
    options=(Option(("--dry-run",), "Show what would change, and write nothing."),),
    examples=(("pumice bump minor --dry-run", "Show the next minor version."),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Raises the version."""
    dry_run = arguments.flag("dry_run")
    done = bump(arguments.text("path") or ".", arguments.required("step"), session.config, dry_run=dry_run)
    for change in done.changes:
        if dry_run:
            session.terminal.print(difference(change))
        elif change.path == change.new_path:
            session.terminal.print(change.path)
        else:
            session.terminal.print(f"{change.path} -> {change.new_path}")
    session.terminal.message("info", f"{done.old} {'would become' if dry_run else 'is now'} {done.new}")
    for note in done.notes:
        session.terminal.message("notice", f"Next: {note}.")
    return EXIT_OK
