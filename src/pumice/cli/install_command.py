"""`pumice install`: rocks from files and URLs, any number at once, in one transaction (contract 1.4)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.cli.installing import install_options, print_outcome
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
    "Install rocks by name, file or URL, any number of them at once.",
    description="Installs rocks by name (with constraints, if you like) from the servers, or from .rock, "
    ".src.rock and .rockspec files and URLs, with everything that they need. Several may be given; they are "
    "installed in one transaction, all or none.",
    positionals=(
        Positional("rock", "Names, 'NAME CONSTRAINTS', files, URLs or bundles; or NAME VERSION.", "+"),
    ),
    options=INSTALLING,
    examples=(
        ("pumice install 'penlight >= 1.13, < 2' lua-cjson", "Installs two rocks and what they need."),
        ("pumice install ./my-plugin-0.1.0-1.all.rock", "Installs one rock."),
        ("pumice install a-1.0-1.all.rock b-2.0-1.all.rock", "Installs both, or neither."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Installs everything that was asked for."""
    options = install_options(arguments, session, "install")
    outcome = install(arguments.texts("rock"), session.config, options, session.terminal)
    print_outcome(outcome, session, only_deps=arguments.flag("only_deps"))
    return EXIT_OK
