"""`Index`: which rocks the configured servers have, answered name by name (LuaRocks contract 6.4).

Every server is asked, and of each the first mirror that loads. A server that fails is told with a warning,
and the search goes on with the others. A server that offers Pumice's own index is never asked for a manifest.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import DataError, FetchError, NotFoundError, PumiceError
from pumice.index.facts import facts_of
from pumice.index.manifest import open_manifest
from pumice.index.own import open_own
from pumice.index.query import Query, Row
from pumice.index.release import Candidate, Facts, Offer
from pumice.index.servers import servers_of
from pumice.rock.constraint import matches
from pumice.rock.version import parse_version, sort_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.index.release import Entry, File, Listing
    from pumice.index.servers import Mirror, Server
    from pumice.net.downloader import Downloader

__all__ = ["Index", "Query", "Row", "default_archs"]

_CACHE_TIMEOUT = 60.0
_PROVIDED = "provided by VM or rocks_provided"


class _Listed(Value):
    """A server that has been opened."""

    listing: Listing
    mirrors: tuple[Mirror, ...]
    """The one that loaded, then those after it."""


class Index:
    """The rocks on the servers of a configuration.

    `max_age`: for how many seconds a server's last answer is taken without asking. `exclusive`: of a name
    that several servers list, only the first of them is believed, so that nobody can offer a higher version
    of a private rock on a public server; without it LuaRocks's rule holds, and the highest version wins,
    wherever it is. A server's own index may demand the same for itself.
    """

    def __init__(
        self,
        config: Config,
        downloader: Downloader,
        progress: Progress,
        *,
        lua_version: str | None = None,
        max_age: float = _CACHE_TIMEOUT,
        exclusive: bool = False,
    ) -> None:
        self._config = config
        self._downloader = downloader
        self._progress = progress
        self._lua_version = lua_version or config.lua_version
        self._max_age = max_age
        self._exclusive = exclusive
        self._servers: dict[str | None, list[_Listed]] = {}
        self._candidates: dict[tuple[str, str | None], tuple[Candidate, ...]] = {}
        self._facts: dict[tuple[str, str, str | None], Facts | PumiceError] = {}
        self._archs = default_archs(config.arch)
        self.problems: list[str] = []
        """Why servers could not be searched."""

    # For the solver

    def candidates(self, name: str, namespace: str | None = None) -> tuple[Candidate, ...]:
        """The versions of a rock that could be installed here, the newest first. Raises UsageError.

        With a namespace those that this user has uploaded. Withdrawn versions are not among them.
        """
        key = name, namespace
        found = self._candidates.get(key)
        if found is None:
            found = self._candidates[key] = self._merged(name, namespace, self._archs)
        return found

    def facts(self, candidate: Candidate) -> Facts:
        """What a candidate needs: from the server's index, or else from its rockspec.

        Raises FetchError, NotFoundError, DataError.
        """
        if candidate.facts is not None:
            return candidate.facts
        key = candidate.name, candidate.version, candidate.namespace
        found = self._facts.get(key)
        if found is None:
            found = self._facts[key] = self._asked(candidate)
        if isinstance(found, PumiceError):
            raise found
        return found

    def announce(self, names: Iterable[tuple[str, str | None]], candidates: Iterable[Candidate] = ()) -> None:
        """These names, and what these candidates need, will be asked for: they are fetched together."""
        unknown: dict[str | None, set[str]] = {}
        for name, namespace in names:
            if (name, namespace) not in self._candidates:
                unknown.setdefault(namespace, set()).add(name)
        for namespace, wanted in unknown.items():
            for server in self._opened(namespace):
                server.listing.announce(sorted(wanted))
        pending = {
            (candidate.name, candidate.version, candidate.namespace): candidate
            for candidate in candidates
            if candidate.facts is None
        }
        missing = {key: candidate for key, candidate in pending.items() if key not in self._facts}

        def task(candidate: Candidate) -> Callable[[], Facts]:
            return lambda: self._read(candidate)

        results = self._downloader.together([task(candidate) for candidate in missing.values()])
        self._facts.update(zip(missing, results, strict=True))

    def with_digests(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The same candidates, their files with digests where a server tells them: for what is to be fetched.

        Raises FetchError, DataError.
        """
        wanted: dict[str | None, set[str]] = {}
        found = []
        for candidate in candidates:
            if not candidate.has_digests:
                wanted.setdefault(candidate.namespace, set()).add(candidate.name)
        for namespace, names in wanted.items():
            for server in self._opened(namespace):
                server.listing.announce(sorted(names), digests=True)
        for candidate in candidates:
            if candidate.has_digests:
                found.append(candidate)
                continue
            offers = {offer.urls: offer for offer in candidate.offers}
            for server in self._opened(candidate.namespace):
                for entry in server.listing.with_digests(candidate.name):
                    if entry.version == candidate.version:
                        for file in entry.files:
                            offer = _offer(server, candidate.name, entry.version, file)
                            if offer.urls in offers:
                                offers[offer.urls] = offer
            found.append(candidate.replace(offers=tuple(offers.values())))
        return tuple(found)

    # For `search` and single rocks

    def search(self, query: Query, provided: Mapping[str, str] | None = None) -> tuple[Row, ...]:
        """Every file that the query accepts, sorted as LuaRocks prints them; `provided` rocks come last.

        By name, the newest version first, and within one version server by server.
        """
        archs = self._archs if query.archs is None else query.archs
        names = {query.name}
        if query.substring:
            names = set()
            for server in self._opened(query.namespace):
                try:
                    names.update([name for name in server.listing.names() if query.name in name])
                except (FetchError, DataError) as error:
                    self._failed(error)
        rows: dict[str, dict[str, list[Row]]] = {}
        for name in names:
            for candidate in self._merged(name, query.namespace, archs):
                for offer in candidate.offers:
                    row = Row(name, candidate.version, offer.arch, offer.server, query.namespace)
                    rows.setdefault(name, {}).setdefault(candidate.version, []).append(row)
        if query.namespace is None and (query.archs is None or "installed" in query.archs):
            for name, version in (provided or {}).items():
                if name == query.name or (query.substring and query.name in name):
                    row = Row(name, version, "installed", _PROVIDED)
                    rows.setdefault(name, {}).setdefault(version, []).append(row)
        return tuple(
            row
            for name in sorted(rows, key=lambda text: text.encode("utf-8", "surrogateescape"))
            for version in _newest_first(rows[name])
            if matches(version, query.constraints)
            for row in rows[name][version]
        )

    def newest(self, query: Query) -> Candidate | None:
        """The highest version that the query accepts, with the files that it accepts, or None."""
        for candidate in self.candidates(query.name, query.namespace):
            if matches(candidate.version, query.constraints):
                chosen = candidate if query.archs is None else candidate.only(query.archs)
                if chosen is not None:
                    return chosen
        return None

    def not_found(self, *, hint: str = "") -> NotFoundError:
        """The error for a search without results: LuaRocks's line, and what went wrong with the servers."""
        message = f"No results matching query were found for Lua {self._lua_version}."
        if self.problems:
            return NotFoundError(message, hint="\n".join(self.problems))
        return NotFoundError(message, hint=hint)

    def _merged(self, name: str, namespace: str | None, archs: Collection[str]) -> tuple[Candidate, ...]:
        """The versions that all servers have of a rock."""
        found: dict[str, Candidate] = {}
        for server in self._opened(namespace):
            try:
                entries = [entry for entry in server.listing.entries(name) if self._is_for_us(entry)]
            except (FetchError, DataError) as error:
                self._failed(error)
                if self._exclusive or server.listing.exclusive:
                    break
                continue
            for entry in entries:
                offers = tuple(
                    [_offer(server, name, entry.version, file) for file in entry.files if file.arch in archs]
                )
                if not offers:
                    continue
                known = found.get(entry.version)
                if known is None:
                    found[entry.version] = Candidate(
                        name, entry.version, namespace, offers, entry.facts, entry.problem
                    )
                else:
                    found[entry.version] = known.replace(offers=known.offers + offers)
            if entries and (self._exclusive or server.listing.exclusive):
                break
        return tuple([found[version] for version in _newest_first(found)])

    def _is_for_us(self, entry: Entry) -> bool:
        """Whether the version is for this Lua, as far as the server tells, and has not been withdrawn."""
        if entry.yanked is not None:
            return False
        if entry.facts is not None:
            for dependency in entry.facts.dependencies:
                if dependency.full_name == "lua" and not dependency.accepts(self._lua_version):
                    return False
        return True

    def _asked(self, candidate: Candidate) -> Facts | PumiceError:
        try:
            return self._read(candidate)
        except PumiceError as error:
            return error

    def _read(self, candidate: Candidate) -> Facts:
        if candidate.problem:
            raise DataError(
                f"{candidate.name} {candidate.version} cannot be used: {candidate.problem}",
                hint="tell whoever runs the server, or ask for another version",
            )
        return facts_of(candidate, self._config.platforms, self._downloader)

    # Servers

    def _opened(self, namespace: str | None) -> list[_Listed]:
        """Every server that can be searched, opened when first asked for."""
        found = self._servers.get(namespace)
        if found is None:
            servers = [server.for_namespace(namespace) for server in servers_of(self._config)]

            def task(server: Server) -> Callable[[], tuple[_Listed | None, list[PumiceError]]]:
                return lambda: self._first(server)

            found = self._servers[namespace] = []
            for result in self._downloader.together([task(server) for server in servers]):
                if isinstance(result, PumiceError):
                    raise result
                listed, errors = result
                for error in errors:
                    self._failed(error)
                if listed is not None:
                    found.append(listed)
                elif self._exclusive:  # nobody steps in for a server whose names are unknown
                    break
        return found

    def _first(self, server: Server) -> tuple[_Listed | None, list[PumiceError]]:
        """The first mirror of a server that loads, and why those before it did not."""
        errors: list[PumiceError] = []
        for place, mirror in enumerate(server.mirrors):
            try:
                return _Listed(self._listing(mirror), server.mirrors[place:]), errors
            except (FetchError, NotFoundError, DataError) as error:
                errors.append(error)
        return None, errors

    def _listing(self, mirror: Mirror) -> Listing:
        try:
            own = open_own(mirror, self._config.platforms, self._downloader, self._max_age)
            if own is not None:
                return own
        except (FetchError, DataError) as error:
            if self._downloader.has_failed(mirror.base):
                raise
            self._progress.message("detail", f"{error.message}; its manifest is used")
        return open_manifest(mirror, self._lua_version, self._downloader, self._max_age)

    def _failed(self, error: PumiceError) -> None:
        if error.message not in self.problems:
            self.problems.append(error.message)
            self._progress.message("warning", f"Failed searching manifest: {error.message}")


def default_archs(arch: str) -> frozenset[str]:
    """The files that may be used on a machine of this arch."""
    return frozenset(("src", "all", "rockspec", arch))


def _offer(server: _Listed, name: str, version: str, file: File) -> Offer:
    urls = tuple([mirror.rock_url(name, version, file.arch) for mirror in server.mirrors])
    return Offer(file.arch, urls, server.listing.mirror.shown, file.sha256, file.size)


def _newest_first(versions: Iterable[str]) -> list[str]:
    """Sorted as LuaRocks does; those that it does not order stand by their text, so that all runs agree."""
    return sorted(versions, key=lambda text: (sort_key(parse_version(text)), text), reverse=True)
