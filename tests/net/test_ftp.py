"""Files from real ftp servers on this machine (pyftpdlib), and from one that follows no rules."""

import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import FetchError, NotFoundError
from pumice.net.cache import Cache
from pumice.net.downloader import Downloader, Wanted
from pumice.net.fetch import fetch
from pumice.net.http import MissingError

DATA = bytes(range(256)) * 1000


class FtpServer:
    """An ftp server of a directory, for anybody and for `someone` with the password `sec:ret`."""

    def __init__(self, folder: Path, *, anonymous: bool = True, **attributes: Any) -> None:
        with warnings.catch_warnings():
            # It brings its own asyncore where Python has none any more.
            warnings.simplefilter("ignore", DeprecationWarning)
            from pyftpdlib.authorizers import DummyAuthorizer
            from pyftpdlib.handlers import FTPHandler
            from pyftpdlib.servers import ThreadedFTPServer

        self.commands: list[str] = []
        commands = self.commands
        authorizer = DummyAuthorizer()
        authorizer.add_user("someone", "sec:ret", str(folder))
        if anonymous:
            authorizer.add_anonymous(str(folder))

        class Handler(FTPHandler):  # type: ignore[misc]
            def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
                commands.append(line)
                super().pre_process_command(line, cmd, arg)

        Handler.authorizer = authorizer
        Handler.log_prefix = ""
        Handler.banner = "ready"
        for name, value in attributes.items():
            setattr(Handler, name, value)
        self.server = ThreadedFTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.address[1]
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"timeout": 0.05}, daemon=True
        )
        self.thread.start()

    def url(self, path: str, who: str = "") -> str:
        return f"ftp://{who}127.0.0.1:{self.port}/{path}"

    def close(self) -> None:
        self.server.close_all()
        self.thread.join(10)


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The served directory, with some files."""
    folder = tmp_path / "served"
    (folder / "sub").mkdir(parents=True)
    (folder / "data").write_bytes(DATA)
    (folder / "sub" / "a b;c").write_bytes(b"odd name")
    (folder / "empty").write_bytes(b"")
    return folder


@pytest.fixture
def serving(served: Path) -> Iterator[Callable[..., FtpServer]]:
    """Starts ftp servers."""
    running: list[FtpServer] = []

    def start(**options: Any) -> FtpServer:
        running.append(FtpServer(served, **options))
        return running[-1]

    yield start
    for each in running:
        each.close()


def test_a_file_comes_binary_and_whole(serving: Any, tmp_path: Path) -> None:
    server = serving()
    target = tmp_path / "file"
    for path, data in (("data", DATA), ("sub/a%20b%3Bc", b"odd name"), ("empty", b""), ("data;type=i", DATA)):
        assert fetch(server.url(path), str(target)).size == len(data)
        assert target.read_bytes() == data


def test_what_is_not_there_is_missing_and_a_directory_is_no_file(serving: Any, tmp_path: Path) -> None:
    server = serving()
    for path in ("nothing", "sub/nothing", "nowhere/data"):
        with pytest.raises(MissingError, match="is not there"):
            fetch(server.url(path), str(tmp_path / "file"))
    for path in ("", "sub/"):
        with pytest.raises(FetchError, match="names no file"):
            fetch(server.url(path), str(tmp_path / "file"))
    with pytest.raises((FetchError, NotFoundError)):
        fetch(server.url("sub"), str(tmp_path / "file"))
    assert not (tmp_path / "file").exists()


def test_credentials_come_from_the_url_or_netrc_and_are_never_shown(serving: Any, tmp_path: Path) -> None:
    server = serving(anonymous=False, auth_failed_timeout=0.01)
    target = str(tmp_path / "file")
    assert fetch(server.url("data", "someone:sec%3Aret@"), target).url == server.url("data")
    with pytest.raises(FetchError, match="does not let us in") as caught:
        fetch(server.url("data", "someone:wrong@"), target, stall=5)
    assert "wrong" not in str(caught.value) and "netrc" in str(caught.value.hint)
    with pytest.raises(FetchError, match="does not let us in"):
        fetch(server.url("data"), target, stall=5)
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password sec:ret\n")
    netrc.chmod(0o600)
    assert fetch(server.url("data"), target, environment={"HOME": str(tmp_path)}).size == len(DATA)


def test_one_login_serves_many_files_and_nobody_is_asked_to_connect_to_us(
    serving: Any, served: Path, tmp_path: Path
) -> None:
    server = serving()
    with Downloader(Cache(str(tmp_path / "cache"))) as downloader:
        for number in range(5):
            (served / str(number)).write_text(str(number))
            downloader.fetch(Wanted((server.url(str(number)),), str(tmp_path / "file"), released=False))
            assert (tmp_path / "file").read_text() == str(number)
    logins = [line for line in server.commands if line.startswith("USER")]
    assert len(logins) == 1
    assert not [line for line in server.commands if line.startswith(("PORT", "EPRT"))]


def test_a_document_is_asked_for_again_only_if_it_has_changed(
    serving: Any, served: Path, tmp_path: Path
) -> None:
    server = serving()
    texts = []
    for text in ("first", None, "second one"):
        if text is not None:
            (served / "doc").write_text(text)
        with Downloader(Cache(str(tmp_path / "cache"))) as downloader:
            document = downloader.documents.get(server.url("doc"), max_age=0)
            texts.append(downloader.documents.content(document).decode())
    assert texts == ["first", "first", "second one"]
    assert [line for line in server.commands if line.startswith("RETR")] == ["RETR doc"] * 2


def test_several_files_at_once_and_offline_from_the_cache(serving: Any, tmp_path: Path) -> None:
    server = serving()
    wanted = [
        Wanted((server.url(path),), str(tmp_path / f"file{number}"))
        for number, path in enumerate(("data", "sub/a%20b%3Bc", "empty"))
    ]
    with Downloader(Cache(str(tmp_path / "cache"))) as downloader:
        downloader.fetch_many(wanted)
    server.close()
    with Downloader(Cache(str(tmp_path / "cache")), offline=True) as downloader:
        assert [each.size for each in downloader.fetch_many(wanted)] == [len(DATA), 8, 0]


def test_limits_hold(serving: Any, tmp_path: Path) -> None:
    server = serving()
    with pytest.raises(FetchError, match="more than 1000 bytes"):
        fetch(server.url("data"), str(tmp_path / "file"), max_bytes=1000)
    with pytest.raises(FetchError, match="signs that cannot be sent"):
        fetch(server.url("a%0d%0aDELE%20data"), str(tmp_path / "file"))
    with pytest.raises(FetchError, match="through a proxy"):
        fetch(server.url("data"), str(tmp_path / "file"), environment={"ftp_proxy": "http://127.0.0.1:1"})
    assert not (tmp_path / "file").exists()


def test_the_library_is_imported_only_for_ftp(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    code = (
        "import sys\nfrom pumice.net.fetch import fetch\nimport pumice.net.http, pumice.net.connections\n"
        f"fetch('file://{tmp_path}/a', {str(tmp_path / 'b')!r})\nassert 'ftplib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


class Liar:
    """Speaks ftp as a test wants: `answers` by command; data for RETR come from `data`."""

    def __init__(
        self, answers: dict[str, str | None], data: bytes = b"", *, pasv_host: str = "127,0,0,1"
    ) -> None:
        self.answers = answers
        self.data = data
        self.pasv_host = pasv_host
        self.ended = False
        self.connected = 0
        self.control = socket.create_server(("127.0.0.1", 0))
        self.passive = socket.create_server(("127.0.0.1", 0))
        for each in (self.control, self.passive):
            each.settimeout(0.05)
        self.url = f"ftp://127.0.0.1:{self.control.getsockname()[1]}/file"
        self.threads = [threading.Thread(target=each, daemon=True) for each in (self.talk, self.send)]
        self.asked = threading.Event()
        for thread in self.threads:
            thread.start()

    def accept(self, listening: socket.socket) -> socket.socket | None:
        while not self.ended:
            try:
                return listening.accept()[0]
            except TimeoutError:
                continue
        return None

    def talk(self) -> None:
        while (connection := self.accept(self.control)) is not None:
            self.connected += 1
            with connection, connection.makefile("rb") as lines:
                try:
                    connection.sendall((self.answers.get("", "220 ready") + "\r\n").encode())
                    for line in lines:
                        word = line.split()[0].decode()
                        port = self.passive.getsockname()[1]
                        usual = {
                            "USER": "331 password",
                            "PASS": "230 in",
                            "TYPE": "200 binary",
                            "PASV": f"227 ({self.pasv_host},{port >> 8},{port & 255})",
                            "RETR": "150 here",
                        }
                        answer = self.answers.get(word, usual.get(word, "502 no"))
                        if answer is None:
                            break
                        connection.sendall((answer + "\r\n").encode())
                        if word == "RETR" and answer.startswith("150"):
                            self.asked.set()
                            time.sleep(0.1)
                            connection.sendall((self.answers.get("end", "226 done") + "\r\n").encode())
                except OSError:
                    continue

    def send(self) -> None:
        while (connection := self.accept(self.passive)) is not None:
            with connection:
                connection.sendall(self.data)

    def close(self) -> None:
        self.ended = True
        for thread in self.threads:
            thread.join(10)
        self.control.close()
        self.passive.close()


@pytest.fixture
def liar() -> Iterator[Callable[..., Liar]]:
    """Starts servers that follow no rules."""
    running: list[Liar] = []

    def start(*args: Any, **more: Any) -> Liar:
        running.append(Liar(*args, **more))
        return running[-1]

    yield start
    for each in running:
        each.close()


def test_a_server_that_tells_neither_size_nor_time_serves(liar: Any, tmp_path: Path) -> None:
    fetch(liar({}, b"data").url, str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == b"data"


def test_the_data_come_from_the_host_that_was_asked_whatever_it_names(liar: Any, tmp_path: Path) -> None:
    """As 192.0.2.1 is nobody, a client that believed it would wait there for ever."""
    fetch(liar({}, b"data", pasv_host="192,0,2,1").url, str(tmp_path / "file"), timeout=3, stall=3)
    assert (tmp_path / "file").read_bytes() == b"data"


@pytest.mark.parametrize(
    ("answers", "data"),
    [
        ({"": "ssh?"}, b""),
        ({"": "421 too many"}, b""),
        ({"PASS": None}, b""),
        ({"RETR": None}, b""),
        ({"RETR": "450 busy"}, b""),
        ({"end": "426 broken off"}, b"data"),
        ({"SIZE": "213 9"}, b"data"),
        ({"SIZE": "213 2"}, b"data"),
        ({"PASV": "227 what?"}, b""),
        ({"PASV": "227 (127,0,0,1,0,1)"}, b""),
    ],
)
def test_what_does_not_come_whole_is_tried_again_and_never_used(
    liar: Any, tmp_path: Path, answers: dict[str, str | None], data: bytes
) -> None:
    server = liar(answers, data)
    with pytest.raises(FetchError, match="tried 2 times"):
        fetch(server.url, str(tmp_path / "file"), tries=2, stall=3)
    assert server.connected == 2
    assert not (tmp_path / "file").exists()


def test_silence_ends_after_the_stall(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ftp://127.0.0.1:{silent.getsockname()[1]}/file"
        start = time.monotonic()
        with pytest.raises(FetchError, match="did not answer"):
            fetch(url, str(tmp_path / "file"), tries=1, timeout=0.5, stall=0.5)
        assert time.monotonic() - start < 10 * 0.5
