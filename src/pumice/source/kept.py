"""Checkouts in the cache: what version control gave once is at hand for the next build, and with --offline.

A checkout is kept as the canonical tar that `pumice.lock` defines, under its digest: the rockspec, the
files with their x bits and the links of the sources; names sorted, one date, no empty directories. Which one
belongs to a rockspec and a reference is remembered beside it, with the commit.
"""

from __future__ import annotations

import os
import stat
from hashlib import file_digest

from pumice.archive.destination import Destination
from pumice.archive.member import Entry
from pumice.archive.tar_reader import open_tar
from pumice.archive.tar_writer import write_tar_gz
from pumice.base.disk import random_name
from pumice.errors import PumiceError
from pumice.net.address import shown_url
from pumice.net.cache import Answer, sha256_hex
from pumice.net.session import key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pumice.net.cache import Cache
    from pumice.rock.rockspec import Rockspec

__all__ = ["canonical_tar", "keep_checkout", "kept_commit", "restore_sources"]

_FILE, _LINK = "source/", "link/"


def canonical_tar(rockspec: Rockspec, top: str, target: str) -> str:
    """The file `target` is the canonical tar of a rockspec and its sources in `top`; gives its SHA-256.

    It is the same on every machine. Raises ArchiveError for names that no archive may have, DiskError.
    """
    write_tar_gz(target, _entries(rockspec, top))
    with open(target, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def restore_sources(cache: Cache, sha256: str, target: str) -> bool:
    """Whether the canonical tar of that digest is in the cache; its sources are then in the new `target`.

    Raises DiskError.
    """
    path = os.path.join(os.path.dirname(target), random_name("tar.gz"))
    if cache.take(sha256, path) is None:
        return False
    try:
        with open_tar(path) as tar, Destination(target) as destination:
            links = []
            for member in tar.members:
                if member.name.startswith(_FILE):
                    name = member.name.removeprefix(_FILE)
                    destination.file(name, tar.chunks(member.name), executable=member.executable)
                elif member.name.startswith(_LINK):
                    links.append(member.name)
            for link in links:  # last, so that no file can go through one
                leads_to = tar.read(link).decode("utf-8", "surrogateescape")
                destination.symlink(link.removeprefix(_LINK), leads_to)
    finally:
        os.unlink(path)
    return True


def kept_commit(cache: Cache, rockspec: Rockspec, reference: str | None, target: str) -> tuple[bool, str]:
    """Whether the cache has the checkout of a reference, and its commit; it is then in the new `target`."""
    answer = cache.answer(_key(rockspec, reference))
    if answer is None or not restore_sources(cache, answer.sha256, target):
        return False, ""
    return True, answer.etag


def keep_checkout(
    cache: Cache, rockspec: Rockspec, reference: str | None, checkout: str, commit: str | None, now: float
) -> None:
    """The checkout of a reference is in the cache, if it can be."""
    target = os.path.join(os.path.dirname(checkout), random_name("tar.gz"))
    try:
        digest = canonical_tar(rockspec, checkout, target)
        open_tar(target).close()  # one that is too large to be read again is not kept
        cache.keep(target, digest)
        answer = Answer(shown_url(rockspec.source.url), digest, commit or "", "", now)
        cache.remember(_key(rockspec, reference), answer)
    except PumiceError:
        return
    finally:
        if os.path.exists(target):
            os.unlink(target)


def _key(rockspec: Rockspec, reference: str | None) -> str:
    """The rockspec as a whole counts: it is part of the tar, and says whether there are submodules."""
    return key_of(f"{rockspec.source.fetch_url}#{reference or ''}#{sha256_hex(rockspec.text)}")


def _entries(rockspec: Rockspec, top: str) -> Iterator[Entry]:
    yield Entry("rockspec", lambda: rockspec.text)
    for place, directories, names in os.walk(top):
        for name in (*directories, *names):
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            inner = os.path.relpath(path, top)
            if stat.S_ISLNK(mode):
                yield Entry(_LINK + inner, _reading(path, link=True))
            elif stat.S_ISREG(mode):
                yield Entry(_FILE + inner, _reading(path), bool(mode & stat.S_IXUSR))


def _reading(path: str, *, link: bool = False) -> Callable[[], bytes]:
    """What reads a file, or where a link leads, when its turn has come."""

    def read() -> bytes:
        if link:
            return os.readlink(path).encode("utf-8", "surrogateescape")
        with open(path, "rb") as file:
            return file.read()

    return read
