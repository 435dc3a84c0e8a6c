"""What the cache holds is told, and it can be emptied."""

import os
import time
from pathlib import Path

import pytest

from pumice.base.config import Config, TreeSpec
from pumice.net.cache import Cache, sha256_hex
from pumice.operation.cache import clean_cache, report_cache


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration whose cache is not there yet."""
    tree = TreeSpec.at(str(tmp_path / "tree"), "5.1")
    return Config(
        lua_version="5.1",
        tree=tree,
        trees=(tree,),
        arch="linux-x86_64",
        platforms=("unix", "linux"),
        variables={},
        home=str(tmp_path),
        sysconfdir="/etc/luarocks",
        cache_dir=str(tmp_path / "cache"),
        cwd=str(tmp_path),
        environment={},
    )


def fill(config: Config) -> str:
    """Something in every part; gives the digest of the file."""
    cache = Cache(config.cache_dir)
    digest = sha256_hex(b"contents")
    cache.keep_bytes(b"contents", digest)
    cache.mark_seen("ab" * 32, digest, "http://localhost/a")
    cache.keep_derived(f"{digest}-facts", b"12345")
    rocks = Path(config.cache_dir) / "rocks" / "a-1.0-1" / "0123"
    rocks.mkdir(parents=True)
    (rocks / "a-1.0-1.all.rock").write_bytes(b"rock")
    return digest


def sizes(config: Config) -> dict[str, tuple[int, int]]:
    """Files and bytes by part."""
    return {part.part: (part.files, part.size) for part in report_cache(config).parts}


def test_a_cache_that_is_not_there_holds_nothing_and_is_not_made(config: Config) -> None:
    assert report_cache(config).files == report_cache(config).size == 0
    assert clean_cache(config).files == 0
    assert not os.path.exists(config.cache_dir)


def test_each_part_is_counted(config: Config) -> None:
    fill(config)
    counted = sizes(config)
    assert counted["files"] == (1, 8)
    assert counted["derived"] == (1, 5)
    assert counted["rocks"] == (1, 4)
    assert counted["seen"][0] == 1
    assert report_cache(config).size == sum(size for _, size in counted.values())


def test_cleaning_keeps_the_digests_of_released_files(config: Config) -> None:
    digest = fill(config)
    before = report_cache(config)
    cleaned = clean_cache(config)
    left = sizes(config)
    assert left.pop("seen")[0] == 1
    assert set(left.values()) == {(0, 0)}
    assert cleaned.size == before.size - report_cache(config).size
    assert Cache(config.cache_dir).seen("ab" * 32) == digest


def test_cleaning_everything_forgets_them_too(config: Config) -> None:
    fill(config)
    clean_cache(config, everything=True)
    assert report_cache(config).files == 0


def test_only_old_files_go_if_asked(config: Config) -> None:
    digest = fill(config)
    rock = Path(config.cache_dir) / "rocks" / "a-1.0-1" / "0123" / "a-1.0-1.all.rock"
    old = time.time() - 100
    os.utime(rock, (old, old))
    assert clean_cache(config, older_than=1000).files == 0
    assert clean_cache(config, older_than=50).files == 1
    assert not rock.exists()
    assert not (Path(config.cache_dir) / "rocks").exists()
    assert Cache(config.cache_dir).read(digest) == b"contents"


def test_what_lies_beside_the_cache_s_own_files_stays(config: Config) -> None:
    fill(config)
    mine = Path(config.cache_dir) / "mine.txt"
    mine.write_text("keep me")
    clean_cache(config, everything=True)
    assert mine.read_text() == "keep me"
