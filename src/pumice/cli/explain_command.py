"""`pumice explain`: what a gateway's log means."""

from __future__ import annotations

from pumice.cli.arguments import Command, Positional
from pumice.cli.options import JSON
from pumice.errors import EXIT_FAILURE, EXIT_OK
from pumice.operation.explain import explain_log, explain_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.operation.explain import Explanation

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "explain",
    "Tell what a gateway's log means, and what to do.",
    description="Reads a log or the output of `kong start`, and tells of each problem in it the cause, the "
    "files that Kong looked for without saying so, and the mend. The exit code is 1 when nothing in it is "
    "known.",
    positionals=(Positional("log", "The log, or - for what is piped in (the default).", "?"),),
    options=(JSON,),
    examples=(("kong start 2>&1 | pumice explain -", "Why does this node not start?"),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Explains the log."""
    log = arguments.text("log") or "-"
    if log == "-":
        import sys

        found = explain_stream(sys.stdin.buffer)
    else:
        import os

        found = explain_log(os.path.normpath(os.path.join(session.cwd, log)))
    if arguments.flag("json"):
        import json

        session.terminal.print(json.dumps({"file": log, "explanations": [item.as_json() for item in found]}))
    else:
        for number, item in enumerate(found):
            if number:
                session.terminal.print("")
            _print(item, session)
        if not found:
            session.terminal.message(
                "notice", "Nothing in it is known. `kong start --vv` and error.log tell the most."
            )
    return EXIT_OK if found else EXIT_FAILURE


def _print(item: Explanation, session: Session) -> None:
    lines = [f"line {item.line}: {item.text[:300]} [{item.code}]", f"    cause: {item.cause}"]
    if item.looked:
        lines.append("    Kong looked for:")
        lines += [f"        {path}" for path in item.looked]
    session.terminal.print("\n".join([*lines, f"    mend: {item.mend}"]))
