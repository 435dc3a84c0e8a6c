"""C modules: compiled and linked as LuaRocks does on Unix (contract 2.7), several at a time."""

from __future__ import annotations

import os
import posixpath

from pumice.base.process import run
from pumice.base.value import Value
from pumice.build.diagnosis import explain
from pumice.build.turns import TURN, processors
from pumice.errors import BuildError, DiskError, PermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pumice.base.process import Finished
    from pumice.build.context import BuildContext
    from pumice.build.modules import CModule
    from pumice.build.variables import Variables

__all__ = ["compile_modules"]

_WHERE = "build.modules"


class _Job(Value):
    """One run of the compiler or linker."""

    shell: str
    """What `/bin/sh` runs: CC and its flags as they are, everything else quoted."""
    echo: str
    """What people see of it."""
    failure: str
    """LuaRocks's words if it fails."""


def compile_modules(context: BuildContext, modules: Sequence[CModule]) -> Iterator[tuple[str, str]]:
    """Compile the modules; gives (path below `lib/`, absolute path of the product) for each.

    Commands run in the source directory. Objects and products go below the work directory; a copy of each
    product is left in the source directory, where LuaRocks leaves it and rockspecs look for it.
    Raises BuildError, with what to install if that can be told.
    """
    variables, tree = context.variables, context.tree
    for module in modules:
        if not module.sources:
            raise BuildError(
                f"error in rockspec: module '{module.name}' entry has no 'sources' list",
                hint='Give the module a list of C files: sources = { "file.c" }.',
            )
        for source in module.sources:
            if tree.file(source, _WHERE) is None:
                raise BuildError(
                    f"Build error: Failed compiling object {_object_name(context, source)}: "
                    f"{source}: No such file or directory",
                    hint=f"Module '{module.name}' names a file that is not in {tree.root}.",
                )
    include = variables.headers().incdir
    compiling: list[_Job] = []
    linking: list[_Job] = []
    products: list[tuple[str, str]] = []
    for number, module in enumerate(modules):
        objects = [
            _made(context, f"objects/{number}/{place}-{_object_name(context, source)}")
            for place, source in enumerate(module.sources)
        ]
        compiling += [
            _compile_job(variables, context, module, source, target, include)
            for source, target in zip(module.sources, objects, strict=True)
        ]
        product = _made(context, f"products/{module.target}")
        linking.append(_link_job(variables, context, module, objects, product))
        products.append((module.target, product))
    progress, rockspec = context.progress, context.rockspec
    task = f"compile {rockspec.name} {rockspec.version}"
    progress.started(task, f"Compiling {rockspec.name} {rockspec.version}", len(compiling) + len(linking))
    try:
        for phase in (compiling, linking):
            _run_all(context, phase, task)
    finally:
        progress.finished(task)
    for target, product in products:
        _leave_copy(context, target, product)
    yield from products


def _object_name(context: BuildContext, source: str) -> str:
    """The object's name, as LuaRocks would have it beside the source."""
    stem, dot, _ = source.rpartition(".")
    return f"{stem if dot else source}.{context.config.obj_extension}"


def _made(context: BuildContext, path: str) -> str:
    """A path below the work directory whose directory exists; source paths become flat names."""
    kind, rest = path.split("/", 1)
    if kind == "objects":
        number, name = rest.split("/", 1)
        path = f"{kind}/{number}/{name.replace('/', '_')[-200:]}"
    absolute = f"{context.work_dir}/{path}"
    os.makedirs(os.path.dirname(absolute), exist_ok=True)
    return absolute


def _flags(variables: Variables, form: str, values: Sequence[str]) -> list[str]:
    return [form + variables.substitute(value) for value in values]


def _job(program: Sequence[str], arguments: Sequence[str], failure: str) -> _Job:
    words = " ".join(word for word in program if word)
    return _Job(
        " ".join([words, *map(_quoted, arguments)]), " ".join([words, *arguments]), f"Build error: {failure}"
    )


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _compile_job(
    variables: Variables, context: BuildContext, module: CModule, source: str, target: str, include: str
) -> _Job:
    return _job(
        (variables["CC"], variables["CFLAGS"]),
        [
            f"-I{include}",
            "-c",
            source,
            "-o",
            target,
            *_flags(variables, "-D", module.defines),
            *_flags(variables, "-I", module.incdirs),
        ],
        f"Failed compiling object {_object_name(context, source)}",
    )


def _link_job(
    variables: Variables, context: BuildContext, module: CModule, objects: Sequence[str], product: str
) -> _Job:
    arguments = ["-o", product, *objects, *_flags(variables, "-L", module.libdirs)]
    if context.config.gcc_rpath:
        arguments += _flags(variables, "-Wl,-rpath,", module.libdirs)
    arguments += _flags(variables, "-l", module.libraries)
    if context.config.link_lua_explicitly:
        headers = context.variables.headers()
        name = (headers.library or "liblua").removeprefix("lib")
        arguments += [f"-L{variables['LUA_LIBDIR']}", f"-l{name.split('.so')[0].removesuffix('.a')}"]
    return _job(
        (variables["LD"], variables["LDFLAGS"], variables["LIBFLAG"]),
        arguments,
        f"Failed compiling module {module.target}",
    )


def _run_all(context: BuildContext, jobs: Sequence[_Job], task: str) -> None:
    """Run the jobs, several at a time; tell of each in order. Raises BuildError at the first that fails."""
    workers = min(len(jobs), context.options.jobs or processors())
    for job, finished in zip(jobs, _results(context, jobs, workers), strict=False):
        context.progress.message("info", job.echo)
        if finished.output.strip():
            context.progress.message("info", finished.output.rstrip("\n"))
        if not finished.ok:
            raise BuildError(job.failure, hint=explain(finished))
        context.progress.advanced(task)


def _results(context: BuildContext, jobs: Sequence[_Job], workers: int) -> Iterator[Finished]:
    """How each job ended, in order; when the caller stops listening, those that run are ended."""
    unwanted = False

    def finished(job: _Job) -> Finished:
        environment = context.config.environment
        return run(job.shell, cwd=context.tree.root, env=environment, unwanted=lambda: unwanted)

    def start(job: _Job) -> Finished:
        if context.options.jobs:
            return finished(job)
        with TURN:
            return finished(job)

    if workers <= 1:
        yield from map(start, jobs)
        return
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(workers)
    try:
        for waiting in [pool.submit(start, job) for job in jobs]:
            yield waiting.result()
    finally:
        unwanted = True
        pool.shutdown(cancel_futures=True)


def _leave_copy(context: BuildContext, target: str, product: str) -> None:
    """Leave the product in the source directory; a directory that cannot be written does without."""
    from pumice.base.disk import copy_file

    tree = context.tree
    directory = posixpath.dirname(target)
    absolute = os.path.join(tree.root, target)
    try:
        if directory:
            os.makedirs(os.path.join(tree.root, directory), exist_ok=True)
            tree.directory(directory, _WHERE)
        temporary = f"{absolute}.{os.getpid()}.tmp"
        copy_file(product, temporary)
        os.chmod(temporary, os.stat(product).st_mode & 0o777)
        os.replace(temporary, absolute)
    except (OSError, DiskError, PermissionDenied) as error:
        context.progress.message("detail", f"No copy of {target} is left in {tree.root}: {error}")
