"""`pumice download`: files of rocks from the servers into the current directory (contract 1.4)."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.download import WantedFiles, download

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    "download",
    "Download a specific rock file from a rocks server.",
    positionals=(
        Positional("name", "Name of the rock.", "?"),
        Positional("version", "Version of the rock.", "?"),
    ),
    options=(
        Option(("--all",), "Download all files if there are multiple matches."),
        Option(("--source",), "Download .src.rock if available."),
        Option(("--rockspec",), "Download .rockspec if available."),
        Option(("--arch",), "Download rock for a specific architecture.", "<arch>"),
        Option(("--deps",), "Download also everything that the rock needs."),
        Option(
            ("--check-lua-versions",),
            "If the rock can't be found, report if it is available for another Lua.",
        ),
    ),
    examples=(
        ("pumice download penlight", "Puts the newest penlight into this directory."),
        ("pumice download --deps kong-plugin-x", "Brings all that an installation without a network needs."),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Downloads; says nothing when all is well."""
    everything = arguments.flag("all")
    word = arguments.text("name")
    if word is None and not everything:
        raise UsageError(
            f"Argument missing. See '{session.program} help download'.",
            hint="Give the name of a rock, or --all for every file of the servers.",
        )
    name, namespace = session.named_rock(word or "")
    wanted = WantedFiles(
        name,
        arguments.text("version"),
        namespace,
        _arch(arguments),
        everything,
        arguments.flag("deps"),
        arguments.flag("check_lua_versions"),
    )
    download(wanted, session.config, session.terminal, offline=session.offline)
    return EXIT_OK


def _arch(arguments: Arguments) -> str | None:
    """The one arch that was asked for, or None. Raises UsageError for several."""
    given = {
        "--source": "src" if arguments.flag("source") else None,
        "--rockspec": "rockspec" if arguments.flag("rockspec") else None,
        "--arch": arguments.text("arch"),
    }
    chosen = [(option, arch) for option, arch in given.items() if arch is not None]
    if len(chosen) > 1:
        raise UsageError(
            f"option '{chosen[1][0]}' can not be used together with option '{chosen[0][0]}'",
            hint="Ask for one kind of file at a time.",
        )
    return chosen[0][1] if chosen else None
