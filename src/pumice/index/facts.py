"""What a version needs, from its rockspec: fetched once, evaluated once, and kept as a few lines of text.

A rockspec that was released never changes, so its address is asked once. What was read from it is kept in
the cache under the digest of the rockspec and the platform: solving again runs no Lua at all.
"""

from __future__ import annotations

from zlib import crc32

from pumice.errors import ArchiveError, DataError, FetchError, NotFoundError, PumiceError
from pumice.index.release import Facts
from pumice.net.cache import Answer, sha256_hex
from pumice.net.session import key_of
from pumice.rock.dependency import parse_dependency
from pumice.rock.filename import rockspec_filename
from pumice.rock.version import is_changing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pumice.index.release import Candidate, Offer
    from pumice.net.documents import Document
    from pumice.net.downloader import Downloader, Wanted
    from pumice.rock.dependency import Dependency

__all__ = ["facts_of"]

_KIND = b"pumice-facts 1 "
_CHANGING_AGE = 60.0
_LARGEST_ROCKSPEC = 1 << 20
_FOREVER = float("inf")
_GROUP, _UNIT = "\x1d", "\x1f"


def facts_of(candidate: Candidate, platforms: tuple[str, ...], downloader: Downloader) -> Facts:
    """What the rockspec of the candidate says.

    It is taken from the server, or else from within the smallest rock there is. Raises FetchError,
    NotFoundError, RockspecError and other DataErrors.
    """
    for offer in candidate.offers:
        if offer.arch == "rockspec":
            return _of_document(_rockspec(candidate, offer, downloader), candidate, platforms, downloader)
    offer = candidate.best
    if offer.sha256 is not None:
        # The rock's digest stands for that of the rockspec in it.
        return _remembered(
            offer.sha256, candidate, platforms, downloader, lambda: _from_rock(candidate, offer, downloader)
        )
    data = _from_rock(candidate, offer, downloader)
    return _remembered(sha256_hex(data), candidate, platforms, downloader, lambda: data)


def _of_document(
    document: Document, candidate: Candidate, platforms: tuple[str, ...], downloader: Downloader
) -> Facts:
    return _remembered(
        document.sha256, candidate, platforms, downloader, lambda: downloader.documents.content(document)
    )


def _rockspec(candidate: Candidate, offer: Offer, downloader: Downloader) -> Document:
    documents = downloader.documents
    changing = is_changing(candidate.version)
    failure: PumiceError | None = None
    for url in offer.urls:
        try:
            if changing:
                document = documents.get(
                    url, max_age=_CHANGING_AGE, max_bytes=_LARGEST_ROCKSPEC, sha256=offer.sha256
                )
            else:
                document = documents.get_released(
                    url, absent_age=_CHANGING_AGE, max_bytes=_LARGEST_ROCKSPEC, sha256=offer.sha256
                )
        except FetchError as error:
            failure = failure or error
            continue
        if document is not None:
            return document
    raise failure or NotFoundError(
        f"{candidate.name} {candidate.version} is listed by {offer.server}, which has no rockspec of it",
        hint="tell whoever runs the server",
    )


def _from_rock(candidate: Candidate, offer: Offer, downloader: Downloader) -> bytes:
    """The rockspec inside a rock, of which no more is fetched than needed where the server gives parts."""
    from tempfile import TemporaryDirectory

    from pumice.archive.zip_reader import open_zip
    from pumice.net.downloader import Wanted

    name = rockspec_filename(candidate.name, candidate.version)
    released = not is_changing(candidate.version)
    with TemporaryDirectory(prefix="pumice-index-") as folder:
        path = f"{folder}/rock"
        wanted = Wanted(offer.urls, path, sha256=offer.sha256, expect="zip", released=released)
        data = _from_parts(wanted, name, downloader)
        if data is not None:
            return data
        downloader.fetch(wanted)
        with open_zip(path) as archive:
            for member in archive.members:
                if member.kind == "file" and member.name == name:
                    return archive.read(member.name)
    raise DataError(
        f"{offer.file_name} on {offer.server} holds no {name}", hint="tell whoever runs the server"
    )


def _from_parts(wanted: Wanted, name: str, downloader: Downloader) -> bytes | None:
    """The rockspec in a rock on a server, from a part of it; None where the whole rock must tell."""
    if wanted.sha256 is not None or downloader.has(wanted):
        return None
    key = key_of(f"{wanted.urls[0]}#{name}")
    answer = downloader.cache.answer(key)
    if answer is not None:
        age = _FOREVER if wanted.released or downloader.offline else _CHANGING_AGE
        if answer.is_fresh(downloader.now(), age):
            data = downloader.cache.read(answer.sha256)
            if data is not None:
                return data
    parts = downloader.parts(wanted)
    if parts is None:
        return None
    from pumice.archive.member import Limits
    from pumice.archive.zip_reader import read_member

    try:
        data = read_member(parts, name, Limits())
    except (ArchiveError, FetchError, NotFoundError):
        return None
    if parts.whole is None:
        found = Answer(parts.path, sha256_hex(data), "", "", downloader.now())
        downloader.cache.keep_bytes(data, found.sha256)
        downloader.cache.remember(key, found)
    return data


def _remembered(
    digest: str,
    candidate: Candidate,
    platforms: tuple[str, ...],
    downloader: Downloader,
    rockspec: Callable[[], bytes],
) -> Facts:
    cache = downloader.cache
    key = f"{candidate.name} {candidate.version} {' '.join(sorted(platforms))}"
    derived = f"{digest}-facts-{sha256_hex(key.encode('utf-8', 'surrogateescape'))[:16]}"
    try:
        with open(cache.derived_path(derived), "rb") as file:
            facts = _parsed(file.read())
    except OSError:
        facts = None
    if facts is None:
        from pumice.rock.rockspec import load_rockspec

        loaded = load_rockspec(rockspec(), rockspec_filename(candidate.name, candidate.version), platforms)
        facts = Facts(
            loaded.dependencies,
            loaded.build_dependencies,
            loaded.test_dependencies,
            loaded.supported_platforms,
        )
        cache.keep_derived(derived, _formatted(facts))
    return facts


def _formatted(facts: Facts) -> bytes:
    def texts(dependencies: Sequence[Dependency]) -> list[str]:
        return [dependency.text for dependency in dependencies]

    groups = (
        texts(facts.dependencies),
        texts(facts.build_dependencies),
        texts(facts.test_dependencies),
        list(facts.supported_platforms),
    )
    body = _GROUP.join(_UNIT.join(group) for group in groups).encode("utf-8", "surrogateescape")
    return _KIND + b"%08x\n" % crc32(body) + body


def _parsed(data: bytes) -> Facts | None:
    head, _, body = data.partition(b"\n")
    if head != _KIND + b"%08x" % crc32(body):
        return None
    groups = [
        group.split(_UNIT) if group else [] for group in body.decode("utf-8", "surrogateescape").split(_GROUP)
    ]
    if len(groups) != 4:
        return None
    dependencies, build, test = (tuple([parse_dependency(text) for text in group]) for group in groups[:3])
    return Facts(dependencies, build, test, tuple(groups[3]))
