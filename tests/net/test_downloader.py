"""What one command fetches: documents asked for conditionally, files once, in parallel, from mirrors."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import FetchError, NotFoundError, PumiceError
from pumice.net.cache import Cache
from pumice.net.downloader import Downloader, Wanted

BODY = b"body of the file\n" * 50
OTHER = b"something else\n" * 50


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Notes:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.running = 0

    def started(self, task: str, label: str, total: int | None = None) -> None:
        self.running += 1

    def advanced(self, task: str, amount: int = 1) -> None: ...

    def finished(self, task: str) -> None:
        self.running -= 1

    def message(self, level: str, text: str) -> None:
        if level == "warning":
            self.warnings.append(text)


class Commands:
    """Downloaders of one command after the other, with one cache and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1_000_000.0
        self.notes = Notes()
        self.made: list[Downloader] = []

    def __call__(self, **options: Any) -> Downloader:
        settings = {"timeout": 2.0, "stall": 0.4, "tries": 2, **options}
        cache = Cache(str(self.folder / "cache"))
        self.made.append(Downloader(cache, progress=self.notes, clock=lambda: self.now, **settings))
        return self.made[-1]

    def target(self, name: str = "target") -> str:
        (self.folder / "work").mkdir(exist_ok=True)
        return str(self.folder / "work" / name)

    def left(self) -> list[str]:
        return sorted(os.listdir(self.folder / "work"))


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Commands]:
    commands = Commands(tmp_path)
    yield commands
    for downloader in commands.made:
        downloader.close()


def gives(body: bytes, **headers: str) -> Callable[[Any], None]:
    """A route that answers conditional requests as an honest server does."""

    def action(handler: Any) -> None:
        tag = headers.get("ETag")
        if tag is not None and handler.headers.get("If-None-Match") == tag:
            handler.reply(304)
        else:
            handler.reply(200, body, **headers)

    return action


# Documents


def test_a_document_is_not_asked_for_again_within_its_time(server: Any, command: Commands) -> None:
    server.routes["/m"] = gives(BODY, ETag='"1"')
    for _ in range(2):
        with command() as downloader:
            document = downloader.documents.get(server.url("/m"), max_age=60)
            assert document is not None
            assert downloader.documents.content(document) == BODY
        command.now += 59
    assert len(server.requests) == 1


def test_an_unchanged_document_costs_one_short_answer(server: Any, command: Commands) -> None:
    server.routes["/m"] = gives(BODY, ETag='"1"')
    for _ in range(3):
        document = command().documents.get(server.url("/m"), max_age=60)
        assert document is not None
        assert command().documents.content(document) == BODY
        command.now += 61
    assert [headers.get("If-None-Match") for _, headers in server.requests] == [None, '"1"', '"1"']


def test_the_date_of_change_is_a_condition_too(server: Any, command: Commands) -> None:
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    server.routes["/m"] = gives(BODY, Last_Modified=date)
    for _ in range(2):
        command().documents.get(server.url("/m"), max_age=0)
    assert server.requests[1][1]["If-Modified-Since"] == date


def test_a_changed_document_is_taken(server: Any, command: Commands) -> None:
    server.routes["/m"] = gives(BODY, ETag='"1"')
    command().documents.get(server.url("/m"), max_age=60)
    server.routes["/m"] = gives(OTHER, ETag='"2"')
    command.now += 61
    document = command().documents.get(server.url("/m"), max_age=60)
    assert document is not None
    assert document.sha256 == digest(OTHER)


@pytest.mark.adversary(64)
def test_the_body_of_a_304_is_not_believed(server: Any, command: Commands) -> None:
    server.routes["/m"] = gives(BODY, ETag='"1"')
    command().documents.get(server.url("/m"), max_age=60)

    def lying(handler: Any) -> None:
        handler.close_connection = True
        handler.send_response(304)
        handler.send_header("ETag", '"2"')
        handler.send_header("Content-Length", str(len(OTHER)))
        handler.end_headers()
        handler.wfile.write(OTHER)

    server.routes["/m"] = lying
    command.now += 61
    with command() as downloader:
        document = downloader.documents.get(server.url("/m"), max_age=60)
        assert document is not None
        assert downloader.documents.content(document) == BODY


@pytest.mark.adversary(64)
def test_a_304_that_nobody_asked_for_is_an_error(server: Any, command: Commands) -> None:
    server.routes["/m"] = lambda handler: handler.reply(304)
    with pytest.raises(FetchError, match="answers 304"):
        command().documents.get(server.url("/m"), max_age=60)


def test_that_there_is_none_is_remembered_for_its_time(server: Any, command: Commands) -> None:
    for _ in range(2):
        assert command().documents.get(server.url("/none"), max_age=60, absent_age=600) is None
        command.now += 599
    assert len(server.requests) == 1
    command.now += 2
    server.routes["/none"] = gives(BODY)
    assert command().documents.get(server.url("/none"), max_age=60, absent_age=600) is not None


def test_a_document_that_the_cache_lost_is_asked_for_again(server: Any, command: Commands) -> None:
    server.routes["/m"] = gives(BODY, ETag='"1"')
    with command() as downloader:
        downloader.documents.get(server.url("/m"), max_age=60)
        document = command().documents.get(server.url("/m"), max_age=60)
        assert document is not None
        for path in (command.folder / "cache" / "files").rglob("*"):
            if path.is_file():
                path.write_bytes(b"damaged")
        assert downloader.documents.content(document) == BODY


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_trouble_that_passes_is_waited_for(server: Any, command: Commands, status: int) -> None:
    answers = iter([status, 200])

    def action(handler: Any) -> None:
        code = next(answers)
        handler.reply(code, BODY if code == 200 else b"trouble")

    server.routes["/m"] = action
    document = command().documents.get(server.url("/m"), max_age=60)
    assert document is not None
    assert document.data == BODY


def test_trouble_that_stays_ends_after_the_tries(server: Any, command: Commands) -> None:
    server.routes["/m"] = lambda handler: handler.reply(500)
    with pytest.raises(FetchError, match=r"answers 500.*tried 2 times"):
        command().documents.get(server.url("/m"), max_age=60)
    assert len(server.requests) == 2


@pytest.mark.adversary(60)
@pytest.mark.parametrize("kind", ["cut", "long", "stall", "drip"])
def test_a_body_that_does_not_come_whole_is_never_used(server: Any, command: Commands, kind: str) -> None:
    def action(handler: Any) -> None:
        length = len(BODY) + (100 if kind in ("cut", "stall") else 0)
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Length", str(length if kind != "drip" else 100_000))
        handler.end_headers()
        if kind == "drip":
            while not server.ended.wait(0.05):
                handler.wfile.write(b"x")
        else:
            handler.wfile.write(BODY)
            if kind == "stall":
                server.ended.wait(3)

    server.routes["/m"] = action
    start = time.monotonic()
    if kind == "long":  # more than was promised is not read
        document = command().documents.get(server.url("/m"), max_age=60)
        assert document is not None
        assert document.data == BODY
        return
    with pytest.raises(FetchError):
        command().documents.get(server.url("/m"), max_age=60)
    assert time.monotonic() - start < 8
    assert [use.files for use in Cache(str(command.folder / "cache")).use()] == [0, 0, 0, 0]


@pytest.mark.adversary(62)
def test_an_endless_body_ends_at_the_limit(server: Any, command: Commands) -> None:
    def action(handler: Any) -> None:
        handler.start()
        while not server.ended.is_set():
            handler.wfile.write(b"x" * 65536)

    server.routes["/m"] = action
    with pytest.raises(FetchError, match="more than 1000000 bytes"):
        command().documents.get(server.url("/m"), max_age=60, max_bytes=1_000_000)


@pytest.mark.adversary(63)
def test_a_web_page_is_no_archive(server: Any, command: Commands) -> None:
    server.routes["/m.zip"] = gives(b"<html>please log in</html>", Content_Type="text/html")
    with pytest.raises(FetchError, match="web page"):
        command().documents.get(server.url("/m.zip"), max_age=60, expect="zip")
    assert [use.files for use in Cache(str(command.folder / "cache")).use()] == [0, 0, 0, 0]


def test_redirects_in_circles_end(server: Any, command: Commands) -> None:
    server.routes["/a"] = lambda handler: handler.reply(302, Location="/b")
    server.routes["/b"] = lambda handler: handler.reply(302, Location="/a")
    with pytest.raises(FetchError, match="circles"):
        command().documents.get(server.url("/a"), max_age=60)


def test_a_name_that_is_not_known_is_asked_for_once_a_command(command: Commands) -> None:
    with command() as downloader:
        for path in ("a", "b"):
            start = time.monotonic()
            with pytest.raises(FetchError, match="is not known"):
                downloader.documents.get(f"http://no-such-host.invalid/{path}", max_age=60)
        assert time.monotonic() - start < 0.05
        assert downloader.has_failed("http://no-such-host.invalid/x")


@pytest.mark.adversary(60)
def test_a_document_that_the_server_compressed_is_inflated_whole_or_refused(
    server: Any, command: Commands
) -> None:
    """Though it was asked not to; cut inside the compressed stream it is not taken, whatever its length says."""
    packed = gzip.compress(BODY)
    server.routes["/m"] = gives(packed, Content_Encoding="gzip")
    document = command().documents.get(server.url("/m"), max_age=0)
    assert document is not None
    assert document.data == BODY
    for broken in (packed[:-9], packed[:20], b"\x1f\x8b broken"):
        server.routes["/m"] = gives(broken, Content_Encoding="gzip")
        with pytest.raises(FetchError, match="compressed"):
            command().documents.get(server.url("/m"), max_age=0)
    server.routes["/m"] = gives(gzip.compress(b"x" * 5_000_000), Content_Encoding="gzip")
    with pytest.raises(FetchError, match="more than 1000000 bytes"):
        command().documents.get(server.url("/m"), max_age=0, max_bytes=1_000_000)


def test_what_was_kept_of_an_old_state_goes(server: Any, command: Commands) -> None:
    cache = Cache(str(command.folder / "cache"))
    server.routes["/m"] = gives(BODY, ETag='"1"')
    command().documents.get(server.url("/m"), max_age=0)
    cache.keep_derived(f"{digest(BODY)}-compiled", b"x")
    server.routes["/m"] = gives(OTHER, ETag='"2"')
    command().documents.get(server.url("/m"), max_age=0)
    assert [use.files for use in cache.use()][:3] == [1, 1, 0]
    assert cache.read(digest(OTHER)) == OTHER


def test_a_local_document_is_read_when_it_changes(command: Commands) -> None:
    path = command.folder / "m"
    path.write_bytes(BODY)
    os.utime(path, (1, 1))
    command.now = time.time() + 10
    first = command().documents.get(str(path), max_age=60)
    again = command().documents.get(str(path), max_age=60)
    assert first is not None
    assert again is not None
    assert (first.data, again.data, again.sha256) == (BODY, None, digest(BODY))
    assert command().documents.content(again) == BODY
    path.write_bytes(OTHER[: len(BODY)])
    changed = command().documents.get(str(path), max_age=60)
    assert changed is not None
    assert changed.sha256 == digest(OTHER[: len(BODY)])
    assert command().documents.get(str(path) + "-none", max_age=60) is None


# Files


def test_a_released_file_is_fetched_once(server: Any, command: Commands) -> None:
    server.routes["/f"] = gives(BODY)
    for name in ("one", "two"):
        fetched = command().fetch(Wanted((server.url("/f"),), command.target(name)))
        assert (fetched.sha256, fetched.size) == (digest(BODY), len(BODY))
        assert Path(command.target(name)).read_bytes() == BODY
        command.now += 10**7
    assert len(server.requests) == 1


def test_a_known_digest_needs_no_server_at_all(server: Any, command: Commands) -> None:
    server.routes["/f"] = gives(BODY)
    command().fetch(Wanted((server.url("/f"),), command.target()))
    other = Wanted(("http://127.0.0.1:1/elsewhere",), command.target("two"), sha256=digest(BODY))
    assert command().fetch(other).sha256 == digest(BODY)


def test_a_changing_file_is_asked_for_again(server: Any, command: Commands) -> None:
    url = server.url("/f-scm-1.rockspec")
    server.routes["/f-scm-1.rockspec"] = gives(BODY)
    command().fetch(Wanted((url,), command.target(), released=False))
    server.routes["/f-scm-1.rockspec"] = gives(OTHER)
    command.now += 61
    assert command().fetch(Wanted((url,), command.target(), released=False)).sha256 == digest(OTHER)


@pytest.mark.adversary(71)
def test_a_released_file_with_other_bytes_is_refused_with_both_digests(
    server: Any, command: Commands
) -> None:
    server.routes["/f"] = gives(BODY)
    command().fetch(Wanted((server.url("/f"),), command.target()))
    Cache(str(command.folder / "cache")).clean()
    os.unlink(command.target())
    server.routes["/f"] = gives(OTHER)
    for _ in range(2):
        with pytest.raises(FetchError) as caught:
            command().fetch(Wanted((server.url("/f"),), command.target()))
        assert digest(BODY) in caught.value.message
        assert digest(OTHER) in caught.value.message
    assert command.left() == []
    server.routes["/f"] = gives(BODY)
    assert command().fetch(Wanted((server.url("/f"),), command.target())).sha256 == digest(BODY)


@pytest.mark.adversary(71)
def test_an_index_that_names_another_digest_than_was_seen_is_refused(server: Any, command: Commands) -> None:
    server.routes["/f"] = gives(BODY)
    command().fetch(Wanted((server.url("/f"),), command.target()))
    server.routes["/f"] = gives(OTHER)
    with pytest.raises(FetchError, match=digest(BODY)) as caught:
        command().fetch(Wanted((server.url("/f"),), command.target("new"), sha256=digest(OTHER)))
    assert digest(OTHER) in caught.value.message
    assert "new" not in command.left()


@pytest.mark.adversary(71)
def test_a_released_document_with_other_bytes_is_refused_until_it_is_as_before(
    server: Any, command: Commands
) -> None:
    url = server.url("/f-1.0-1.rockspec")
    server.routes["/f-1.0-1.rockspec"] = gives(BODY)
    command().documents.get_released(url, absent_age=60)
    Cache(str(command.folder / "cache")).clean()
    server.routes["/f-1.0-1.rockspec"] = gives(OTHER)
    with pytest.raises(FetchError, match=digest(OTHER)):
        command().documents.get_released(url, absent_age=60)
    server.routes["/f-1.0-1.rockspec"] = gives(BODY)
    assert command().documents.get_released(url, absent_age=60) is not None


@pytest.mark.adversary(66)
def test_a_file_that_is_not_the_indexed_one_is_never_at_its_target(server: Any, command: Commands) -> None:
    server.routes["/f"] = gives(OTHER)
    with pytest.raises(FetchError, match="not the file that was asked for"):
        command().fetch(Wanted((server.url("/f"),), command.target(), sha256=digest(BODY)))
    assert command.left() == []


def test_the_next_mirror_serves_what_the_first_does_not(
    server: Any, other_server: Any, command: Commands
) -> None:
    other_server.routes["/f"] = gives(BODY)
    urls = (server.url("/f"), other_server.url("/f"))
    assert command().fetch(Wanted(urls, command.target())).sha256 == digest(BODY)
    assert command.notes.warnings == [f"Failed downloading. Attempting mirror at {urls[1]}"]


def test_a_mirror_with_other_bytes_than_the_index_says_is_passed_over(
    server: Any, other_server: Any, command: Commands
) -> None:
    server.routes["/f"] = gives(OTHER)
    other_server.routes["/f"] = gives(BODY)
    wanted = Wanted((server.url("/f"), other_server.url("/f")), command.target(), sha256=digest(BODY))
    assert command().fetch(wanted).sha256 == digest(BODY)


def test_when_all_mirrors_fail_each_is_told(server: Any, other_server: Any, command: Commands) -> None:
    urls = (server.url("/f"), other_server.url("/f"))
    with pytest.raises(FetchError) as caught:
        command().fetch(Wanted(urls, command.target()))
    assert all(f"{url} answers 404" in caught.value.message for url in urls)


def test_many_files_come_over_few_connections_at_once(server: Any, command: Commands) -> None:
    lock = threading.Lock()
    running = most = 0
    ports = set()

    def action(handler: Any) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            ports.add(handler.client_address[1])
        time.sleep(0.01)
        with lock:
            running -= 1
        handler.reply(200, handler.path.encode())

    wanted = []
    for number in range(60):
        server.routes[f"/{number}"] = action
        wanted.append(Wanted((server.url(f"/{number}"),), command.target(str(number))))
    with command(width=6) as downloader:
        fetched = downloader.fetch_many(wanted)
    assert [each.sha256 for each in fetched] == [digest(f"/{number}".encode()) for number in range(60)]
    assert most == 6
    assert len(ports) <= 12
    assert command.notes.running == 0


def test_short_answers_leave_the_connection_open(server: Any, command: Commands) -> None:
    """A missing file, an unchanged one and a redirect: the next request needs no new connection."""
    ports = []

    def noted(action: Callable[[Any], None]) -> Callable[[Any], None]:
        def run(handler: Any) -> None:
            ports.append(handler.client_address[1])
            action(handler)

        return run

    server.routes["/none"] = noted(lambda handler: handler.reply(404, b"no such file"))
    server.routes["/m"] = noted(gives(BODY, ETag='"1"'))
    server.routes["/away"] = noted(lambda handler: handler.reply(302, b"over there", Location="/m"))
    with command() as downloader:
        for path in ("/none", "/m", "/m", "/away", "/m"):
            downloader.documents.get(server.url(path), max_age=0)
    assert len(ports) == 6
    assert len(set(ports)) == 1


def test_nobody_waits_for_the_rest_of_a_short_answer(server: Any, command: Commands) -> None:
    def action(handler: Any) -> None:
        handler.send_response(404)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        server.ended.wait(5)

    server.routes["/none"] = action
    start = time.monotonic()
    assert command(stall=4.0).documents.get(server.url("/none"), max_age=0) is None
    assert time.monotonic() - start < 3


def test_one_that_fails_is_told_and_the_others_are_there(server: Any, command: Commands) -> None:
    server.routes["/a"] = server.routes["/c"] = gives(BODY)
    wanted = [Wanted((server.url(f"/{name}"),), command.target(name)) for name in "abc"]
    results = command().attempt_many(wanted)
    assert [isinstance(result, PumiceError) for result in results] == [False, True, False]
    with pytest.raises(FetchError, match="/b answers 404"):
        command().fetch_many(wanted)


def test_local_files_are_copied_and_checked(command: Commands) -> None:
    path = command.folder / "f"
    path.write_bytes(BODY)
    assert command().fetch(Wanted((str(path),), command.target())).sha256 == digest(BODY)
    with pytest.raises(FetchError, match="not the file"):
        command().fetch(Wanted((f"file://{path}",), command.target("x"), sha256=digest(OTHER)))
    with pytest.raises(NotFoundError):
        command().fetch(Wanted((str(path) + "-none",), command.target("x")))
    path.write_bytes(OTHER)  # a directory is its owner's: what he puts there is meant
    assert command().fetch(Wanted((str(path),), command.target())).sha256 == digest(OTHER)


def test_offline_takes_what_is_there_at_any_age_and_asks_nobody(server: Any, command: Commands) -> None:
    server.routes["/f"] = gives(BODY)
    command().fetch(Wanted((server.url("/f"),), command.target()))
    command().documents.get(server.url("/f"), max_age=60)
    asked = len(server.requests)
    command.now += 10**7
    offline = command(offline=True)
    assert offline.fetch(Wanted((server.url("/f"),), command.target())).sha256 == digest(BODY)
    assert offline.documents.get(server.url("/f"), max_age=60) is not None
    with pytest.raises(FetchError, match="--offline"):
        offline.documents.get(server.url("/other"), max_age=60)
    with pytest.raises(FetchError, match="--offline"):
        offline.fetch(Wanted((server.url("/other"),), command.target()))
    assert len(server.requests) == asked


# Who is asked, and with what


def test_netrc_names_user_and_password_for_its_host_only(
    server: Any, other_server: Any, command: Commands
) -> None:
    (command.folder / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (command.folder / ".netrc").chmod(0o600)
    server.routes["/m"] = gives(BODY)
    server.routes["/away"] = lambda handler: handler.reply(
        302, Location=other_server.url("/m", host="localhost")
    )
    other_server.routes["/m"] = gives(BODY)
    with command(environment={"HOME": str(command.folder)}) as downloader:
        downloader.documents.get(server.url("/m"), max_age=0)
        downloader.documents.get(server.url("/away"), max_age=0)
    assert server.requests[0][1]["Authorization"] == "Basic bWU6c2VjcmV0"
    assert "Authorization" not in other_server.requests[0][1]
    kept = b"".join(path.read_bytes() for path in (command.folder / "cache").rglob("*") if path.is_file())
    assert b"secret" not in kept


def test_credentials_in_the_url_are_sent_and_never_written_down(server: Any, command: Commands) -> None:
    server.routes["/m"] = gives(BODY)
    url = server.url("/m").replace("127", "me:secret@127")
    command().documents.get(url, max_age=60)
    command().fetch(Wanted((url,), command.target()))
    assert server.requests[0][1]["Authorization"] == "Basic bWU6c2VjcmV0"
    cache = command.folder / "cache"
    assert b"secret" not in b"".join(path.read_bytes() for path in cache.rglob("*") if path.is_file())
    # what one user may see is not shown to another
    server.routes["/m"] = lambda handler: handler.reply(401)
    with pytest.raises(FetchError, match="401"):
        command().documents.get(server.url("/m"), max_age=60)


def test_a_proxy_of_the_environment_is_used(server: Any, command: Commands) -> None:
    server.routes["http://far.example/m"] = gives(BODY)
    with command(environment={"http_proxy": server.url("")}) as downloader:
        document = downloader.documents.get("http://far.example/m", max_age=0)
    assert document is not None
    assert document.data == BODY


def test_a_compressed_body_is_kept_as_it_is(server: Any, command: Commands) -> None:
    """Digests are of what the server has; a gzip file is not unpacked on the way."""
    packed = gzip.compress(BODY)
    server.routes["/g.gz"] = gives(packed, Content_Type="application/gzip")
    document = command().documents.get(server.url("/g.gz"), max_age=60, expect="gzip")
    assert document is not None
    assert document.data == packed
