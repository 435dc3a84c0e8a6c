"""Version-control programs: found, started with care, and their failures explained."""

from __future__ import annotations

import os

from pumice.base.distribution import install_hint
from pumice.base.process import find_program, run
from pumice.errors import FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.base.config import Config
    from pumice.base.process import Finished
    from pumice.base.progress import Progress

__all__ = ["Tool", "no_option"]

_PACKAGES = {"git": "git", "hg": "mercurial", "svn": "subversion", "cvs": "cvs"}
_FAMILIES = ("debian", "alpine", "fedora", "suse", "arch", "brew")


class Tool:
    """A version-control program."""

    __slots__ = ("_environment", "_program", "_progress", "name")

    def __init__(
        self,
        name: str,
        title: str,
        config: Config,
        progress: Progress,
        environment: Mapping[str, str],
    ) -> None:
        """`environment` is the program's own. Raises FetchError if there is no such program."""
        self.name = name
        wanted = config.variables.get(name.upper(), name)
        program = find_program(wanted, config.environment.get("PATH", os.defpath))
        if program is None:
            raise FetchError(
                f"'{wanted}' program not found. Make sure {title} is installed and is available in your PATH",
                hint=install_hint(dict.fromkeys(_FAMILIES, _PACKAGES[name])),
            )
        self._program = program
        self._progress = progress
        self._environment = environment

    def run(self, arguments: Sequence[str], failure: str, *, cwd: str) -> str:
        """Run the program; gives its output. Raises FetchError with `failure` and its last words."""
        finished = self.attempt(arguments, cwd=cwd)
        if not finished.ok:
            last = " ".join(finished.output.strip().splitlines()[-3:])
            raise FetchError(failure, hint=f"{self.name} said: {last}" if last else "")
        return finished.output

    def attempt(self, arguments: Sequence[str], *, cwd: str) -> Finished:
        """Run the program and say how it ended; what it says goes to the progress as details."""
        return run(
            [self._program, *arguments],
            cwd=cwd,
            env=self._environment,
            on_line=lambda line: self._progress.message("detail", line),
            failure=FetchError,
        )


def no_option(value: str, what: str) -> str:
    """The value, if a program cannot take it for an option. Raises FetchError."""
    host = value.partition("://")[2] or value
    if value.startswith("-") or host.startswith("-") or host.partition("@")[2].startswith("-"):
        raise FetchError(
            f"{what} is {value!r}, which a program would take for an option",
            hint="Do not build this rock: its source is made to start other programs.",
        )
    return value
