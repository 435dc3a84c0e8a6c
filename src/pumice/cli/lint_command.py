"""`pumice lint`: the syntax of a rockspec (contract 1.4)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.errors import EXIT_OK, CheckError
from pumice.operation.lint import lint_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "lint",
    "Check syntax of a rockspec.",
    description="Check syntax of a rockspec.\n\nReturns success if the text of the rockspec is syntactically "
    "correct and it names its license, else failure.",
    positionals=(Positional("rockspec", "The rockspec to check."),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Silent when the rockspec is fine."""
    path = arguments.required("rockspec")
    problems = lint_file(path, session.config)
    for problem in problems:
        session.terminal.message("notice", problem)
    if problems:
        raise CheckError(f"{path} failed consistency checks.", hint="Mend what is listed above.")
    return EXIT_OK
