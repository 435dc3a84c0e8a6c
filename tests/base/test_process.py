"""Programs are run to their end, listened to, and never left behind."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from pumice.base.process import find_program, run
from pumice.errors import BuildError, FetchError

PYTHON = sys.executable


def _alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _wait_dead(pid: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not _alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_output_and_errors_come_in_their_order() -> None:
    finished = run("echo one; echo two >&2; echo three; exit 3")
    assert finished.output == "one\ntwo\nthree\n"
    assert finished.returncode == 3
    assert not finished.ok


def test_errors_can_be_dropped() -> None:
    assert run("echo kept; echo lost >&2", keep_errors=False).output == "kept\n"


def test_arguments_are_passed_as_they_are() -> None:
    words = ["a b", "$HOME", "'", '"', "*", ""]
    code = "import sys; sys.stdout.write('|'.join(sys.argv[1:]))"
    assert run([PYTHON, "-c", code, *words]).output == "|".join(words)


def test_bytes_that_are_no_utf8_survive() -> None:
    assert run("printf 'a\\377b'").output.encode("utf-8", "surrogateescape") == b"a\xffb"


def test_lines_arrive_while_the_program_runs() -> None:
    seen: list[tuple[str, float]] = []
    run("echo first; sleep 0.4; printf last", on_line=lambda line: seen.append((line, time.monotonic())))
    assert [line for line, _ in seen] == ["first", "last"]
    assert seen[1][1] - seen[0][1] > 0.2


def test_output_goes_through_when_nobody_listens(capfd: pytest.CaptureFixture[str]) -> None:
    finished = run("echo out; echo err >&2", capture=False)
    captured = capfd.readouterr()
    assert (captured.out, captured.err, finished.output) == ("out\n", "err\n", "")


def test_environment_and_directory_are_the_given_ones(tmp_path: Path) -> None:
    finished = run(["/bin/sh", "-c", "pwd; echo $ONLY$HOME"], cwd=str(tmp_path), env={"ONLY": "this"})
    assert finished.output == f"{tmp_path}\nthis\n"


def test_standard_input_is_empty() -> None:
    assert run("cat", timeout=10).output == ""


def test_a_missing_program_is_named() -> None:
    with pytest.raises(BuildError, match="cannot run 'no-such-program'") as caught:
        run(["no-such-program"])
    assert "no-such-program" in caught.value.hint


def test_a_missing_program_raises_the_class_asked_for() -> None:
    with pytest.raises(FetchError) as caught:
        run(["no-such-git"], failure=FetchError, hint="Install git.")
    assert caught.value.hint == "Install git."


def test_a_missing_directory_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="there is no such directory"):
        run(["true"], cwd=str(tmp_path / "absent"))


def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n", encoding="utf-8")
    with pytest.raises(BuildError, match=r"cannot run '.*tool': permission denied"):
        run([str(tool)])


def test_a_nul_byte_in_an_argument_is_an_ordinary_error() -> None:
    with pytest.raises(BuildError, match="cannot run 'echo': embedded null byte"):
        run(["echo", "a\0b"])


def test_a_time_out_ends_the_whole_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(BuildError, match=r"did not finish within 0\.5 seconds"):
        run(f"(trap '' TERM; echo $$; sh -c 'echo $PPID > {note}; exec sleep 60') & wait", timeout=0.5)
    assert time.monotonic() - began < 10
    assert _wait_dead(int(note.read_text(encoding="utf-8")))


def test_a_time_out_holds_for_a_program_that_keeps_writing() -> None:
    began = time.monotonic()
    with pytest.raises(BuildError, match="did not finish"):
        run("while :; do echo x; done", timeout=0.3)
    assert time.monotonic() - began < 10


def test_a_time_out_holds_when_nobody_listens() -> None:
    with pytest.raises(BuildError, match="did not finish"):
        run("sleep 30", timeout=0.2, capture=False)


def test_an_interrupt_ends_the_whole_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run(f"sleep 60 & echo $! > {note}; wait", timeout=30)
    timer.join()
    assert _wait_dead(int(note.read_text(encoding="utf-8")))


def test_no_zombie_is_left() -> None:
    with pytest.raises(BuildError):
        run("sleep 30", timeout=0.1)
    run("true")
    own = Path("/proc/self/task").glob("*/children")
    children = [int(pid) for listing in own for pid in listing.read_text(encoding="ascii").split()]
    assert [pid for pid in children if not _alive(pid)] == []


def test_a_child_that_stays_behind_with_the_pipe_is_not_waited_for(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    began = time.monotonic()
    finished = run(f"echo done; sleep 30 & echo $! > {note}")
    os.kill(int(note.read_text(encoding="utf-8")), signal.SIGKILL)
    assert finished.output == "done\n"
    assert time.monotonic() - began < 5


def test_endless_output_is_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumice.base.process._KEPT_OUTPUT", 1000)
    finished = run("seq 1 100000")
    assert len(finished.output) == 1000
    assert finished.output.endswith("100000\n")


def test_a_line_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumice.base.process._LONGEST_LINE", 1000)
    lines: list[str] = []
    run("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end", on_line=lines.append)
    assert len(lines) > 2
    assert lines[-1] == "end"
    assert sum(map(len, lines[:-1])) == 1_000_000


def test_a_program_is_found_on_the_path(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n", encoding="utf-8")
    path = f"/nowhere::{tmp_path}"
    assert find_program("tool", path) is None
    tool.chmod(0o755)
    assert find_program("tool", path) == str(tool)
    assert find_program(str(tool), "") == str(tool)
    assert find_program("absent", path) is None
