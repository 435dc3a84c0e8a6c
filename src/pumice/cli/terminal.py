"""Where the CLI's text goes: plain lines, information on stdout and warnings on stderr (contract 1.1)."""

from __future__ import annotations

import sys

__all__ = ["Terminal", "error_text"]


def error_text(message: str, hint: str) -> str:
    """An error as people see it: LuaRocks's line, then what to do next."""
    return f"\nError: {message}\n" + (f"Hint: {hint}\n" if hint else "")


class Terminal:
    """The `Progress` of the CLI."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose

    def print(self, text: str = "") -> None:
        """A line of the command's answer, on stdout."""
        sys.stdout.write(text + "\n")

    def started(self, task: str, label: str, total: int | None = None) -> None:
        """A task begins: told only with --verbose, since plain lines suit every terminal and log."""
        if self.verbose:
            self.print(label)

    def advanced(self, task: str, amount: int = 1) -> None:
        """Nothing: there are no bars on plain lines."""

    def finished(self, task: str) -> None:
        """Nothing: the command says when it is done."""

    def message(self, level: str, text: str) -> None:
        """A line for people."""
        if level == "warning":
            sys.stdout.flush()
            sys.stderr.write(f"Warning: {text}\n")
        elif level == "notice":
            sys.stdout.flush()
            sys.stderr.write(f"{text}\n")
        elif level == "detail":
            if self.verbose:
                self.print(text)
        elif not self.quiet:
            self.print(text)
