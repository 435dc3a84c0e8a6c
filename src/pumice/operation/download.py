"""`download`: files of rocks from the servers into the current directory (contract 1.4)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import NotFoundError, PumiceError, UsageError
from pumice.index.index import Query
from pumice.operation.change import provided_rocks
from pumice.operation.other_luas import not_found
from pumice.operation.search import exact_version
from pumice.operation.servers import Servers, release_of
from pumice.operation.work_dir import WorkDir
from pumice.rock.version import is_changing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.index.release import Candidate, Offer

__all__ = ["WantedFiles", "download"]

_EVERYWHERE = frozenset(("src", "all", "rockspec"))


class WantedFiles(Value):
    """What to download."""

    name: str
    """Empty with `everything`: every rock of the servers."""
    version: str | None = None
    namespace: str | None = None
    arch: str | None = None
    """Only files of this arch: `src`, `rockspec`, `all`, or that of any machine."""
    everything: bool = False
    """All files of all versions that match, instead of the best one of the newest."""
    dependencies: bool = False
    """Also what it needs, as `install` would choose it for an empty tree."""
    check_lua_versions: bool = False

    def __str__(self) -> str:
        full = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{full} {self.version}" if self.version else full


def download(
    wanted: WantedFiles, config: Config, progress: Progress, *, offline: bool = False
) -> tuple[str, ...]:
    """The files are in the current directory, each one whole; gives their paths.

    Raises NotFoundError, FetchError, DependencyError, DiskError, PermissionDenied.
    """
    if wanted.everything and wanted.dependencies:
        raise UsageError(
            "option '--deps' can not be used together with option '--all'", hint="Leave one of them out."
        )
    # The index lists the files that this arch may use, so that those of another machine are found too.
    searched = config if wanted.arch in (None, *_EVERYWHERE) else config.replace(arch=str(wanted.arch))
    with Servers(searched, progress, offline=offline) as servers:
        if wanted.everything:
            offers = _all_files(wanted, servers)
        elif wanted.dependencies:
            offers = _with_dependencies(wanted, servers, config, progress)
        else:
            offers = _best_file(wanted, servers, searched, progress)
        return _fetched(offers, servers, config)


def _query(wanted: WantedFiles) -> Query:
    archs = None if wanted.arch is None else frozenset((wanted.arch,))
    return Query(
        wanted.name,
        wanted.namespace,
        exact_version(wanted.version),
        substring=wanted.everything and not wanted.name,
        archs=archs,
    )


def _all_files(wanted: WantedFiles, servers: Servers) -> list[tuple[Candidate, Offer]]:
    query = _query(wanted)
    index = servers.index
    chosen: dict[str, set[str]] = {}
    for row in index.search(query):
        chosen.setdefault(row.name, set()).add(row.version)
    offers = [
        (candidate, offer)
        for name, versions in chosen.items()
        for candidate in index.with_digests(index.candidates(name, wanted.namespace))
        if candidate.version in versions
        for offer in candidate.offers
        if query.archs is None or offer.arch in query.archs
    ]
    if not offers:
        raise NotFoundError(
            f"Could not find a result named {wanted}.",
            hint="\n".join(index.problems) or "`pumice search` with a part of the name shows what there is.",
        )
    return offers


def _best_file(
    wanted: WantedFiles, servers: Servers, config: Config, progress: Progress
) -> list[tuple[Candidate, Offer]]:
    query = _query(wanted)
    provided = provided_rocks(config, frozenset((wanted.name,))).get(wanted.name)
    if provided is not None:
        raise NotFoundError(
            f"Could not find a result named {wanted}: Rock {wanted.name} {provided} is already provided by "
            "VM or via 'rocks_provided' in the config file.",
            hint="What is provided needs no download.",
        )
    candidate = servers.index.newest(query)
    if candidate is None:
        error = not_found(
            query,
            servers.index,
            config,
            servers.downloader,
            progress,
            check=wanted.check_lua_versions,
        )
        raise type(error)(f"Could not find a result named {wanted}: {error.message}", hint=error.hint)
    (candidate,) = servers.index.with_digests((candidate,))
    return [(candidate, candidate.best)]


def _with_dependencies(
    wanted: WantedFiles, servers: Servers, config: Config, progress: Progress
) -> list[tuple[Candidate, Offer]]:
    from pumice.rock.dependency import parse_dependency
    from pumice.solve.situation import Request, Situation
    from pumice.solve.solver import Unsolvable, solve

    full = f"{wanted.namespace}/{wanted.name}" if wanted.namespace else wanted.name
    request = Request(parse_dependency(f"{full} == {wanted.version}" if wanted.version else full))
    situation = Situation(provided=provided_rocks(config), platforms=config.platforms)
    try:
        resolution = solve([request], servers.table, situation)
    except Unsolvable as error:
        if error.missing is not None and error.missing.name == wanted.name:
            _best_file(wanted, servers, config, progress)
        raise
    for note in resolution.notes:
        progress.message("warning", note)
    found = [release_of(chosen.candidate) for chosen in resolution.install if chosen.candidate is not None]
    offers = []
    for candidate in servers.index.with_digests(found):
        fitting = candidate if wanted.arch is None else candidate.only((wanted.arch,))
        if fitting is None:
            raise NotFoundError(
                f"{candidate.name} {candidate.version} has no file of the arch {wanted.arch}",
                hint="Without --source, --rockspec and --arch the best file of each rock is taken.",
            )
        offers.append((fitting, fitting.best))
    return offers


def _fetched(offers: Iterable[tuple[Candidate, Offer]], servers: Servers, config: Config) -> tuple[str, ...]:
    """The files, fetched together; those that came stay, even if others fail."""
    from pumice.net.downloader import Wanted

    # The same file on several servers: the later one wins, as in LuaRocks.
    by_name = {offer.file_name: (candidate, offer) for candidate, offer in offers}
    with WorkDir(config, "download") as work_dir:
        folder = work_dir.make()
        results = servers.downloader.attempt_many(
            [
                Wanted(
                    offer.urls,
                    os.path.join(folder, name),
                    sha256=offer.sha256,
                    expect=None if offer.arch == "rockspec" else "zip",
                    released=not is_changing(candidate.version),
                )
                for name, (candidate, offer) in by_name.items()
            ]
        )
        errors = [result for result in results if isinstance(result, PumiceError)]
        paths = [
            _copied(os.path.join(folder, name), os.path.join(config.cwd, name))
            for name, result in zip(by_name, results, strict=True)
            if not isinstance(result, PumiceError)
        ]
    if errors:
        raise _together(errors)
    return tuple(paths)


def _copied(source: str, target: str) -> str:
    """A file of its own at `target`: what was fetched may share its blocks with the cache."""
    from pumice.base.disk import copy_file, random_name, translate

    draft = os.path.join(os.path.dirname(target), random_name("part"))
    copy_file(source, draft)
    try:
        os.rename(draft, target)
    except OSError as error:
        os.unlink(draft)
        raise translate(error, f"write {target}") from error
    return target


def _together(errors: Sequence[PumiceError]) -> PumiceError:
    first = errors[0]
    if len(errors) == 1:
        return first
    return type(first)("\n".join([error.message for error in errors]), hint=first.hint)
