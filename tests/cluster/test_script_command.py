"""A script comes through any login shell as it is, and nothing else is taken for its output."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.cluster.connection import Answer, NodeError, quote
from pumice.cluster.script_command import script_command

SHELLS = [
    "/bin/sh",
    "bash",
    "dash",
    pytest.param("busybox", marks=pytest.mark.peer),
    pytest.param("tcsh", marks=pytest.mark.peer),
    pytest.param("fish", marks=pytest.mark.peer),
    pytest.param("zsh", marks=pytest.mark.peer),
]
NASTY = "it's $(id) `id` \\ \\\\ \\n %s %% !x ^y #z \"q\" ~ * ? [a] {b,c} & | ; < > ( ) \t ü \x7f $'a' -n"


def run(shell: str, line: str, stdin: bytes = b"") -> Answer:
    found = shutil.which(shell)
    if not found:
        pytest.skip(f"{shell} is not installed")
    words = [found, *(["sh"] if shell == "busybox" else []), "-c", line]
    done = subprocess.run(words, input=stdin, capture_output=True, timeout=30)
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_passes_a_script_on_unchanged(shell):
    script = f"printf %s {quote(NASTY)}\nset -- 'a\nb'\necho \"$1\" $#\nif read line; then echo got $line; fi\nexit 7"
    command = script_command(script, None)
    answer = command.answer(run(shell, command.line(), b"in\n"), "n")
    assert (answer.code, answer.output) == (7, f"{NASTY}a\nb 1\ngot in\n".encode())


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_every_text_survives(text):
    command = script_command(f"printf %s {quote(text)}", None)
    assert command.answer(run("/bin/sh", command.line()), "n").output == text.encode()


def test_bytes_that_are_no_utf_8_survive():
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    command = script_command(f"printf %s {quote(name)}", None)
    assert command.answer(run("/bin/sh", command.line()), "n").output == b"\xff\xfe"


def test_what_was_printed_before_is_cut_off():
    command = script_command("echo mine", None)
    answer = run("/bin/sh", f"echo noise; echo '@@pumice 1'; {command.line()}")
    assert command.answer(answer, "n").output == b"mine\n"


def test_a_script_that_was_never_begun_is_told_with_what_was_said():
    command = script_command("echo mine", None)
    with pytest.raises(NodeError, match="n: no script can be run: This account is closed"):
        command.answer(Answer(1, b"This account is closed\n", b""), "n")
    with pytest.raises(
        NodeError, match="n: nothing can be run as root: sudo: a password is required"
    ) as caught:
        script_command("id", "root").answer(Answer(1, b"", b"sudo: a password is required\n"), "n")
    assert "NOPASSWD" in caught.value.hint


def test_another_user_is_become_by_sudo_without_a_question():
    assert script_command("id", "kong").words[:6] == ("sudo", "-n", "-H", "-u", "kong", "--")


def test_a_nul_is_refused():
    with pytest.raises(ValueError, match="NUL"):
        script_command("a\0b", None)
