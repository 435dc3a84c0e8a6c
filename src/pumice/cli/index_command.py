"""`pumice index build`: a directory of rocks becomes a server."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.findings import counted
from pumice.cli.options import JSON
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.index_build import index_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "index",
    "Make a directory of rocks a server.",
    description="`index build` writes the manifests that LuaRocks reads and Pumice's own index into a "
    "directory of rocks and rockspecs. Any static web server, or a plain path, then serves it: see --server. "
    "Clients that read meanwhile see the old state or the new one.",
    positionals=(
        Positional("action", "build."),
        Positional("directory", "The directory; the current one if left out.", "?"),
    ),
    options=(
        Option(
            ("--exclusive",),
            "Clients shall ask no other server for the rocks of this one, whatever versions others have.",
        ),
        JSON,
    ),
    examples=(("pumice index build /srv/rocks", "Lists all rocks of the directory."),),
)


def run(arguments: Arguments, session: Session) -> int:
    """Writes the index files that are new or changed."""
    action = arguments.required("action")
    if action != "build":
        raise UsageError(
            f"argument 'action' must be 'build', not '{action}'", hint="`pumice index build DIRECTORY`."
        )
    directory, built = index_directory(
        arguments.text("directory") or ".",
        session.config,
        session.terminal,
        exclusive=arguments.flag("exclusive"),
    )
    if arguments.flag("json"):
        import json

        facts = {
            "directory": directory,
            "rocks": built.rocks,
            "versions": built.versions,
            "written": built.written,
            "removed": built.removed,
        }
        session.terminal.print(json.dumps(facts))
    else:
        session.terminal.message(
            "info",
            f"{directory}: {counted(built.rocks, 'rock')} in {counted(built.versions, 'version')}; "
            f"{counted(len(built.written), 'file')} of the index written, {len(built.removed)} removed.",
        )
    return EXIT_OK
