"""What came over the network once is at hand for the next build, and for `--offline`."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pumice.base.config import Config
from pumice.base.progress import Silent
from pumice.errors import FetchError
from pumice.net.cache import Cache
from pumice.rock.rockspec import Rockspec, load_rockspec
from pumice.source.kept import canonical_tar, restore_sources
from pumice.source.source import FetchedSource, fetch_source


class Place:
    """Fetches the same rockspec again and again, each time into a new directory."""

    def __init__(self, config: Config, folder: Path, source: str, version: str) -> None:
        self.config = config
        self.folder = folder
        text = f'rockspec_format = "3.0" package = "sample" version = "{version}" source = {{ {source} }} '
        text += 'build = { type = "none" }'
        name = f"sample-{version}.rockspec"
        self.rockspec: Rockspec = load_rockspec(text.encode(), name, ("linux", "unix"))

    def fetch(self, **more: Any) -> FetchedSource:
        into = self.folder / f"into-{os.urandom(4).hex()}"
        into.mkdir()
        return fetch_source(self.rockspec, str(into), self.config, Silent(), **more)

    def text(self, **more: Any) -> str:
        directory = self.fetch(**more).dir
        assert directory is not None
        return (Path(directory) / "a.lua").read_text()


@pytest.fixture
def place(fetcher: Any, tmp_path: Path) -> Any:
    """Makes places: (source, version)."""
    return lambda source, version="1.0-1": Place(fetcher.config(), tmp_path, source, version)


@pytest.fixture
def served(repository: Any, tmp_path: Path, server: str) -> Any:
    """A repository on an http server: its URL, and what brings the server up to date."""
    folder = tmp_path / "served" / "repo.git"

    def publish() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        repository.git("clone", "-q", "--bare", str(repository.path), str(folder))
        bare = ["--git-dir", str(folder), "update-server-info"]
        repository.git(*bare)

    return f"git+{server}/repo.git", repository, publish


def test_an_archive_is_asked_for_once_and_serves_offline(place: Any, archive: Any, server: str) -> None:
    path = archive("s-1.tar.gz", {"s/a.lua": "first"})
    here = place(f'url = "{server}/s-1.tar.gz"')
    with pytest.raises(FetchError, match="not in the cache, and --offline forbids"):
        here.fetch(offline=True)
    assert here.text() == "first"
    path.unlink()
    assert here.text() == here.text(offline=True) == "first"
    archive("s-1.tar.gz", {"s/a.lua": "second"})
    assert here.text() == "first"
    assert here.text(fresh=True) == "second"
    assert here.text() == "second"


def test_an_archive_of_a_line_of_development_is_asked_for_each_time(
    place: Any, archive: Any, server: str
) -> None:
    archive("s-1.tar.gz", {"s/a.lua": "first"})
    here = place(f'url = "{server}/s-1.tar.gz"', "scm-1")
    assert here.text() == "first"
    path = archive("s-1.tar.gz", {"s/a.lua": "second"})
    assert here.text() == "second"
    path.unlink()
    assert here.text(offline=True) == "second"


def test_an_older_archive_with_another_md5_is_asked_for_again(place: Any, archive: Any, server: str) -> None:
    import hashlib

    archive("s-1.tar.gz", {"s/a.lua": "first"})
    assert place(f'url = "{server}/s-1.tar.gz"').text() == "first"
    path = archive("s-1.tar.gz", {"s/a.lua": "second"})
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    here = place(f'url = "{server}/s-1.tar.gz", md5 = "{md5}"')
    with pytest.raises(FetchError, match="MD5"):
        here.fetch(offline=True)
    assert here.text() == "second"


def test_a_damaged_archive_in_the_cache_is_never_used(
    place: Any, archive: Any, server: str, tmp_path: Path
) -> None:
    path = archive("s-1.tar.gz", {"s/a.lua": "first"})
    here = place(f'url = "{server}/s-1.tar.gz"')
    here.fetch()
    path.unlink()
    (kept,) = (tmp_path / "cache" / "files").glob("*/*")
    kept.chmod(0o644)
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(FetchError):
        here.fetch(offline=True)


@pytest.mark.peer
def test_a_checkout_of_a_tag_is_asked_for_once_and_serves_offline(place: Any, served: Any) -> None:
    url, repository, publish = served
    first = repository.commit({"a.lua": "first", "bin/run": "#!/bin/sh\n", "sub/deep/b": "b"})
    (repository.path / "bin/run").chmod(0o755)
    (repository.path / "link").symlink_to("sub/deep/b")
    first = repository.commit({})
    repository.git("tag", "v1")
    publish()
    here = place(f'url = "{url}", tag = "v1"')
    with pytest.raises(FetchError, match="not at hand"):
        here.fetch(offline=True)
    assert here.fetch().commit == first
    shutil.rmtree(here.folder / "served" / "repo.git")
    for again in (here.fetch(), here.fetch(offline=True)):
        assert again.commit == first and again.dir is not None
        root = Path(again.dir)
        found = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
        assert found >= {"a.lua", "bin/run", "link", "sub/deep/b"}
        assert (root / "bin/run").stat().st_mode & 0o111 and not (root / "a.lua").stat().st_mode & 0o111
        assert (root / "link").readlink() == Path("sub/deep/b")
    with pytest.raises(FetchError):
        here.fetch(fresh=True)


@pytest.mark.peer
@pytest.mark.parametrize(("reference", "version"), [("", "1.0-1"), (', tag = "v1"', "scm-1")])
def test_what_may_move_is_asked_for_each_time(place: Any, served: Any, reference: str, version: str) -> None:
    url, repository, publish = served
    repository.commit({"a.lua": "first"})
    repository.git("tag", "v1")
    publish()
    here = place(f'url = "{url}"{reference}', version)
    assert here.text() == "first"
    repository.commit({"a.lua": "second"})
    repository.git("tag", "-f", "v1")
    assert here.text(offline=True) == "first"
    publish()
    assert here.text() == "second"
    assert here.text(offline=True) == "second"


def test_a_canonical_tar_gives_back_what_went_in_and_its_digest_is_checked(
    tmp_path: Path, place: Any
) -> None:
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").write_bytes(b"x" * 100_000)
    (top / "a" / "\udcff").write_bytes(b"")
    (top / "dangling").symlink_to("/nowhere/at/all")
    rockspec = place('url = "http://localhost/x.zip"').rockspec
    digest = canonical_tar(rockspec, str(top), str(tmp_path / "tar"))
    cache = Cache(str(tmp_path / "cache"))
    cache.keep(str(tmp_path / "tar"), digest)
    back = tmp_path / "back"
    assert restore_sources(cache, digest, str(back))
    assert canonical_tar(rockspec, str(back), str(tmp_path / "tar2")) == digest
    assert not restore_sources(cache, "0" * 64, str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
