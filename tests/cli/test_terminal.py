"""What users see while a command works: on a real (pseudo) terminal, in pipes and logs, and after Ctrl-C."""

import fcntl
import os
import re
import secrets
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import pytest

from pumice.cli.screen import Screen
from pumice.cli.terminal import Terminal, harmless

MakeRock = Callable[..., Path]
TreeHash = Callable[[Path], str]

BAR = "━"
ESCAPE = "\x1b"
_PROGRAM = "from pumice.cli.main import entry; entry()"
_IN_TERMINAL = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {_PROGRAM}"
_ENOUGH = 20.0


class Emulator:
    """As much of a terminal as bars need; `lines` is all that one could scroll back to."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        for part in re.findall(r"\x1b\[\d*[A-Za-z]|.", text, re.DOTALL):
            if part.startswith(ESCAPE):
                self._steer(part[-1], int(part[2:-1] or 1))
            elif part == "\r":
                self.column = 0
            elif part == "\n":
                self._down()
            else:
                self._put(part)

    def _steer(self, what: str, count: int) -> None:
        assert what in "AKJ", f"an unexpected sequence: {what}"
        if what == "A":
            assert count <= self.row, "above the first line"
            self.row -= count
        else:
            del self.rows[self.row][self.column :]
        if what == "J":
            del self.rows[self.row + 1 :]

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    def _put(self, character: str) -> None:
        assert character.isprintable(), f"{character!r} reached the terminal"
        if self.column == self.width:
            self._down()
            self.column = 0
        row = self.rows[self.row]
        row.extend(" " * (self.column + 1 - len(row)))
        row[self.column] = character
        self.column += 1

    @property
    def lines(self) -> list[str]:
        found = ["".join(row).rstrip() for row in self.rows]
        while found and not found[-1]:
            found.pop()
        return found


class Shell:
    """A command on a pseudo-terminal."""

    def __init__(self, words: list[str], environment: Mapping[str, str], cwd: Path, width: int) -> None:
        self.text = ""
        self._width = width
        self._master, slave = os.openpty()
        self.resize(width)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        )
        os.close(slave)

    def resize(self, width: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, seen: Callable[[str], object]) -> None:
        """Read until the text since the call is as wanted."""
        begin = len(self.text)
        end = time.monotonic() + _ENOUGH
        while not seen(self.text[begin:]):
            assert time.monotonic() < end, f"not seen, last: {self.text[-500:]!r}"
            assert self._read(), f"the command ended before, with {self.text!r}"

    def _read(self) -> bool:
        if not select.select([self._master], [], [], _ENOUGH)[0]:
            raise AssertionError(f"silent after {self.text!r}")
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)

    def end(self) -> int:
        """The exit code, when all has been read."""
        while self._read():
            pass
        return self.process.wait(_ENOUGH)

    @property
    def lines(self) -> list[str]:
        """What the user sees in the end."""
        emulator = Emulator(self._width)
        emulator.feed(self.text)
        return emulator.lines

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


class Server:
    """Sends the first half of a file, and the second when `go` is set."""

    def __init__(self, folder: Path) -> None:
        self.go = threading.Event()
        self.asked = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = (folder / os.path.basename(self.path)).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data[: len(data) // 2])
                    outer.asked.set()
                    outer.go.wait(_ENOUGH)
                    self.wfile.write(data[len(data) // 2 :])
                except OSError:
                    pass  # the command has left

            def log_message(self, *_words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def rock(make_rock: MakeRock) -> Path:
    """A rock that takes two pieces to download."""
    return make_rock("slow", "1.0-1", {"lua/slow.lua": f"return '{secrets.token_hex(200_000)}'\n"})


@pytest.fixture
def server(rock: Path) -> Iterator[Server]:
    made = Server(rock.parent)
    yield made
    made.close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    (home / "tmp").mkdir(parents=True)
    return {
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "PATH": "/usr/bin:/bin",
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
    }


OpenShell = Callable[..., Shell]


@pytest.fixture
def shell(tmp_path: Path, environment: dict[str, str]) -> Iterator[OpenShell]:
    """Runs a command on the tree, in a terminal."""
    opened: list[Shell] = []

    def run(*words: str, width: int = 80, cwd: Path = tmp_path, **more: str) -> Shell:
        opened.append(Shell([f"--tree={tmp_path}/tree", *words], {**environment, **more}, cwd, width))
        return opened[-1]

    yield run
    for each in opened:
        each.close()


def in_pipes(tmp_path: Path, environment: Mapping[str, str], *words: str) -> tuple[int, str, str]:
    """A command without a terminal: exit code, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, f"--tree={tmp_path}/tree", *words],
        capture_output=True,
        text=True,
        env=dict(environment),
        cwd=tmp_path,
        timeout=_ENOUGH,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_download_is_a_bar_that_is_gone_when_it_is_done(
    shell: OpenShell, server: Server, rock: Path
) -> None:
    run = shell("install", f"{server.url}/{rock.name}")
    run.until(lambda text: BAR in text and "─" in text)
    first = re.split(r"\r|\x1b\[J", run.text[: run.text.index("\x1b[J")])[-1]
    assert re.fullmatch(r"slow-1\.0-1\.all\.rock  ━+─+ +\d+ kB / +\d+ kB +[\d.]+ kB/s", first)
    drawn = run.text.count(BAR)
    run.until(lambda text: text.count("kB/s") >= 3)  # drawn although nothing comes, so that it is seen
    assert run.text.count(BAR) > drawn
    server.go.set()
    assert run.end() == 0
    assert "slow 1.0-1 is now installed" in "".join(run.lines)
    assert not [line for line in run.lines if BAR in line or "kB" in line]
    assert not re.search(r"\x1b\[[\d;]*m", run.text), "no colours: NO_COLOR has nothing to turn off"


def test_elsewhere_a_plain_line_says_what_is_downloaded(
    tmp_path: Path, environment: dict[str, str], server: Server, rock: Path
) -> None:
    server.go.set()
    code, out, err = in_pipes(tmp_path, environment, "install", f"{server.url}/{rock.name}")
    assert code == 0
    size = round(rock.stat().st_size / 1000)
    assert err.splitlines()[0] == f"Downloading slow-1.0-1.all.rock ({size} kB)"
    assert "slow 1.0-1 is now installed" in out
    assert ESCAPE not in out + err


def test_quiet_says_nothing_anywhere(
    tmp_path: Path, environment: dict[str, str], shell: OpenShell, server: Server, rock: Path
) -> None:
    run = shell("--quiet", "install", f"{server.url}/{rock.name}")
    assert server.asked.wait(_ENOUGH)
    time.sleep(0.5)  # time enough for a bar
    server.go.set()
    assert run.end() == 0
    assert run.text == ""
    assert in_pipes(tmp_path, environment, "-q", "install", f"{server.url}/{rock.name}") == (0, "", "")
    code, out, err = in_pipes(tmp_path, environment, "-q", "install", "nowhere.rock")
    assert (code, out) == (1, "")
    assert "Error: " in err


@pytest.mark.parametrize("more", [{"TERM": "dumb"}, {"TERM": ""}, {"CI": "true"}])
def test_a_terminal_that_cannot_be_steered_gets_plain_lines(
    shell: OpenShell, server: Server, rock: Path, more: dict[str, str]
) -> None:
    run = shell("install", f"{server.url}/{rock.name}", **more)
    run.until(lambda text: "Downloading slow-1.0-1.all.rock (" in text)
    time.sleep(0.4)
    server.go.set()
    assert run.end() == 0
    assert ESCAPE not in run.text


def test_a_terminal_without_unicode_gets_ascii(shell: OpenShell, server: Server, rock: Path) -> None:
    run = shell("install", f"{server.url}/{rock.name}", LANG="de_DE.ISO-8859-1")
    run.until(lambda text: "#----" in text)
    server.go.set()
    assert run.end() == 0
    assert run.text.isascii()


def test_bars_follow_the_width_of_the_terminal(shell: OpenShell, server: Server, rock: Path) -> None:
    run = shell("install", f"{server.url}/{rock.name}", width=120)
    run.until(lambda text: BAR in text)
    run.resize(50)
    run.until(lambda text: re.search(r"\rslow\S+ +200 kB", text))
    run.resize(5)
    run.until(lambda text: "\r\x1b[J" in text)
    frames = re.findall(r"(slow[^\r\x1b]*)\x1b\[J", run.text)
    assert len(frames[0]) > 80
    assert len(frames[-1]) < 50
    server.go.set()
    assert run.end() == 0


@pytest.mark.adversary(52)
@pytest.mark.parametrize("layout", ["plain", "generations"])
def test_ctrl_c_in_a_download_changes_nothing_and_says_so(
    layout: str,
    tmp_path: Path,
    shell: OpenShell,
    server: Server,
    rock: Path,
    make_rock: MakeRock,
    tree_hash: TreeHash,
) -> None:
    other = make_rock("other", "1.0-1", {"lua/other.lua": "return 1\n"})
    assert shell("install", "--layout", layout, str(other)).end() == 0
    before = tree_hash(tmp_path / "tree")
    run = shell("install", f"{server.url}/{rock.name}")
    run.until(lambda text: BAR in text)
    run.type("\x03")
    began = time.monotonic()
    assert run.end() == 130
    assert time.monotonic() - began < 10
    assert run.lines[-2:] == [
        "Error: Interrupted. The tree was not changed.",
        "Hint: Run the command again when you like; nothing is left to clean up.",
    ]
    assert not [line for line in run.lines if BAR in line or "kB" in line or "^C" in line]
    assert before == tree_hash(tmp_path / "tree")
    assert not list((tmp_path / "home/tmp").iterdir())


@pytest.fixture
def c_project(tmp_path: Path) -> Path:
    """Three C modules, and a compiler that waits for the file `go` (and says who it is) before it begins."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.c").write_text("int none;\n")
    (folder / "compiled-1.0-1.rockspec").write_text(
        'package = "compiled" version = "1.0-1" source = { url = "http://localhost/x" }'
        'description = { license = "MIT" }'
        'build = { type = "builtin", modules = { a = "a.c", b = "b.c", c = "c.c" } }'
    )
    compiler = folder / "compiler"
    compiler.write_text(
        f"#!/bin/sh\necho $$ >> {folder}/running\n"
        f"while ! [ -e {folder}/go ]; do sleep 0.05; done\n"
        'while [ $# -gt 1 ]; do if [ "$1" = -o ]; then touch "$2"; fi; shift; done\n'
    )
    compiler.chmod(0o755)
    return folder


@pytest.mark.peer
def test_a_build_is_a_bar_below_what_the_compiler_says(shell: OpenShell, c_project: Path) -> None:
    compiler = c_project / "compiler"
    run = shell("make", f"CC={compiler}", f"LD={compiler}", cwd=c_project, width=100)
    run.until(lambda text: "Compiling compiled 1.0-1  " in text and "0/6" in text)
    (c_project / "go").touch()
    assert run.end() == 0
    assert len([line for line in run.lines if line.startswith(str(compiler))]) == 6
    assert not [line for line in run.lines if BAR in line or "─" in line]
    assert "compiled 1.0-1 is now installed" in "".join(run.lines)


def is_alive(number: int) -> bool:
    """A process whose end nobody has asked for yet is not alive."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.peer
@pytest.mark.adversary(52)
def test_ctrl_c_in_a_build_ends_the_compilers_at_once(
    tmp_path: Path, shell: OpenShell, c_project: Path
) -> None:
    compiler = c_project / "compiler"
    run = shell("make", f"CC={compiler}", f"LD={compiler}", cwd=c_project)
    run.until(lambda text: "0/6" in text)
    running = [int(line) for line in (c_project / "running").read_text().split()]
    run.type("\x03")
    began = time.monotonic()
    assert run.end() == 130
    assert time.monotonic() - began < 10
    assert "Error: Interrupted. The tree was not changed." in run.lines
    assert running
    assert not [number for number in running if is_alive(number)]
    assert not list((tmp_path / "tree").rglob("*.so"))
    assert not list((tmp_path / "home/tmp").iterdir())


class Tty:
    """A pseudo-terminal whose other end is read all the time."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        self.stream: IO[str] = os.fdopen(slave, "w", encoding="utf-8")
        self._emulator = Emulator(60)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.highest = 0

    def _read(self) -> None:
        left = b""
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            # A character can arrive in two pieces.
            left += data
            try:
                text = left.decode()
            except UnicodeDecodeError:
                continue
            left = b""
            self._emulator.feed(text)
            bars = [line for line in self._emulator.lines if BAR in line or "─" in line]
            self.highest = max(self.highest, len(bars))

    def lines(self) -> list[str]:
        """All that was shown, after the end."""
        self.stream.close()
        self._reader.join(_ENOUGH)
        os.close(self._master)
        return self._emulator.lines


def test_threads_and_messages_do_not_mix() -> None:
    """Every message is whole, in order and above the bars; nothing of the bars is left."""
    tty = Tty()
    screen = Screen(tty.stream, {"LANG": "C.UTF-8"})  # type: ignore[arg-type]

    def work(number: int) -> None:
        for turn in range(3):
            task = f"http://host/{number}/{turn}"
            screen.started(task, f"rock-{number}-{turn}.rock", 10)
            for _ in range(10):
                time.sleep(0.03)
                screen.advanced(task, 1)
            screen.finished(task)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for number in range(60):
        screen.write(tty.stream, f"message {number}\n")  # type: ignore[arg-type]
        time.sleep(0.015)
    for thread in threads:
        thread.join()
    screen.close()
    assert tty.lines() == [f"message {number}" for number in range(60)]
    assert 3 <= tty.highest <= 8


def test_after_the_end_nothing_is_drawn() -> None:
    tty = Tty()
    screen = Screen(tty.stream, {})  # type: ignore[arg-type]
    screen.started("http://host/a", "a", 10)
    screen.close()
    screen.started("http://host/b", "b", 10)
    screen.advanced("http://host/b", 5)
    time.sleep(0.5)
    screen.finished("http://host/b")
    assert tty.lines() == []


def test_a_terminal_that_is_gone_does_no_harm() -> None:
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as stream:
        screen = Screen(stream, {})
        screen.started("http://host/a", "a", 10)
        os.close(master)
        time.sleep(0.5)
        screen.advanced("http://host/a", 5)
        screen.finished("http://host/a")
        screen.close()


def test_a_message_cannot_steer_a_terminal_but_a_pipe_gets_every_byte(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "a\x1b]0;owned\x07b\x9bc\u202ed\re\tf"
    assert harmless(text, sys.stdout) == text
    tty = Tty()
    assert harmless(text, tty.stream) == "a?]0;owned?b?c?d?e\tf"  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "stdout", tty.stream)
    monkeypatch.setattr(sys, "stderr", tty.stream)
    terminal = Terminal()
    terminal.print("größe \x1b[2J")
    terminal.message("warning", "\x1b[2J")
    terminal.close()
    monkeypatch.undo()
    assert tty.lines() == ["größe ?[2J", "Warning: ?[2J"]


def test_warnings_go_to_stderr_after_what_was_printed(capfd: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(quiet=True)
    terminal.print("the answer")
    for level in ("info", "detail", "aside", "notice", "warning"):
        terminal.message(level, level)
    assert capfd.readouterr() == ("the answer\n", "notice\nWarning: warning\n")
