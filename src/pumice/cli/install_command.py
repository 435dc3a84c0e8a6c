"""`pumice install`: rocks from files and URLs, any number at once, in one transaction (contract 1.4)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.cli.installing import install_options
from pumice.cli.options import INSTALLING
from pumice.errors import EXIT_OK
from pumice.operation.install import install

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "install",
    "Install rocks: files or URLs, any number of them at once.",
    description="Installs rocks from .rock, .src.rock and .rockspec files or their URLs. Several rocks may "
    "be given; they are installed in one transaction, all or none, in the order of their dependencies.",
    positionals=(Positional("rock", "Files or URLs of rocks and rockspecs.", "+"),),
    options=INSTALLING,
    examples=(
        ("pumice install ./my-plugin-0.1.0-1.all.rock", "Installs one rock."),
        ("pumice install a-1.0-1.all.rock b-2.0-1.all.rock", "Installs both, or neither."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Installs everything that was asked for."""
    options = install_options(arguments, session, "install")
    installed = install(arguments.texts("rock"), session.config, options, session.terminal)
    if arguments.flag("only_deps"):
        for rock in installed:
            session.terminal.print(f"\nSuccessfully installed dependencies for {rock.name} {rock.version}")
    return EXIT_OK
