"""The cache: files by their SHA-256, and what servers answered for which URL; shared by processes.

    files/a/<sha256>     contents, whoever they came from
    answers/a/<key>      per URL: which content it had, its validators, when it was asked for last
    seen/a/<key>         per URL of a released file: the digest that it had when it was first seen
    derived/<name>        what was computed from a content, named after its digest

Nothing in it is ever changed in place: files appear by `rename` or `link`, complete, and are checked against
their digest whenever they are read, so no process waits for another and a power cut does no harm. Whoever
uses a file has it under a name of his own, so `clean` may run at any time. A cache that cannot be written is
none: nothing here raises for a full or read-only disk.
"""

from __future__ import annotations

import os

from pumice.base.disk import copy_file, random_name, write_all
from pumice.base.value import Value
from pumice.errors import PumiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib
    from hashlib import sha256 as small_sha256
    from typing import Self
else:
    try:
        from _sha256 import sha256 as small_sha256
    except ImportError:
        from hashlib import sha256 as small_sha256

__all__ = ["Answer", "Cache", "CacheUse", "new_sha256", "sha256_hex"]

_HEAD = "pumice-answer 1"
_CHUNK = 1 << 20
_PARTS = ("files", "answers", "derived")
_KEPT = "seen"
ABSENT = "absent"


class Answer(Value):
    """What a URL answered when it was last asked."""

    url: str
    """Without credentials; only for people."""
    sha256: str
    """The digest of its content, or `absent`: the server has no such file."""
    etag: str
    last_modified: str
    checked: float
    """When the server last said so, by this machine's clock."""

    @property
    def absent(self) -> bool:
        """The server has no such file."""
        return self.sha256 == ABSENT

    def is_fresh(self, now: float, max_age: float) -> bool:
        """Whether it is young enough; one from the future is not, as the clock has been moved."""
        return 0 <= now - self.checked < max_age

    def to_bytes(self) -> bytes:
        """Seven lines."""
        fields = (self.url, self.sha256, self.etag, self.last_modified, f"{self.checked:.3f}")
        text = "\n".join((_HEAD, *[" ".join(field.splitlines()) for field in fields], "end\n"))
        return text.encode("utf-8", "surrogateescape")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self | None:
        """The answer, or None for a text that is none or is cut short."""
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        if len(lines) != 8 or lines[0] != _HEAD or lines[6] != "end":
            return None
        try:
            checked = float(lines[5])
        except ValueError:
            return None
        if lines[2] != ABSENT and not _is_digest(lines[2]):
            return None
        return cls(lines[1], lines[2], lines[3], lines[4], checked)


class CacheUse(Value):
    """How much a part of the cache holds."""

    part: str
    files: int
    size: int


class Cache:
    """The cache in `directory`, which is made when something is first kept."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._usable = bool(directory)

    # Contents

    def take(self, sha256: str, target: str) -> int | None:
        """The size of the content `sha256`, which is now at `target` (replaced if it was there), or None.

        Raises DiskError or PermissionDenied when `target` cannot be written.
        """
        path = self._file(sha256)
        size = self._verified(path, sha256)
        if size is None:
            return None
        draft = os.path.join(os.path.dirname(target), random_name("part"))
        try:
            try:
                os.link(path, draft)
            except FileNotFoundError:  # cleaned away just now
                return None
            except OSError:
                copy_file(path, draft)
                if self._verified(draft, sha256, remove=False) is None:
                    return None
            os.rename(draft, target)
        finally:
            _forget(draft)
        return size

    def read(self, sha256: str) -> bytes | None:
        """The content `sha256`, or None if it is not there (any more)."""
        path = self._file(sha256)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        if sha256_hex(data) != sha256:
            _forget(path)
            return None
        return data

    def has(self, sha256: str) -> bool:
        """Whether there is a file for this content; only reading it tells whether it is whole."""
        return os.path.exists(self._file(sha256))

    def keep(self, path: str, sha256: str) -> None:
        """The content of the file at `path`, whose digest is known, is in the cache if it can be."""
        target = self._file(sha256)
        if not self._usable or os.path.exists(target):
            return
        draft = os.path.join(os.path.dirname(target), random_name("part"))
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            try:
                os.link(path, draft)
            except OSError:
                copy_file(path, draft)
            os.rename(draft, target)
        except (OSError, PumiceError):
            self._usable = False
        finally:
            _forget(draft)

    def keep_bytes(self, data: bytes, sha256: str) -> None:
        """The content `data`, whose digest is known, is in the cache if it can be."""
        self._write(self._file(sha256), data)

    def drop(self, sha256: str) -> None:
        """The content `sha256` is out of date: it goes, and what was computed from it."""
        _forget(self._file(sha256))
        folder = os.path.join(self.directory, "derived")
        try:
            names = os.listdir(folder)
        except OSError:
            return
        for name in names:
            if name.startswith(sha256):
                _forget(os.path.join(folder, name))

    # Answers

    def answer(self, key: str) -> Answer | None:
        """What is known of the URL with this key."""
        data = _contents(self._place("answers", key))
        return None if data is None else Answer.from_bytes(data)

    def remember(self, key: str, answer: Answer) -> None:
        """`answer` is what is known of the URL with this key from now on."""
        self._write(self._place("answers", key), answer.to_bytes())

    def forget_answer(self, key: str) -> None:
        """Nothing is known of the URL with this key."""
        _forget(self._place("answers", key))

    # Digests of released files

    def seen(self, key: str) -> str | None:
        """The digest that the released file with this key had when it was first seen here."""
        data = _contents(self._place(_KEPT, key))
        text = (data or b"").decode("ascii", "replace").split("\n", 1)[0]
        return text if _is_digest(text) else None

    def mark_seen(self, key: str, sha256: str, url: str) -> None:
        """The released file with this key has been seen with this digest. The first one stays."""
        path = self._place(_KEPT, key)
        if not os.path.exists(path):
            self._write(path, f"{sha256}\n{url}\n".encode("utf-8", "surrogateescape"))

    def forget_seen(self, key: str) -> None:
        """The next content of the file with this key is believed."""
        _forget(self._place(_KEPT, key))

    # What is computed from contents

    def derived_path(self, name: str) -> str:
        """Where the derived form `name` is, if it is there; it may be opened, never written."""
        return os.path.join(self.directory, "derived", name)

    def keep_derived(self, name: str, data: bytes) -> None:
        """The derived form `name` is in the cache if it can be."""
        self._write(self.derived_path(name), data)

    # Care

    def use(self) -> tuple[CacheUse, ...]:
        """How much each part holds."""
        found = []
        for part in (*_PARTS, _KEPT):
            files = [status.st_size for _, status in self._listed(part)]
            found.append(CacheUse(part, len(files), sum(files)))
        return tuple(found)

    def clean(self, *, everything: bool = False, before: float | None = None) -> CacheUse:
        """Removes what can be fetched again, and with `everything` also which digests have been seen.

        `before`: only what was put there before that time. Safe beside commands that use the cache: they
        have what they need under names of their own.
        """
        count = freed = 0
        for part in (*_PARTS, _KEPT) if everything else _PARTS:
            for path, status in self._listed(part):
                if before is not None and status.st_mtime >= before:
                    continue
                try:
                    os.unlink(path)
                except OSError:
                    continue
                count += 1
                freed += status.st_size
        return CacheUse("all", count, freed)

    def _listed(self, part: str) -> list[tuple[str, os.stat_result]]:
        found = []
        for folder, _, names in os.walk(os.path.join(self.directory, part)):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    found.append((path, os.lstat(path)))
                except OSError:
                    continue
        return found

    def _verified(self, path: str, sha256: str, *, remove: bool = True) -> int | None:
        """The size of the file at `path` if it has that digest; a damaged one is removed."""
        size = 0
        try:
            with open(path, "rb") as file:
                digest = new_sha256(os.fstat(file.fileno()).st_size)
                while piece := file.read(_CHUNK):
                    digest.update(piece)
                    size += len(piece)
        except OSError:
            return None
        if digest.hexdigest() == sha256:
            return size
        if remove:
            _forget(path)
        return None

    def _write(self, path: str, data: bytes) -> None:
        if not self._usable:
            return
        draft = os.path.join(os.path.dirname(path), random_name("part"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            try:
                descriptor = os.open(draft, flags, 0o644)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                descriptor = os.open(draft, flags, 0o644)
            try:
                write_all(descriptor, data)
            finally:
                os.close(descriptor)
            os.rename(draft, path)
        except OSError:
            self._usable = False
            _forget(draft)

    def _file(self, sha256: str) -> str:
        return self._place("files", sha256)

    def _place(self, part: str, key: str) -> str:
        return f"{self.directory}/{part}/{key[:1]}/{key}"


def sha256_hex(data: bytes) -> str:
    """The digest of `data`; of a small one without the import of OpenSSL."""
    digest = new_sha256(len(data))
    digest.update(data)
    return digest.hexdigest()


def new_sha256(size: int | None) -> hashlib._Hash:
    """Digests so many bytes (None: who knows); few of them without importing OpenSSL, which takes 12 ms."""
    if size is None or size > _CHUNK:
        from hashlib import sha256

        return sha256()
    return small_sha256()


def _is_digest(text: str) -> bool:
    return len(text) == 64 and not text.strip("0123456789abcdef")


def _contents(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16)
    except OSError:
        return None


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
