"""`fetch_source`: the sources that a rockspec names come to lie in a directory (LuaRocks contract 2.6).

Local archives and directories are copied first: nothing is unpacked or built beside them. What came over the
network is in the cache from then on: a released version is built from it again without asking anybody, and
`offline` asks nobody at all.
"""

from __future__ import annotations

import os

from pumice.errors import FetchError
from pumice.net.address import shown_url
from pumice.rock.version import is_changing
from pumice.source.directory import find_source_directory
from pumice.source.fetched import FetchedSource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rockspec import Rockspec

__all__ = ["FetchedSource", "checkout_directory", "fetch_source", "open_source"]

_NOT_ABSOLUTE = " - note that given path in rockspec is not absolute: "
_GIT = ("git", "git+http", "git+https", "git+ssh", "git+file")
_HG = ("hg", "hg+http", "hg+https", "hg+ssh")
_LOCAL = ("file", "git+file")


def fetch_source(
    rockspec: Rockspec,
    into_dir: str,
    config: Config,
    progress: Progress,
    *,
    unpack: bool = True,
    branch: str | None = None,
    offline: bool = False,
    fresh: bool = False,
) -> FetchedSource:
    """Bring the sources of a rockspec into `into_dir`, a directory that exists and is empty.

    `unpack=False` leaves an archive as it came (for a source rock). `branch` replaces `source.branch`.
    `offline`: only from this machine or the cache. `fresh`: ask whoever has them, whatever the cache has.
    Raises FetchError, NotFoundError, ArchiveError, BuildError, DiskError.
    """
    source = rockspec.source
    _check_allowed(rockspec, config)
    if source.protocol == "file":
        local = os.path.normpath(os.path.join(config.cwd, source.pathname))
        if os.path.isdir(local):
            return _copied_directory(rockspec, local, into_dir)
    if source.is_basic:
        archive = _download(rockspec, into_dir, config, progress, offline=offline, fresh=fresh)
        if not unpack:
            return FetchedSource(None, archive, None, None)
        return FetchedSource(_unpacked(rockspec, archive, into_dir), archive, None, None)
    target = checkout_directory(rockspec, into_dir)
    commit = _checkout(rockspec, target, config, progress, branch, offline=offline, fresh=fresh)
    return FetchedSource(find_source_directory(rockspec, into_dir, checkout=target), None, target, commit)


def checkout_directory(rockspec: Rockspec, into_dir: str) -> str:
    """Where in `into_dir` a checkout comes to lie. Raises FetchError."""
    return os.path.join(into_dir, _plain_name(rockspec.source.checkout_name, "the last part of source.url"))


def open_source(rockspec: Rockspec, directory: str) -> FetchedSource:
    """The sources in an unpacked source rock: its archive is unpacked, or its checkout is found.

    Raises ArchiveError, BuildError, DiskError.
    """
    source = rockspec.source
    if source.file is not None:
        archive = os.path.join(directory, _plain_name(source.file, "source.file"))
        if os.path.isfile(archive):
            return FetchedSource(_unpacked(rockspec, archive, directory), archive, None, None)
    name = os.path.basename(source.pathname.rstrip("/")) if source.is_basic else source.checkout_name
    checkout = os.path.join(directory, _plain_name(name, "the last part of source.url"))
    if not os.path.isdir(checkout):
        return FetchedSource(find_source_directory(rockspec, directory), None, None, None)
    found = find_source_directory(rockspec, directory, checkout=checkout)
    return FetchedSource(found, None, checkout, None)


def _check_allowed(rockspec: Rockspec, config: Config) -> None:
    """`only_sources_from`, with or without the scheme (contract section 12, B9)."""
    only, source = config.only_sources_from, rockspec.source
    if only is None or not source.pathname:
        return
    if not only:
        raise FetchError(
            f"Can't download {source.url} -- download from remote servers disabled",
            hint="only_sources_from is empty in the configuration.",
        )
    if not source.pathname.startswith(only) and not source.url.startswith(only):
        raise FetchError(
            f"Can't download {source.url} -- only downloading from {only}",
            hint="Change only_sources_from or --only-sources if you trust this server.",
        )


def _plain_name(name: str, what: str) -> str:
    """A name that is one path component. Raises FetchError."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise FetchError(f"{what} is {name!r}, which is no file name", hint="Mend source in the rockspec.")
    return name


def _download(
    rockspec: Rockspec, into_dir: str, config: Config, progress: Progress, *, offline: bool, fresh: bool
) -> str:
    """The file that the URL names, with the right MD5."""
    source = rockspec.source
    name = _plain_name(source.file or "", "source.file")
    target = os.path.join(into_dir, name)
    url = source.url
    if source.protocol == "file":
        url = os.path.normpath(os.path.join(config.cwd, source.pathname))
        if not os.path.isfile(url):
            note = "" if os.path.isabs(source.pathname) else _NOT_ABSOLUTE + source.url
            raise FetchError(
                f"Local file not found: {url}{note}",
                hint="source.url names a file of this machine.",
            )
    from pumice.net.downloader import Downloader, Wanted

    # Forges pack the same sources anew with other bytes: what comes may differ from what came.
    age = 0.0 if fresh or is_changing(rockspec.version) else float("inf")
    wanted = Wanted((url,), target, released=False, max_age=age)
    with Downloader.of(config, progress, offline=offline) as downloader:
        downloader.fetch(wanted)
        if source.md5 is not None:
            try:
                _check_md5(target, name, source.md5)
            except FetchError:
                if offline or not age:
                    raise
                downloader.fetch(wanted.replace(max_age=0.0))  # the cache may have an older file
                _check_md5(target, name, source.md5)
    return target


def _check_md5(path: str, name: str, wanted: str) -> None:
    import hashlib

    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if not digest.startswith(wanted.lower()):
        raise FetchError(
            f"MD5 check for {name} has failed.",
            hint=f"The rockspec says {wanted}, the file has {digest}: it is not what the author published.",
        )


def _unpacked(rockspec: Rockspec, archive: str, into_dir: str) -> str:
    from pumice.archive.unpack import unpack
    from pumice.base.disk import random_name

    target = os.path.join(into_dir, random_name("source"))
    unpack(archive, target, file_name=rockspec.source.file)
    return find_source_directory(rockspec, target)


def _copied_directory(rockspec: Rockspec, local: str, into_dir: str) -> FetchedSource:
    """A plain directory as a source: a copy of it, without version control's own directories."""
    import shutil

    target = os.path.join(into_dir, os.path.basename(local) or "source")
    try:
        shutil.copytree(local, target, symlinks=True, ignore=shutil.ignore_patterns(".git", ".hg", ".svn"))
    except (OSError, shutil.Error) as error:
        raise FetchError(f"Cannot copy {local}: {error}", hint="Check its permissions.") from error
    found = find_source_directory(rockspec, target, checkout=target)
    return FetchedSource(found, None, target, None)


def _checkout(
    rockspec: Rockspec,
    target: str,
    config: Config,
    progress: Progress,
    branch: str | None,
    *,
    offline: bool,
    fresh: bool,
) -> str | None:
    """The sources of version control are at `target`, from the cache or from where they are; the commit."""
    source = rockspec.source
    if source.protocol in _LOCAL:
        return _check_out(rockspec, target, config, progress, branch)
    import time

    from pumice.net.cache import Cache
    from pumice.source.kept import keep_checkout, kept_commit

    cache = Cache(config.cache_dir)
    reference = source.tag or branch or source.branch
    stays = source.tag is not None and not fresh and not is_changing(rockspec.version)
    if offline or (stays and source.protocol in (*_GIT, *_HG)):
        found, commit = kept_commit(cache, rockspec, reference, target)
        if found:
            return commit or None
    if offline:
        raise FetchError(
            f"The sources of {rockspec.name} {rockspec.version} are not at hand: {shown_url(source.url)}",
            hint="--offline forbids to ask for them; run the command once without it.",
        )
    checked_out = _check_out(rockspec, target, config, progress, branch)
    keep_checkout(cache, rockspec, reference, target, checked_out, time.time())
    return checked_out


def _check_out(
    rockspec: Rockspec, target: str, config: Config, progress: Progress, branch: str | None
) -> str | None:
    task = f"check out {rockspec.name} {rockspec.version}"
    progress.started(task, f"Checking out {rockspec.name} {rockspec.version}")
    try:
        return _checked_out(rockspec, target, config, progress, branch)
    finally:
        progress.finished(task)


def _checked_out(
    rockspec: Rockspec, target: str, config: Config, progress: Progress, branch: str | None
) -> str | None:
    protocol = rockspec.source.protocol
    if protocol in _GIT:
        from pumice.source.git import checkout_git

        return checkout_git(rockspec, target, config, progress, branch)
    from pumice.source import others

    if protocol in _HG:
        return others.checkout_hg(rockspec, target, config, progress, branch)
    if protocol == "svn":
        others.checkout_svn(rockspec, target, config, progress)
    elif protocol == "cvs":
        others.checkout_cvs(rockspec, target, config, progress)
    else:
        hint = (
            "Pumice does not speak Surround SCM; fetch the sources by hand and run 'pumice make' there."
            if protocol == "sscm"
            else f"It knows http, https, ftp, file, {', '.join((*_GIT, *_HG))}, svn and cvs."
        )
        raise FetchError(f"Unknown protocol {protocol}", hint=hint)
    return None
