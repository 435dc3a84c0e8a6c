"""The drivers that run programs: `make`, `cmake` and `command` (LuaRocks contract 2.7).

They run in the source directory and install into a staging directory that their variables (PREFIX, LUADIR,
…) name; what they install there becomes the rock. Where a program writes such a path into a text file, it
is mended to the path that the file will have in the tree.
"""

from __future__ import annotations

import os

from pumice.base.process import find_program, run
from pumice.build.context import is_set
from pumice.build.diagnosis import explain, tool_hint
from pumice.build.turns import TURN
from pumice.build.variables import rock_variables
from pumice.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.build.context import BuildContext
    from pumice.lua.data import LuaTable

__all__ = ["run_commands", "run_in_sources"]

_SECTIONS = ("lua", "lib", "bin", "conf")


def run_commands(context: BuildContext) -> None:
    """Run the driver and add what it installed to the files. Raises BuildError with LuaRocks's words."""
    context.variables.headers()  # As LuaRocks, these drivers insist on lua.h before they start.
    staging = _staging(context)
    drivers = {"make": _make, "cmake": _cmake, "command": _command}
    rockspec = context.rockspec
    task = f"build {rockspec.name} {rockspec.version}"
    context.progress.started(task, f"Building {rockspec.name} {rockspec.version}")
    try:
        drivers[context.build_type](context)
    finally:
        context.progress.finished(task)
    if context.options.install:
        _collect(context, staging)


def _staging(context: BuildContext) -> str:
    """A new, empty rock directory with LuaRocks's subdirectories; the variables name it from now on."""
    staging = os.path.join(context.work_dir, "rock")
    for section in _SECTIONS:
        os.makedirs(os.path.join(staging, section))
    own = rock_variables(context.rockspec, context.config, staging, context.options.dependency_dirs)
    for name, value in own.items():
        context.variables.set(name, value)
    return staging


def _run(
    context: BuildContext, command: str, failure: str, environment: Mapping[str, str] | None = None
) -> None:
    """Run a shell command in the source directory, its output passed on line by line."""
    with TURN:
        finished = run(
            command,
            cwd=context.tree.root,
            env={**context.config.environment, **(environment or {})},
            on_line=lambda line: context.progress.message("info", line),
        )
    if not finished.ok:
        raise BuildError(f"Build error: {failure}", hint=explain(finished))


def run_in_sources(context: BuildContext, words: Sequence[str], failure: str) -> None:
    """Run a program in the source directory. Raises BuildError with `failure`."""
    _run(context, " ".join(map(_quoted, words)), failure)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _text(build: LuaTable, key: str, default: str | None) -> str | None:
    value = build.get(key, default)
    if value is not None and not isinstance(value, str):
        raise BuildError(f"build.{key} must be a string")
    return value


def _definitions(build: LuaTable, key: str) -> dict[str, str]:
    """A table of variables; numbers count as their text."""
    table = build.get(key)
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise BuildError(f"build.{key} must be a table of variables")
    for value in table.values():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise BuildError(f"build.{key} must be a table of variables and texts")
    return {str(name): str(value) for name, value in table.items()}


def _make(context: BuildContext) -> None:
    build, variables = context.build, context.variables
    shared = _definitions(build, "variables")
    makefile = _text(build, "makefile", None)
    program = variables["MAKE"]
    if find_program(program.split()[0] if program.split() else "", _path(context)) is None:
        raise BuildError(f"Build error: '{program}' program not found.", hint=tool_hint(program))
    building = {**_definitions(build, "build_variables"), **shared}
    installing = {**_definitions(build, "install_variables"), **shared}
    if not any("$(CFLAGS)" in value for value in building.values()):
        context.progress.message("warning", "variable CFLAGS was not passed in build_variables")
    passes = [("build_pass", "build_target", "", building, "Failed building.")]
    if context.options.install:
        passes.append(("install_pass", "install_target", "install", installing, "Failed installing."))
    for switch, key, default, definitions, failure in passes:
        target = _text(build, key, default) or ""
        words = [program, f"-f {makefile}" if makefile else "", target]
        words += [
            _quoted(f"{name}={variables.substitute(value)}")
            for name, value in sorted({"CC": variables["CC"], **definitions}.items())
        ]
        if is_set(build, switch, True):
            _run(context, " ".join(filter(None, words)), failure)


def _cmake(context: BuildContext) -> None:
    build, variables = context.build, context.variables
    program = variables["CMAKE"]
    if find_program(program, _path(context)) is None:
        raise BuildError(
            f"Build error: '{program}' program not found. "
            "Make sure CMake is installed and is available in your PATH",
            hint=tool_hint("cmake"),
        )
    definitions = _definitions(build, "variables")
    for name in ("CMAKE_MODULE_PATH", "CMAKE_LIBRARY_PATH", "CMAKE_INCLUDE_PATH"):
        if name in context.config.environment:
            definitions[name] = context.config.environment[name]
    arguments = [f"-G{context.config.cmake_generator}"] if context.config.cmake_generator else []
    arguments += [f"-D{name}={variables.substitute(value)}" for name, value in sorted(definitions.items())]
    call = _quoted(program)
    _run(context, " ".join([call, "-H.", "-Bbuild.luarocks", *map(_quoted, arguments)]), "Failed cmake.")
    choice = context.rockspec.format_at_least("3.0")
    if not choice or is_set(build, "build_pass", True):
        _run(context, f"{call} --build build.luarocks --config Release", "Failed building.")
    if context.options.install and (not choice or is_set(build, "install_pass", True)):
        _run(
            context, f"{call} --build build.luarocks --target install --config Release", "Failed installing."
        )


def _command(context: BuildContext) -> None:
    passes = [("build_command", "Failed building.")]
    if context.options.install:
        passes.append(("install_command", "Failed installing."))
    for key, failure in passes:
        command = _text(context.build, key, None)
        if command is not None:
            command = context.variables.substitute(command)
            context.progress.message("info", command)
            _run(context, command, failure, {"CC": context.variables["CC"]})


def _path(context: BuildContext) -> str:
    return context.config.environment.get("PATH", os.defpath)


def _collect(context: BuildContext, staging: str) -> None:
    """Add every file below the staging directory. Symlinks become what they point at, inside only."""
    from pumice.build.sources import SourceTree

    tree = SourceTree(staging)
    rockspec = context.rockspec
    final = f"{context.config.tree.rocks_dir}/{rockspec.name}/{rockspec.version}"
    for path in tree.walk(".", "The installed rock"):
        absolute = os.path.join(staging, path)
        _relocate(context, absolute, path, staging, final)
        section = path.partition("/")[0]
        executable = {"lua": False, "lib": True, "bin": True}.get(section) if "/" in path else None
        context.files.add_private(path, absolute, executable, "The installed rock")


def _relocate(context: BuildContext, absolute: str, path: str, staging: str, final: str) -> None:
    """Mend the staging path in a text file; a binary cannot be mended, and is told of."""
    with open(absolute, "rb") as file:
        data = file.read()
    old = os.fsencode(staging)
    if old not in data:
        return
    if b"\0" in data:
        context.progress.message("warning", f"{path} contains the path of the build directory, {staging}")
        return
    mode = os.stat(absolute).st_mode & 0o777
    os.chmod(absolute, mode | 0o200)
    with open(absolute, "wb") as file:
        file.write(data.replace(old, os.fsencode(final)))
    os.chmod(absolute, mode)
