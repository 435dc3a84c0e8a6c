"""`pumice bundle`: a rock with its whole closure in one file."""

from __future__ import annotations

import os

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.options import FOR
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.bundle import bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "bundle",
    "Put a rock with everything that it needs into one file.",
    description="Writes a tar.gz with rocks and their whole closure: `pumice install FILE` installs it "
    "offline, and unpacked with tar it is a rocks tree. What is installed in the tree is taken from there, "
    "anything else from files, URLs and servers.",
    positionals=(Positional("rock", "Names, files or URLs of rocks.", "+"),),
    options=(
        FOR,
        Option(("--output", "-o"), "The file to write.", "<file>"),
    ),
    examples=(("pumice bundle my-plugin -o app.tar.gz", "One file to carry to a machine without network."),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Writes the bundle, and says what is in it."""
    output = arguments.text("output")
    if output is None or not output.endswith((".tar.gz", ".tgz")):
        raise UsageError(
            "missing option '--output'" if output is None else f"malformed argument '{output}'",
            hint="Name the file to write with -o FILE.tar.gz",
        )
    target = os.path.join(session.config.cwd, output)
    rocks = bundle(
        arguments.texts("rock"), target, session.config, session.terminal, offline=arguments.flag("offline")
    )
    for rock in rocks:
        session.terminal.message("info", f"   {rock.name} {rock.version}")
    session.terminal.print(f"Packed: {target}")
    return EXIT_OK
