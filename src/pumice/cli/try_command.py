"""`pumice try`: a plugin in a throw-away gateway on this machine, reloaded on save."""

from __future__ import annotations

from pumice.cli.arguments import Command, Option, Positional
from pumice.cli.findings import finding_lines
from pumice.errors import EXIT_OK, CheckError, Interrupted, UsageError
from pumice.kong.trace import Answered, Asked, Passed
from pumice.operation.try_plugin import Logged, Refused, Reloaded, Trial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.cli.arguments import Arguments
    from pumice.cli.session import Session
    from pumice.kong.gateway import PluginReport

__all__ = ["COMMAND", "run"]

_CTRL_C = 130
_SHOWN_BODY = 400

COMMAND = Command(
    "try",
    "Run a plugin in a throw-away gateway on this machine; reload on save.",
    description="Checks and builds a Kong plugin, installs it with what it needs into a private tree, and "
    "starts a gateway with it in front of an echo: a real Kong where `kong` is on the path, else nginx with "
    "its Lua module and a stand-in for Kong, which it says. Requests and answers are printed phase by phase. "
    "Whenever a source is saved, the plugin is checked, built and reloaded; what is broken is shown, and the "
    "old code goes on. Ctrl-C ends it, and nothing is left behind.",
    positionals=(Positional("path", "A directory, a rockspec or a rock; default: this directory.", "?"),),
    options=(
        Option(("--config",), "Settings of the plugin: a JSON object, or a file with one.", "<json>"),
        Option(("--port",), "The port to serve on; default: any that is free.", "<number>"),
        Option(("--no-check",), "Leave the check out."),
    ),
    examples=(
        ("pumice try", "Tries the plugin of this directory with its default settings."),
        (
            'pumice try . --port 8000 --config \'{"key": "value"}\'',
            "On a port, and with settings of your own.",
        ),
    ),
)


def run(arguments: Arguments, session: Session) -> int:
    """Serves until it is interrupted."""
    terminal = session.terminal
    trial = Trial(
        arguments.text("path") or ".",
        session.config,
        terminal,
        configuration=arguments.text("config"),
        port=_port(arguments.text("port")),
        check=not arguments.flag("no_check"),
    )
    try:
        with trial:
            _print(finding_lines(trial.findings), session)
            _print([f"The gateway is {trial.kind.label}.", *_loaded(trial.plugins)], session)
            _print([f"It serves at {trial.url} - reloads on save, ends with Ctrl-C.", ""], session)
            for event in trial.events():
                if not isinstance(event, Passed) or _matters(event, trial.plugins):
                    _print(_lines(event), session)
    except Interrupted as interrupted:
        if interrupted.exit_code != _CTRL_C:
            raise
        terminal.message("info", "\nThe gateway is stopped, and its files are gone.")
    except CheckError:
        _print(finding_lines(trial.findings), session)
        raise
    return EXIT_OK


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise UsageError(f"malformed argument '{text}'", hint="--port takes a number from 1 to 65535.")
    return int(text)


def _print(lines: Iterable[str], session: Session) -> None:
    import sys

    for line in lines:
        session.terminal.print(line)
    sys.stdout.flush()


def _loaded(plugins: Iterable[PluginReport]) -> list[str]:
    return [
        f"Loaded: {plugin.name} {plugin.version}, priority {plugin.priority}, "
        f"phases {', '.join(plugin.phases) or 'none'}"
        for plugin in plugins
    ]


def _matters(event: Passed, plugins: Iterable[PluginReport]) -> bool:
    """Whether a plugin has the phase, or something happened in it all the same."""
    return bool(event.changes) or not event.returned or any(event.phase in each.phases for each in plugins)


def _lines(event: object) -> list[str]:
    match event:
        case Asked():
            return [f"> {event.method} {event.uri}"]
        case Passed():
            ended = "" if event.returned else "  answered here, or failed"
            changes = [f"      {change}" for change in event.changes]
            return [f"    {event.phase:<13} {event.milliseconds:6.1f} ms{ended}", *changes]
        case Answered():
            body = " ".join(event.body.split())
            shown = body if len(body) <= _SHOWN_BODY else body[:_SHOWN_BODY] + "..."
            status = "closed without an answer" if event.status == 444 else str(event.status)
            return [f"< {status} in {event.milliseconds:.0f} ms", *([f"    {shown}"] if shown else []), ""]
        case Logged():
            return [f"    log {event.level}: {event.text}"]
        case Reloaded():
            seconds = f"Reloaded in {event.seconds:.1f} s."
            return [*finding_lines(event.findings), *_loaded(event.plugins), seconds, ""]
        case Refused():
            lines = finding_lines(event.findings)
            lines += event.message.splitlines()[:12]
            for item in event.explanations:
                lines += [f"    cause: {item.cause}", f"    mend: {item.mend}"]
            if event.hint:
                lines.append(f"    hint: {event.hint}")
            return [*lines, "The gateway goes on with the code that it had.", ""]
    return []
