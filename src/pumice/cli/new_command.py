"""`pumice new`: a Kong plugin project that passes its own check."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.errors import EXIT_OK
from pumice.operation.new import new_plugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "new",
    "Start a Kong plugin project that passes its own check.",
    description="Writes the directory kong-plugin-NAME with a complete plugin project: rockspec, handler, "
    "schema, specs, editor and CI settings, and docs.",
    positionals=(Positional("name", "The plugin's name: lower-case letters, digits and dashes."),),
    examples=(("pumice new my-plugin && cd kong-plugin-my-plugin && pumice check", "A first check."),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Writes the project, and says how to go on."""
    target = new_plugin(arguments.required("name"), session.config)
    session.terminal.print(f"Wrote {target}")
    session.terminal.message("info", "Next: enter that directory, then `pumice check`, `pumice ship .`")
    return EXIT_OK
