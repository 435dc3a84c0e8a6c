"""Pumice's own index of a server, asked: the graph where it is small, else one small record for each name.

The head (`pumice-index.json`) is the one conditional request of a command; it names the graph by its digest,
so an unchanged graph is not asked for at all, and a graph and a head never come from different states.
"""

from __future__ import annotations

import zlib

from pumice.errors import DataError, FetchError, PumiceError
from pumice.index.lines import SortedLines, format_lines, open_lines, parse_lines
from pumice.index.record import HEAD_FILE, parse_head, parse_record, record_path
from pumice.rock.filename import is_safe_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pumice.index.record import Graph, Head
    from pumice.index.release import Entry
    from pumice.index.servers import Mirror
    from pumice.net.downloader import Downloader

__all__ = ["OwnListing", "open_own"]

_KIND = "graph-1"
_HEAD_ABSENT_AGE = 3600.0
_LARGEST_HEAD = 1 << 20
_LARGEST_RECORD = 16 << 20
_LARGEST_GRAPH = 1 << 30
_SMALL_GRAPH = 512 << 10
"""Up to this compressed size the graph is fetched even for one question: some 100,000 versions."""
_FOREVER = float("inf")


class OwnListing:
    """What the index of a server lists. Made by `open_own`."""

    def __init__(
        self, mirror: Mirror, head: Head, platforms: tuple[str, ...], downloader: Downloader, max_age: float
    ) -> None:
        self.mirror = mirror
        self.exclusive = head.exclusive
        self._head = head
        self._platforms = platforms
        self._downloader = downloader
        self._max_age = max_age
        self._graph: SortedLines | None = None
        self._records: dict[str, list[Entry]] = {}
        if head.graph is not None and (head.graph.size <= _SMALL_GRAPH or head.records is None):
            self._graph = self._opened(head.graph)

    def entries(self, name: str) -> Sequence[Entry]:
        """Every version of that rock. Raises FetchError, DataError."""
        if self._graph is None:
            return self.with_digests(name)
        record = self._graph.find(name)
        return [] if record is None else parse_record(record, name, self.mirror.shown, self._platforms)

    def with_digests(self, name: str) -> Sequence[Entry]:
        """The same, from the sparse record if only that has digests. Raises FetchError, DataError."""
        graph, template = self._head.graph, self._head.records
        if template is None or (self._graph is not None and graph is not None and graph.has_digests):
            return self.entries(name)
        found = self._records.get(name)
        if found is None:
            found = self._records[name] = self._record(template, name)
        return found

    def names(self) -> Iterator[str]:
        """The names of all rocks. Raises FetchError, DataError."""
        if self._graph is None:
            if self._head.graph is None:
                raise DataError(
                    f"{self.mirror.shown} has no list of its rocks, only records by name",
                    hint="name the rock in full",
                )
            self._graph = self._opened(self._head.graph)
        return (name for name, _ in self._graph)

    def announce(self, names: Collection[str], *, digests: bool = False) -> None:
        """The records of these names are fetched together."""
        graph, template = self._head.graph, self._head.records
        if template is None or (
            self._graph is not None and not (digests and graph and not graph.has_digests)
        ):
            return
        missing = [name for name in names if name not in self._records]

        def task(name: str, template: str) -> Callable[[], list[Entry]]:
            return lambda: self._record(template, name)

        results = self._downloader.together([task(name, template) for name in missing])
        for name, result in zip(missing, results, strict=True):
            if not isinstance(result, PumiceError):  # who asks for it will meet the error
                self._records[name] = result

    def _record(self, template: str, name: str) -> list[Entry]:
        from urllib.parse import quote

        path = record_path(template, name)
        url = self.mirror.url(path if self.mirror.is_local else quote(path, errors="surrogateescape"))
        document = self._downloader.documents.get(url, max_age=self._max_age, max_bytes=_LARGEST_RECORD)
        if document is None:
            return []
        data = self._downloader.documents.content(document)
        return parse_record(data, name, self.mirror.shown, self._platforms)

    def _opened(self, graph: Graph) -> SortedLines:
        """The graph in its local form, fetched if need be. Raises FetchError, DataError."""
        cache = self._downloader.cache
        derived = f"{graph.sha256}-{_KIND}"
        lines = open_lines(cache.derived_path(derived), _KIND)
        if lines is not None:
            return lines
        url = self.mirror.url(graph.path)
        document = self._downloader.documents.get(url, max_age=_FOREVER, sha256=graph.sha256, expect="gzip")
        if document is None:
            raise FetchError(
                f"{self.mirror.shown} names an index, {graph.path}, that it does not have",
                hint="repeat the command; if that does not help, tell whoever runs the server",
            )
        text = format_lines(_KIND, self._divided(self._downloader.documents.content(document), graph.path))
        cache.keep_derived(derived, text)
        lines = parse_lines(text, _KIND)
        if lines is None:
            raise ValueError("a graph was compiled wrongly")
        return lines

    def _divided(self, data: bytes, path: str) -> list[tuple[bytes, bytes]]:
        import json

        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        problem = f"the index {path} of {self.mirror.shown} is broken"
        records = []
        try:
            text = inflate.decompress(data, _LARGEST_GRAPH)
            if inflate.unconsumed_tail or not inflate.eof:
                raise DataError(problem, hint="tell whoever runs the server")
            for line in text.splitlines():
                name = json.loads(line)["name"]
                if not is_safe_name(name):
                    raise DataError(problem, hint="tell whoever runs the server")
                records.append((name.encode("utf-8", "surrogateescape"), line))
        except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(problem, hint="tell whoever runs the server") from error
        return records


def open_own(
    mirror: Mirror, platforms: tuple[str, ...], downloader: Downloader, max_age: float
) -> OwnListing | None:
    """The index of a server, or None if it has none. Raises FetchError, DataError."""
    document = downloader.documents.get(
        mirror.url(HEAD_FILE), max_age=max_age, absent_age=_HEAD_ABSENT_AGE, max_bytes=_LARGEST_HEAD
    )
    if document is None:
        return None
    head = parse_head(downloader.documents.content(document), mirror.shown)
    return OwnListing(mirror, head, platforms, downloader, max_age)
