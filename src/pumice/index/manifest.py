"""A server's manifest for a Lua version: found, fetched, compiled, and asked for one rock at a time.

Looked for in the order of contract 6.3: zip first, then as it is; JSON, which LuaRocks 3.13 reads on LuaJIT,
comes last here, since nothing is executed that could be too large for it. What is kept of a manifest is its
compiled form, named after the digest of what the server sent: a question about one rock reads one file.
"""

from __future__ import annotations

from pumice.errors import FetchError, ManifestError, PumiceError
from pumice.index.lines import SortedLines, format_lines, open_lines, parse_lines
from pumice.index.release import Entry, File

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pumice.index.servers import Mirror
    from pumice.net.documents import Document
    from pumice.net.downloader import Downloader

__all__ = ["ManifestListing", "open_manifest"]

_KIND = "manifest-1"
_LARGEST = 256 << 20


class ManifestListing:
    """What a manifest lists. Made by `open_manifest`."""

    exclusive = False

    def __init__(self, mirror: Mirror, lines: SortedLines) -> None:
        self.mirror = mirror
        self._lines = lines

    def entries(self, name: str) -> Sequence[Entry]:
        """Every version of that rock."""
        from pumice.index.manifest_text import parse_record

        record = self._lines.find(name)
        if record is None:
            return ()
        return [
            Entry(version, tuple([File(arch) for arch in archs]))
            for version, archs in parse_record(record).items()
        ]

    def with_digests(self, name: str) -> Sequence[Entry]:
        """The same: a manifest has none."""
        return self.entries(name)

    def names(self) -> Iterator[str]:
        """The names of all rocks."""
        return (name for name, _ in self._lines)

    def announce(self, names: Collection[str], *, digests: bool = False) -> None:
        """Nothing needs to be fetched."""


def open_manifest(
    mirror: Mirror, lua_version: str, downloader: Downloader, max_age: float
) -> ManifestListing:
    """The manifest of a mirror. Raises FetchError, ManifestError."""
    base = f"manifest-{lua_version}"
    failure: PumiceError | None = None
    for file in (f"{base}.zip", base, f"{base}.json"):
        try:
            document = downloader.documents.get(
                mirror.url(file),
                max_age=max_age,
                expect="zip" if file.endswith(".zip") else None,
                max_bytes=_LARGEST,
            )
            if document is not None:
                return ManifestListing(mirror, _lines(document, file, base, mirror, downloader))
        except (FetchError, ManifestError) as error:
            failure = failure or error
            if downloader.has_failed(mirror.base):
                break
    if failure is not None:
        raise failure
    where = "the directory" if mirror.is_local else "the server"
    raise FetchError(
        f"{mirror.shown} has no {base}",
        hint=f"check the URL; if {where} is yours, 'pumice index build' or 'luarocks-admin make_manifest' "
        "writes its manifests",
    )


def _lines(document: Document, file: str, member: str, mirror: Mirror, downloader: Downloader) -> SortedLines:
    cache = downloader.cache
    derived = f"{document.sha256}-{_KIND}"
    lines = open_lines(cache.derived_path(derived), _KIND)
    if lines is not None:
        return lines
    from pumice.index.manifest_text import compiled, read_json_manifest, read_manifest

    data = downloader.documents.content(document)
    if file.endswith(".zip"):
        data = _unzipped(data, file, member, mirror)
    read = read_json_manifest if file.endswith(".json") else read_manifest
    text = format_lines(_KIND, compiled(read(data, mirror.shown)))
    cache.keep_derived(derived, text)
    lines = parse_lines(text, _KIND)
    if lines is None:
        raise ValueError("a manifest was compiled wrongly")
    return lines


def _unzipped(data: bytes, file: str, member: str, mirror: Mirror) -> bytes:
    """The manifest in a zip, which is read as any hostile archive. Raises ManifestError."""
    from tempfile import NamedTemporaryFile

    from pumice.archive.member import Limits
    from pumice.archive.zip_reader import open_zip

    with NamedTemporaryFile(suffix=f"-{file}") as temporary:
        temporary.write(data)
        temporary.flush()
        try:
            with open_zip(temporary.name, Limits(_LARGEST, _LARGEST, 100)) as archive:
                return archive.read(member)
        except PumiceError as error:
            problem = error.message.replace(temporary.name, f"{mirror.shown}/{file}")
            raise ManifestError(
                f"Failed extracting manifest file: {problem}", hint="tell whoever runs the server"
            ) from error
