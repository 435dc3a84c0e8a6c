"""`pumice why`: which rocks need an installed rock, and which need those."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.errors import EXIT_OK
from pumice.operation.graph import read_graph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "why",
    "Tell why a rock is installed.",
    description="Tells which installed rocks need the named one, with what each asks for, up to the rocks "
    "that nobody needs.",
    positionals=(Positional("rock", "Name of an installed rock."),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints a chain of reasons."""
    graph = read_graph(session.config, session.terminal)
    name = session.named_rock(arguments.required("rock"))[0]
    for version in graph.versions(name):
        session.terminal.print(f"{name} {version}")
    seen = {name}
    waiting = [(name, 1)]
    found = False
    while waiting:
        wanted, depth = waiting.pop()
        for rock, link in graph.users(wanted):
            found = True
            again = rock[0] in seen
            session.terminal.print(
                f"{'   ' * depth}{rock[0]} {rock[1]} needs {link.dependency}{' (*)' if again else ''}"
            )
            if not again:
                seen.add(rock[0])
                waiting.append((rock[0], depth + 1))
    if not found:
        session.terminal.print("   No installed rock needs it: it was asked for itself.")
    return EXIT_OK
