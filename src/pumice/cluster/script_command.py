"""A script as the words of a command that any login shell passes on unchanged, and what came back of it.

What sshd starts is read by the user's login shell first, which need not be a POSIX one, and which may print
things of its own before (`.bashrc`, a notice). So a script travels as ASCII without any letter that a shell
treats in its own way inside single quotes, and begins by printing a mark that nobody else knows, with the
number of its process, so that it can be ended.
"""

from __future__ import annotations

import secrets

from pumice.base.value import Value
from pumice.cluster.connection import Answer, NodeError, quote

__all__ = ["ScriptCommand", "script_command"]

_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b"\\'!")
_LETTERS = {byte: f"\\0{byte:03o}" for byte in range(256) if byte not in _PLAIN}


class ScriptCommand(Value):
    """What to start on the node."""

    words: tuple[str, ...]
    mark: bytes
    """What begins the line before the script's own output; the number of the process ends it."""
    who: str | None
    """The user that is to be become."""

    def line(self) -> str:
        """The command as one line for the shell of whoever logs in."""
        return "exec " + " ".join(quote(word) for word in self.words)

    def ender(self, output: bytes) -> ScriptCommand | None:
        """The command that ends what runs, from what it has written so far; None before it runs.

        Closing the channel does not: what writes nothing lives on, and sshd passes signals on for no root.
        """
        pid = output.partition(self.mark)[2].partition(b"\n")[0]
        if not pid.isdigit():
            return None
        script = f"kill -s TERM -- -{int(pid)} || kill -s TERM {int(pid)}"
        return script_command(script, self.who)

    def answer(self, answer: Answer, node: str) -> Answer:
        """The answer without what others printed before.

        Raises NodeError when the script was never begun: no `sudo`, no `sh`, an account without a shell.
        """
        before, mark, rest = answer.output.partition(self.mark)
        if mark:
            return answer.replace(output=rest.partition(b"\n")[2])
        said = b" ".join((answer.errors + before).split())[-400:].decode(errors="replace")
        if self.who is not None:
            raise NodeError(
                f"{node}: nothing can be run as {self.who}: {said or f'sudo ended with {answer.code}'}",
                hint="`sudo -n` must work there without a password: a NOPASSWD line in sudoers for `sh`.",
            )
        raise NodeError(
            f"{node}: no script can be run: {said or f'the shell ended with code {answer.code}'}",
            hint="The account needs a login shell, and `sh` on its PATH.",
        )


def script_command(script: str, become: str | None, *arguments: str) -> ScriptCommand:
    """The command that runs a script by `sh` with arguments, as the user `become` unless that is None.

    Raises ValueError for a NUL, which no argument can carry.
    """
    if "\0" in script:
        raise ValueError("a script for a shell cannot hold a NUL")
    mark = f"@@pumice {secrets.token_hex(8)}"
    sent = script.encode("utf-8", "surrogateescape").decode("latin-1").translate(_LETTERS)
    words: tuple[str, ...] = (
        "sh",
        "-c",
        f'echo "{mark} $$";eval "shift;$(printf %b "$1")"',
        "sh",
        sent,
        *arguments,
    )
    if become is not None:
        words = ("sudo", "-n", "-H", "-u", become, "--", *words)
    return ScriptCommand(words, mark.encode() + b" ", become)
