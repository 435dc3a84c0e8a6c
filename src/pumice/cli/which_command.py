"""`pumice which`: the file of a module (contract 1.5)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.errors import EXIT_OK, NotFoundError
from pumice.operation.which import which

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "which",
    "Tell which file corresponds to a given module name.",
    description='Given a module name like "foo.bar", output which file would be loaded to resolve that '
    'module by luarocks.loader, like "/usr/local/share/lua/5.1/foo/bar.lua".',
    positionals=(Positional("modname", "Module name."),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints the file and who provides it."""
    module = arguments.required("modname")
    found = which(module, session.config.trees, session.config, session.terminal)
    if found is None:
        raise NotFoundError(
            f"Module '{module}' not found.", hint="`pumice list` shows the installed rocks of every tree."
        )
    session.terminal.print(found.path)
    if found.rock is not None:
        session.terminal.print(f"(provided by {found.rock} {found.version})")
    else:
        session.terminal.print(f"(found directly via package.{found.variable} -- not installed as a rock?)")
    return EXIT_OK
