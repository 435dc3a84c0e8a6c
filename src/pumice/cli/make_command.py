"""`pumice make`: build and install the rock of this directory (contract 1.4)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.installing import install_options
from pumice.cli.options import INSTALLING, refuse_signing
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.make import make

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "make",
    "Compile package in current directory using a rockspec.",
    description="Builds the sources in the current directory and installs the result with what it needs. "
    "If no argument is given, it looks for a rockspec in the current directory and in rockspec/ and "
    "rockspecs/, picking the newest version, or the only one without a version in its name.",
    positionals=(Positional("rockspec", "Rockspec for the rock to build.", "?"),),
    options=(
        Option(("--no-install",), "Build, and do not install the rock."),
        Option(("--pack-binary-rock",), "Do not install; produce a .rock file in the current directory."),
        *INSTALLING,
    ),
    examples=(
        ("pumice make", "Builds and installs what the rockspec of this directory describes."),
        ("pumice make --pack-binary-rock", "Writes NAME-VERSION.all.rock and installs nothing."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Builds, then installs, packs, or stops."""
    pack = arguments.flag("pack_binary_rock")
    if arguments.flag("sign") and not pack:
        raise UsageError("In the make command, --sign is meant to be used only with --pack-binary-rock")
    refuse_signing(arguments)
    made = make(
        session.config,
        install_options(arguments, session, "make"),
        session.terminal,
        rockspec=arguments.text("rockspec"),
        no_install=arguments.flag("no_install"),
        pack=pack,
    )
    if made.packed is not None:
        session.terminal.print(f"Packed: {made.packed}")
    elif arguments.flag("only_deps"):
        session.terminal.print(
            f"Stopping after installing dependencies for {made.rock.name} {made.rock.version}\n"
        )
    return EXIT_OK
