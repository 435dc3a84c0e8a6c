"""`pumice upgrade`: installed rocks become the newest that fits."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.cli.installing import install_options, print_outcome
from pumice.cli.options import INSTALLING
from pumice.errors import EXIT_OK
from pumice.operation.upgrade import upgrade

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "upgrade",
    "Upgrade installed rocks to the newest that fits.",
    description="Installs the newest versions of the named rocks (default: of all) that the whole tree "
    "allows, with what they need, in one transaction.",
    positionals=(Positional("rock", "Names of installed rocks.", "*"),),
    options=INSTALLING,
)


def run(arguments: Arguments, session: Session) -> int:
    """Upgrades."""
    outcome = upgrade(
        arguments.texts("rock"),
        session.config,
        install_options(arguments, session, "upgrade"),
        session.terminal,
    )
    if arguments.flag("dry_run"):
        print_outcome(outcome, session)
    elif not outcome.installed:
        session.terminal.message("info", "Everything is up to date.")
    return EXIT_OK
