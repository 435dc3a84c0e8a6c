"""`unpack`: the contents of a rock, or the sources of a rockspec, in a new directory (contract 1.4)."""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.errors import NotFoundError, PumiceError
from pumice.operation.work_dir import WorkDir
from pumice.rock.filename import base_name, parse_filename

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rockspec import Rockspec

__all__ = ["Unpacked", "unpack"]


class Unpacked(Value):
    """Where things are now; paths are relative to the current directory."""

    directory: str
    source_dir: str | None
    """Where `make` can be run; None for a binary rock."""


def unpack(word: str, config: Config, progress: Progress, *, force: bool = False) -> Unpacked:
    """The contents of a rock file or rockspec (a path or URL) are in a directory named like it.

    A source rock's own archive is unpacked too, patches are applied, and the rockspec is put where `make`
    looks for it. A directory that is there already is an error unless `force`. After an error nothing new is
    left. Raises PumiceError.
    """
    name = base_name(word)
    parsed = parse_filename(name)
    if parsed is None:
        raise NotFoundError(
            f"{word} does not seem to be a valid filename.",
            hint="Give a .rock or .rockspec file, or its URL.",
        )
    directory = name.removesuffix(f".{parsed.arch}.rock").removesuffix(".rockspec")
    target = os.path.join(config.cwd, directory)
    existed = os.path.lexists(target)
    if existed and not force:
        raise PumiceError(
            f"Directory {directory} already exists.", hint="Use --force to unpack over it, or remove it."
        )
    from pumice.base.disk import remove_tree

    with WorkDir(config, "unpack") as work:
        from pumice.operation.obtain import local_file

        path = local_file(word, config, progress, work)
        draft = f"{target}.{os.urandom(4).hex()}"
        os.mkdir(draft)
        try:
            source_dir = _fill(path, parsed.arch, draft, config, progress, work)
            if existed:
                _merge(draft, target)
            else:
                os.rename(draft, target)
        finally:
            remove_tree(draft)
    return Unpacked(directory, None if source_dir is None else os.path.normpath(f"{directory}/{source_dir}"))


def _fill(path: str, arch: str, draft: str, config: Config, progress: Progress, work: WorkDir) -> str | None:
    """Everything lies in `draft`; gives the source directory below it, if there are sources."""
    if arch == "rockspec":
        from pumice.operation.make import read_rockspec
        from pumice.source.source import fetch_source

        rockspec = read_rockspec(path, config)
        fetched = fetch_source(rockspec, draft, config, progress, unpack=False)
        return _prepared(rockspec, fetched.archive_path, fetched.dir, draft, config, progress, work)
    from pumice.archive.unpack import unpack_members
    from pumice.archive.zip_reader import open_zip

    if arch != "src":
        from pumice.rock.rockfile import open_rock

        open_rock(path, platforms=config.platforms)
        with open_zip(path) as archive:
            unpack_members(archive, draft)
        return None
    from pumice.rock.rockfile import open_source_rock

    source = open_source_rock(path, platforms=config.platforms)
    with source.archive:
        source.unpack(draft)
    file = source.rockspec.source.file
    inner = os.path.join(draft, file) if file and "/" not in file else None
    if inner is None or not os.path.isfile(inner):
        from pumice.source.source import open_source

        return _prepared(
            source.rockspec, None, open_source(source.rockspec, draft).dir, draft, config, progress, work
        )
    return _prepared(source.rockspec, inner, None, draft, config, progress, work)


def _prepared(
    rockspec: Rockspec,
    archive: str | None,
    found: str | None,
    draft: str,
    config: Config,
    progress: Progress,
    work: WorkDir,
) -> str:
    """The archive is unpacked beside itself, patches are applied, the rockspec lies with the sources."""
    from pumice.base.disk import write_atomic
    from pumice.build.build import apply_patches
    from pumice.source.directory import find_source_directory

    if archive is not None:
        from pumice.archive.unpack import unpack as unpack_archive

        inside = work.make("inner")
        unpack_archive(archive, inside, file_name=os.path.basename(archive))
        relative = os.path.relpath(find_source_directory(rockspec, inside), inside)
        _merge(inside, draft)
        found = os.path.normpath(os.path.join(draft, relative))
    assert found is not None
    apply_patches(rockspec, found, config, progress)
    write_atomic(os.path.join(found, rockspec.rockspec_name), rockspec.text)
    return os.path.relpath(found, draft)


def _merge(source: str, target: str) -> None:
    """Every file below `source` moves to its place below `target`, in place of one that is there."""
    import shutil

    for folder, directories, names in os.walk(source):
        there = os.path.join(target, os.path.relpath(folder, source))
        if os.path.islink(there) or not os.path.isdir(there):
            os.mkdir(there)
        for name in [*names, *(each for each in directories if os.path.islink(os.path.join(folder, each)))]:
            shutil.move(os.path.join(folder, name), os.path.join(there, name))
