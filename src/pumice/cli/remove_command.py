"""`pumice remove`: uninstall a rock (contract 1.4, 5.5)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.options import DEPS_MODE
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.remove import remove
from pumice.rock.filename import parse_filename

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "remove",
    "Uninstall a rock.",
    description="Uninstall a rock.\n\nIf a version is not given, try to remove all versions at once. Will "
    "only perform the removal if it does not break dependencies. To override this check and force the "
    "removal, use --force or --force-fast.",
    positionals=(
        Positional("rock", "Name of the rock to be uninstalled."),
        Positional("version", "Version of the rock to uninstall.", "?"),
    ),
    options=(
        Option(("--force",), "Force removal if it would break dependencies."),
        Option(("--force-fast",), "Perform a forced removal without reporting dependency issues."),
        DEPS_MODE,
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Removes the versions that match."""
    word, version = arguments.required("rock"), arguments.text("version")
    namespace = session.namespace
    if word.endswith((".rock", ".rockspec")):
        parsed = parse_filename(word)
        if parsed is None:
            kind = "rockspec" if word.endswith(".rockspec") else "rock"
            raise UsageError(f"Invalid {kind} filename: {word}")
        name, version = parsed.name.lower(), parsed.version
    else:
        name, namespace = session.named_rock(word)
    remove(
        name,
        version,
        session.config,
        session.terminal,
        namespace=namespace,
        force=arguments.flag("force"),
        force_fast=arguments.flag("force_fast"),
    )
    return EXIT_OK
