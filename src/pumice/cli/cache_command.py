"""`pumice cache`: what the cache holds, where it is, and how to empty it."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.findings import counted
from pumice.cli.options import JSON
from pumice.errors import EXIT_OK, UsageError
from pumice.operation.cache import clean_cache, report_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session

__all__ = ["COMMAND", "human_size", "run"]

_DAY = 86400.0
_MEANINGS = {
    "files": "downloaded files",
    "answers": "what servers said",
    "derived": "compiled manifests and rockspecs",
    "seen": "digests of released files",
    "rocks": "rocks as they were installed",
}

COMMAND = Command(
    "cache",
    "Show, empty or find the cache of downloads.",
    description="`info` tells what the cache holds, `clean` empties it, `dir` prints where it is "
    "($PUMICE_CACHE decides). Emptying is safe while other commands run; they only fetch again. The digests "
    "of released files stay unless --all is given: they are how a file that was changed on a server is "
    "noticed.",
    positionals=(Positional("action", "info, clean or dir."),),
    options=(
        Option(("--all",), "With `clean`: forget also which digests released files had."),
        Option(
            ("--older-than",), "With `clean`: only what has been there for more than so many days.", "<days>"
        ),
        JSON,
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """One of the three actions."""
    action = arguments.required("action")
    if action == "info":
        _info(arguments, session)
    elif action == "clean":
        _clean(arguments, session)
    elif action == "dir":
        session.terminal.print(session.config.cache_dir)
    else:
        raise UsageError(
            f"argument 'action' must be one of 'info', 'clean', 'dir', not '{action}'",
            hint="`pumice cache info` tells what the cache holds.",
        )
    return EXIT_OK


def human_size(size: int) -> str:
    """A number of bytes as people read it: `12 B`, `3.4 MB`."""
    if size < 1000:
        return f"{size} B"
    amount = float(size)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"


def _info(arguments: Arguments, session: Session) -> None:
    report = report_cache(session.config)
    if arguments.flag("json"):
        import json

        parts = {part.part: {"files": part.files, "size": part.size} for part in report.parts}
        facts = {
            "directory": report.directory,
            "files": report.files,
            "size": report.size,
            "parts": parts,
        }
        session.terminal.print(json.dumps(facts))
        return
    session.terminal.print(report.directory)
    for part in report.parts:
        meaning = _MEANINGS.get(part.part, part.part)
        session.terminal.print(f"   {human_size(part.size):>9}  {counted(part.files, 'file'):>11}  {meaning}")
    session.terminal.print(f"   {human_size(report.size):>9}  {counted(report.files, 'file'):>11}  in all")


def _clean(arguments: Arguments, session: Session) -> None:
    cleaned = clean_cache(
        session.config,
        older_than=_seconds(arguments.text("older_than")),
        everything=arguments.flag("all"),
    )
    if arguments.flag("json"):
        import json

        facts = {"directory": session.config.cache_dir, "files": cleaned.files, "size": cleaned.size}
        session.terminal.print(json.dumps(facts))
    else:
        session.terminal.message(
            "info",
            f"Removed {counted(cleaned.files, 'file')}, {human_size(cleaned.size)}, "
            f"from {session.config.cache_dir}.",
        )


def _seconds(days: str | None) -> float | None:
    if days is None:
        return None
    try:
        number = float(days)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e6:
        raise UsageError(f"malformed argument '{days}'", hint="--older-than takes a number of days.")
    return number * _DAY
