"""`pumice verify`: every installed file against what was installed."""

from __future__ import annotations

from pumice.cli.arguments import Command
from pumice.cli.findings import counted
from pumice.cli.options import JSON
from pumice.errors import EXIT_OK, CheckError
from pumice.operation.verify import verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "verify",
    "Check every installed file against what was installed.",
    description="Checks every deployed file of the tree against its rock's rock_manifest, every file of a "
    "store against its digest, and the tree manifest against the disk. Warns of files that a gateway's user "
    "could not read. Changes nothing; exit code 1 when something is wrong.",
    options=(JSON,),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints what is wrong."""
    report = verify(session.config, session.terminal)
    if arguments.flag("json"):
        import json

        for problem in report.problems:
            session.terminal.print(
                json.dumps(
                    {
                        "severity": problem.severity,
                        "path": problem.path,
                        "rock": problem.rock,
                        "message": problem.message,
                    }
                )
            )
    else:
        for problem in report.problems:
            session.terminal.print(f"{problem.severity}: {problem.path}: {problem.message}")
        session.terminal.message(
            "info",
            f"{counted(report.files, 'file')} of {counted(report.rocks, 'rock')} checked in "
            f"{session.config.tree.root}.",
        )
    if report.errors:
        raise CheckError(
            f"{counted(len(report.errors), 'error')} in {session.config.tree.root}.",
            hint="`pumice repair` mends what can be mended.",
        )
    return EXIT_OK
