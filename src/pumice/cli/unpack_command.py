"""`pumice unpack`: the contents of a rock in a new directory (contract 1.4)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.errors import EXIT_OK
from pumice.operation.unpack import unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "unpack",
    "Unpack the contents of a rock.",
    description="Unpacks the contents of a rock in a newly created directory. The argument is a rock file, a "
    "rockspec, or the URL of one.",
    positionals=(
        Positional("rock", "A rock file, a rockspec, or a URL."),
        Positional("version", "Rock version.", "?"),
    ),
    options=(
        Option(("--force",), "Unpack files even if the output directory already exists."),
        Option(("--check-lua-versions",), "Accepted for LuaRocks's sake."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Unpacks, and says where to go on."""
    unpacked = unpack(
        arguments.required("rock"), session.config, session.terminal, force=arguments.flag("force")
    )
    if unpacked.source_dir is not None:
        session.terminal.print(
            f"\nDone. You may now enter directory \n{unpacked.source_dir}\nand type 'luarocks make' to build."
        )
    return EXIT_OK
