"""`pumice pack`: a rock file from an installed rock, a rockspec or a directory (contract 1.4)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.pack import pack_installed, pack_source, pack_tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "pack",
    "Create a rock, packing sources or binaries.",
    description="Writes into the current directory: for a rockspec a .src.rock with its sources; for the "
    "name of an installed rock a binary rock; with --format tar the rock in the layout of the Kong manual, "
    "of an installed rock, of a rock file, or of the rockspec of this directory.",
    positionals=(
        Positional("rock", "A rockspec file, a rock file, or the name of an installed rock.", "?"),
        Positional("version", "A version may be given if the first argument is a rock name.", "?"),
    ),
    options=(
        Option(("--format",), "What to write: rock or tar.", "<format>", choices=("rock", "src", "tar")),
    ),
    examples=(
        ("pumice pack kong-plugin-my-plugin 0.1.0-1", "Packs the installed rock."),
        ("pumice pack my-plugin-0.1.0-1.rockspec", "Packs the sources."),
        ("pumice pack --format tar", "Builds this directory and packs it for lua_package_path."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Packs, and prints where."""
    word, version = arguments.text("rock"), arguments.text("version")
    chosen = arguments.text("format")
    config, terminal = session.config, session.terminal
    if chosen == "tar":
        packed = pack_tar(word, version, session.trees, config, terminal)
    elif chosen == "src" or (chosen is None and word is not None and word.endswith(".rockspec")):
        packed = pack_source(word, config, terminal)
    elif word is None:
        raise UsageError(
            "missing argument 'rock'", hint="Only --format tar and --format src take this directory."
        )
    else:
        name, namespace = session.named_rock(word)
        packed = pack_installed(name, version, session.trees, config, terminal, namespace=namespace)
    terminal.print(f"Packed: {packed}")
    return EXIT_OK
