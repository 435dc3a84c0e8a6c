"""`pumice inspect`: what is in any rockspec, rock, directory or tree."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.cli.options import JSON
from pumice.errors import EXIT_FAILURE, EXIT_OK, PumiceError
from pumice.operation.inspect import inspect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "inspect",
    "Show what is in any rockspec, rock, directory or tree.",
    description="Show what is in any rockspec, rock, directory or tree: as a table, or with --json as one "
    "JSON object a line. Thousands of arguments are fine; what LuaRocks would refuse is told for each, and "
    "makes the exit code 1.",
    positionals=(Positional("file", "Rockspecs, rocks, directories or trees.", "+"),),
    options=(JSON,),
    examples=(("pumice inspect --json *.rockspec", "One line of JSON for every rockspec."),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Prints the facts of every argument."""
    code = EXIT_OK
    for path in arguments.texts("file"):
        try:
            facts = inspect(path, session.config, session.terminal)
        except PumiceError as error:
            facts = {"file": path, "error": error.message}
            code = EXIT_FAILURE
        if arguments.flag("json"):
            import json

            session.terminal.print(json.dumps(facts, ensure_ascii=True))
        else:
            session.terminal.print("\n".join(_table(facts)) + "\n")
    return code


def _table(facts: Mapping[str, object]) -> list[str]:
    lines = []
    for key, value in facts.items():
        if value is None or value in ([], {}):
            continue
        if isinstance(value, dict):
            shown = [f"{name} = {target}" for name, target in value.items()]
        elif isinstance(value, list):
            shown = [
                " ".join(map(str, item.values())) if isinstance(item, dict) else str(item) for item in value
            ]
        else:
            shown = [str(value)]
        lines.append(f"{key + ':':<21}{shown[0]}")
        lines += [" " * 21 + line for line in shown[1:]]
    return lines
