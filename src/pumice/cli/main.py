"""The program `pumice`: one command line in, text and an exit code out (contract 1.1, 1.3)."""

from __future__ import annotations

import os
import sys

from pumice.errors import EXIT_BUG, EXIT_FAILURE, EXIT_OK, Interrupted, PumiceError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from pumice.cli.arguments import Arguments
    from pumice.cli.terminal import Terminal

__all__ = ["entry", "main"]


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command line (default: the process's) and gives its exit code. Never raises an Exception."""
    words = sys.argv[1:] if words is None else words
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # File names that are not UTF-8 come out as they are on disk.
        stream.reconfigure(errors="surrogateescape", encoding="utf-8")  # type: ignore[union-attr]
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except (PumiceError, Interrupted) as error:
        return _report(error, words)
    except BrokenPipeError:
        # The reader of a pipe has gone; nothing that is written matters any more.
        _discard_output()
        return EXIT_FAILURE
    except KeyboardInterrupt:
        from pumice.base.signals import Interruptible

        return _report(Interruptible.interruption(2), words)
    except OSError as error:
        from pumice.base.disk import translate

        return _report(translate(error, "go on"), words)
    except Exception as error:
        return _report_bug(error)


def entry() -> NoReturn:
    """`main` for a process of its own: skips the interpreter's slow clean-up once everything is flushed."""
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _open_closed_streams() -> None:
    """Whoever started us closed some of descriptors 0 to 2: a file of ours must not take their place."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.dup(descriptor)
    os.close(descriptor)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _discard_output() -> None:
    """What is still to be written to standard output goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _flush_output() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()


def _run(words: Sequence[str]) -> int:
    from pumice.cli.arguments import parse
    from pumice.cli.commands import COMMANDS, module_of
    from pumice.cli.options import GLOBAL
    from pumice.cli.terminal import Terminal

    if list(words) == ["--version"]:
        return _print_version()
    given: Arguments = parse(words, GLOBAL, tuple(COMMANDS), lambda name: module_of(name).COMMAND)
    if given.flag("version"):
        return _print_version()
    terminal = Terminal(quiet=given.flag("quiet"), verbose=given.flag("verbose"), environment=os.environ)
    try:
        return _command(given, terminal)
    finally:
        terminal.close()


def _command(given: Arguments, terminal: Terminal) -> int:
    from pumice.cli.commands import COMMANDS, module_of
    from pumice.cli.session import Session

    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        raise PumiceError(
            "Current directory does not exist.", hint="Change to a directory that exists and try again."
        ) from None
    session = Session(given, terminal, os.environ, cwd, _program())
    if given.command is None or given.flag("help"):
        from pumice.cli import help_command

        return help_command.show(given.command, session)
    command = module_of(given.command)
    if not COMMANDS[given.command].changes:
        return int(command.run(given, session))
    from pumice.base.signals import Interruptible

    with Interruptible():
        return int(command.run(given, session))


def _program() -> str:
    name = sys.argv[0] if sys.argv else "pumice"
    return "pumice" if name.endswith("__main__.py") or name in ("-c", "-m", "") else name


def _print_version() -> int:
    from pumice import __version__

    sys.stdout.write(f"{_program()} {__version__}\nPumice command-line interface\n\n")
    return EXIT_OK


def _report(error: PumiceError | Interrupted, words: Sequence[str]) -> int:
    from pumice.cli.terminal import error_text, harmless

    _flush_output()
    text = error_text(error.message, error.hint)
    if isinstance(error, UsageError) and not error.parsed:
        from pumice.cli.help_command import usage

        text = usage(error.command, _program()) + text
    sys.stderr.write(harmless(text, sys.stderr))
    if "--verbose" in words:
        _traceback(error)
    return error.exit_code


def _report_bug(error: Exception) -> int:
    import platform

    from pumice import __version__

    _flush_output()
    sys.stderr.write(
        f"\nError: Pumice {__version__} has met a bug (please report it).\n"
        f"Using Python {platform.python_version()} on {platform.machine()}: {type(error).__name__}: {error}\n"
        "Hint: Run the command again with --verbose and add what it prints to the report.\n"
    )
    if "--verbose" in sys.argv:
        _traceback(error)
    return EXIT_BUG


def _traceback(error: BaseException) -> None:
    import traceback

    sys.stderr.write("".join(traceback.format_exception(error)))
