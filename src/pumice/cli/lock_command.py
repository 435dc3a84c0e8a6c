"""`pumice lock`: the exact rocks that a project's dependencies come to."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option
from pumice.cli.options import FOR
from pumice.errors import EXIT_OK
from pumice.operation.lock import lock_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "lock",
    "Write pumice.lock: exact versions, origins and digests.",
    description="In a project: solves the dependencies of its rockspec for an empty tree and writes "
    "pumice.lock with exact versions, where each comes from, and the SHA-256 of every file. Versions that "
    "the lock has already stay if they fit. Other Lua versions and platforms in it stay as they are. The "
    "rockspec's own build and test dependencies are not part of it.",
    options=(
        FOR,
        Option(("--upgrade",), "Take the newest versions, whatever the lock has."),
        Option(("--dry-run",), "Say what would change, and write nothing."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Writes the lock, and says what changed in it."""
    dry = arguments.flag("dry_run")
    locked = lock_project(
        session.config,
        session.terminal,
        offline=arguments.flag("offline"),
        upgrade=arguments.flag("upgrade"),
        dry_run=dry,
    )
    for rock in locked.removed:
        session.terminal.print(f"- {rock}")
    for rock in locked.added:
        session.terminal.print(f"+ {rock}")
    count = "1 rock" if len(locked.rocks) == 1 else f"{len(locked.rocks)} rocks"
    session.terminal.message("info", f"{locked.path}: {count}{' (dry run)' if dry else ''}")
    return EXIT_OK
