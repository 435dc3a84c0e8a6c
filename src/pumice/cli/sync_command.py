"""`pumice sync`: a tree becomes exactly what pumice.lock says."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option
from pumice.errors import EXIT_OK
from pumice.operation.sync import sync

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "sync",
    "Make the tree exactly what pumice.lock says.",
    description="Installs what is missing in the project's lua_modules (or in --tree) and removes what the "
    "lock does not have, in one transaction. Every file is checked against its SHA-256 first.",
    options=(Option(("--dry-run",), "Say what would change, and stop there."),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Changes the tree, and says what changed."""
    dry = arguments.flag("dry_run")
    synced = sync(
        session.config,
        session.terminal,
        tree_given=arguments.text("tree") is not None,
        offline=arguments.flag("offline"),
        dry_run=dry,
        layout=arguments.text("layout"),
    )
    for name, version in synced.removed if dry else ():
        session.terminal.print(f"- {name} {version}")
    for name, version in synced.installed if dry else ():
        session.terminal.print(f"+ {name} {version}")
    count = f"{len(synced.installed)} installed, {len(synced.removed)} removed"
    session.terminal.message("info", f"{synced.root}: {count}{' (dry run)' if dry else ''}")
    return EXIT_OK
