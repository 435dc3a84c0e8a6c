"""What was learnt of a program by running it: kept by its path, and true while its size and time stay."""

from __future__ import annotations

import os

__all__ = ["Memory"]


class Memory:
    """A file of tab-separated lines in the cache: path, size, time, and `width` answers.

    Where the cache cannot be read or written everything is learnt again: it is never an error.
    """

    def __init__(self, cache_dir: str, name: str, width: int) -> None:
        self._file = os.path.join(cache_dir, name)
        self._fields = width + 3

    def recall(self, path: str, status: os.stat_result) -> tuple[str, ...] | None:
        """The answers of this program as it is now; None if they are not known."""
        key = _key(path, status)
        for record in self._records():
            if record[:3] == key:
                return record[3:]
        return None

    def keep(self, path: str, status: os.stat_result, answers: tuple[str, ...]) -> None:
        """Remember the answers, and forget what was known of an earlier file at this path."""
        record = _key(path, status) + answers
        if any(mark in field for field in record for mark in "\t\n\r"):
            return
        records = [known for known in self._records() if known[0] != path]
        draft = f"{self._file}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(self._file), exist_ok=True)
            with open(draft, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines("\t".join(each) + "\n" for each in [*records, record])
            os.replace(draft, self._file)
        except OSError:
            pass

    def _records(self) -> list[tuple[str, ...]]:
        try:
            with open(self._file, encoding="utf-8", errors="surrogateescape") as file:
                records = [tuple(line.rstrip("\n").split("\t")) for line in file]
        except OSError:
            return []
        return [record for record in records if len(record) == self._fields]


def _key(path: str, status: os.stat_result) -> tuple[str, ...]:
    return path, str(status.st_size), str(status.st_mtime_ns)
