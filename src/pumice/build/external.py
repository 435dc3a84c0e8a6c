"""External dependencies: programs, headers and libraries of the machine (LuaRocks contract 2.5)."""

from __future__ import annotations

import os
import re

from pumice.base.process import find_program, run
from pumice.base.value import Value
from pumice.build.diagnosis import library_hint
from pumice.build.modules import CModule, library_variable
from pumice.errors import BuildError
from pumice.rock.rockspec import ExternalDependency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.base.config import Config
    from pumice.build.context import BuildContext
    from pumice.build.modules import LuaModule
    from pumice.rock.rockspec import Rockspec

__all__ = ["find_external_dependencies", "use_external_dependencies"]

_ADVICE = (
    "You may have to install {name} in your system and/or pass {name}_DIR or {name}_{variable} "
    "to the luarocks command."
)
_MULTIARCH = {
    "x86": "i386-linux-gnu",
    "armv7l": "arm-linux-gnueabihf",
    "arm": "arm-linux-gnueabi",
    "ppc64le": "powerpc64le-linux-gnu",
    "ppc64": "powerpc64-linux-gnu",
}
"""Debian's library directories for processors that it calls by another name."""


class _Kind(Value):
    """One of the three things that a dependency may ask for."""

    variable: str
    key: str
    """In the rockspec: `program`, `header`, `library`."""
    subdirs: tuple[str, ...]
    patterns: tuple[str, ...]


class _Miss(Value):
    """A thing that was not found under a prefix, and where it was looked for."""

    kind: _Kind
    tried: tuple[str, ...]


def use_external_dependencies(context: BuildContext, modules: Sequence[LuaModule | CModule] = ()) -> None:
    """Find what the rockspec asks for, or else the libraries of its C modules, and set their variables.

    Raises BuildError that lists every place looked at.
    """
    given = context.rockspec.external_dependencies
    if "external_dependencies" not in context.rockspec.globals:
        given = {
            library_variable(library): ExternalDependency(library=library)
            for module in modules
            if isinstance(module, CModule)
            for library in module.libraries
        }
    for name, value in _find_all(context.rockspec.name, given, context.config, runtime=False).items():
        context.variables.set(name, value)


def find_external_dependencies(rockspec: Rockspec, config: Config, *, runtime: bool) -> dict[str, str]:
    """The variables of a rockspec's external dependencies: NAME_DIR, NAME_INCDIR, NAME_LIBDIR_FILE, …

    `runtime`: for a binary rock, which needs no headers. Raises BuildError that lists every place looked at.
    """
    return _find_all(rockspec.name, rockspec.external_dependencies, config, runtime=runtime)


def _find_all(
    rock: str, dependencies: Mapping[str, ExternalDependency], config: Config, *, runtime: bool
) -> dict[str, str]:
    found: dict[str, str] = {}
    kinds = _kinds(config, runtime)
    for name, asked in sorted(dependencies.items()):
        files = {"program": asked.program, "header": asked.header, "library": asked.library}
        wanted = {key: file for key, file in files.items() if file is not None}
        found.update(_find_one(rock, name, wanted, config, kinds))
    return found


def _find_one(
    rock: str,
    name: str,
    wanted: Mapping[str, str],
    config: Config,
    kinds: tuple[_Kind, ...],
) -> dict[str, str]:
    variables = config.variables
    misses: list[_Miss] = []
    own = variables.get(f"{name}_DIR") or variables.get("DEPS_DIR")
    for entry in (own,) if own else config.external_deps_dirs:
        prefix, here = _at_prefix(entry, kinds)
        result = _under_prefix(prefix, name, wanted, variables, here)
        if not isinstance(result, _Miss):
            return result
        misses.append(result)
    if not own:
        for prefix, here in _pkg_config(name, wanted, config, kinds):
            result = _under_prefix(prefix, name, wanted, variables, here)
            if not isinstance(result, _Miss):
                return result
            misses.append(result)
    last = misses[-1] if misses else _Miss(kinds[0], ())
    tried = dict.fromkeys(place for miss in misses if miss.kind.key == last.kind.key for place in miss.tried)
    lines = [
        f"Could not find {last.kind.key} file for {name}",
        *(f"  No file {place}" for place in tried),
        _ADVICE.format(name=name, variable=last.kind.variable),
        f"Example: luarocks install {rock} {name}_DIR=/usr/local",
    ]
    raise BuildError("\n".join(lines), hint=library_hint(name, *wanted.values()))


def _kinds(config: Config, runtime: bool) -> tuple[_Kind, ...]:
    """What is looked for, in LuaRocks's order (BINDIR, INCDIR, LIBDIR)."""
    subdirs = config.runtime_external_deps_subdirs if runtime else config.external_deps_subdirs
    patterns = config.runtime_external_deps_patterns if runtime else config.external_deps_patterns
    extension = "dylib" if "macosx" in config.platforms else "so"
    shared = (f"lib?.{extension}", f"lib?.{extension}.*")

    def places(key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = subdirs.get(key, default)
        return (value,) if isinstance(value, str) else value

    kinds = [_Kind("BINDIR", "program", places("bin", ("bin",)), patterns.get("bin", ("?",)))]
    if not runtime:
        kinds.append(
            _Kind("INCDIR", "header", places("include", ("include",)), patterns.get("include", ("?.h",)))
        )
    libraries = patterns.get("lib", shared if runtime else ("lib?.a", *shared))
    kinds.append(_Kind("LIBDIR", "library", places("lib", _library_subdirs(config)), libraries))
    return tuple(kinds)


def _library_subdirs(config: Config) -> tuple[str, ...]:
    if "linux" not in config.platforms:
        return ("lib",)
    processor = config.arch.rpartition("-")[2]
    multiarch = _MULTIARCH.get(processor, f"{processor}-linux-gnu")
    return (
        (f"lib/{multiarch}", "lib64", "lib") if os.path.isdir(f"/usr/lib/{multiarch}") else ("lib64", "lib")
    )


def _at_prefix(entry: Mapping[str, str] | str, kinds: tuple[_Kind, ...]) -> tuple[str, tuple[_Kind, ...]]:
    """A configured prefix, and the kinds with the directories that it names instead of the usual ones."""
    if isinstance(entry, str):
        return entry, kinds
    keys = {"BINDIR": "bin", "INCDIR": "include", "LIBDIR": "lib"}
    return entry.get("prefix", "/"), tuple(
        kind.replace(subdirs=(entry[keys[kind.variable]],)) if keys[kind.variable] in entry else kind
        for kind in kinds
    )


def _under_prefix(
    prefix: str,
    name: str,
    wanted: Mapping[str, str],
    variables: Mapping[str, str],
    kinds: tuple[_Kind, ...],
) -> dict[str, str] | _Miss:
    """The variables of a dependency if all is under one prefix, else the first thing missed."""
    found: dict[str, str] = {}
    for kind in kinds:
        fixed = variables.get(f"{name}_{kind.variable}")
        places = (fixed,) if fixed else tuple(os.path.join(prefix, subdir) for subdir in kind.subdirs)
        if kind.key in wanted:
            hit, tried = _search(places, _candidates(wanted[kind.key], kind.patterns))
            if hit is None:
                return _Miss(kind, tried)
            found[f"{name}_{kind.variable}"], found[f"{name}_{kind.variable}_FILE"] = hit
        else:
            found[f"{name}_{kind.variable}"] = next(filter(os.path.isdir, places), places[0])
    found[f"{name}_DIR"] = prefix
    return found


def _candidates(file: str, patterns: Sequence[str]) -> list[str]:
    """The file names to look for; plain ones before those with `*`, else in order."""
    if re.search(r"\.[a-z]+(?:\.|$)", file):
        names = []
        for pattern in patterns:
            form = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "(.*)")
            inside = re.fullmatch(form, file)
            if inside:
                names += [other.replace("?", inside[1]) for other in patterns]
        names.append(file)
    else:
        names = [pattern.replace("?", file) for pattern in patterns]
    names = [re.sub(r"\.(?:so|dylib|dll)$", f".{_shared_extension(patterns)}", name) for name in names]
    return sorted(dict.fromkeys(names), key=lambda name: "*" in name)


def _shared_extension(patterns: Sequence[str]) -> str:
    return "dylib" if any(".dylib" in pattern for pattern in patterns) else "so"


def _search(places: Sequence[str], names: Sequence[str]) -> tuple[tuple[str, str] | None, tuple[str, ...]]:
    """The first (directory, file) that exists, and what was tried before."""
    tried: list[str] = []
    for name in names:
        pattern = re.compile(re.escape(name).replace(r"\*", ".*")) if "*" in name else None
        for place in places:
            if pattern is None:
                if os.path.isfile(os.path.join(place, name)):
                    return (place, name), tuple(tried)
                tried.append(f"{name} in {place}")
                continue
            if os.path.isdir(place):
                hit = next(filter(pattern.fullmatch, sorted(os.listdir(place))), None)
                if hit is not None:
                    return (place, hit), tuple(tried)
            tried.append(f"matching {name} in {place}")
    return None, tuple(tried)


def _pkg_config(
    name: str, wanted: Mapping[str, str], config: Config, kinds: tuple[_Kind, ...]
) -> list[tuple[str, tuple[_Kind, ...]]]:
    """Where pkg-config says that the dependency is: a last resort that LuaRocks does not have."""
    program = find_program("pkg-config", config.environment.get("PATH", os.defpath))
    if program is None:
        return []
    names = [name.lower(), f"lib{name.lower()}"]
    library = wanted.get("library")
    if library is not None:
        stem = library.split(".")[0].removeprefix("lib")
        names += [stem, f"lib{stem}"]
    found = []
    for module in dict.fromkeys(names):
        if not re.fullmatch(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]*", module):
            continue
        answer = run(
            [program, "--print-errors", "--variable=prefix", module],
            env=config.environment,
            timeout=30,
        )
        if answer.ok and answer.output.strip():
            include, library_dir = (
                run(
                    [program, f"--variable={variable}", module], env=config.environment, timeout=30
                ).output.strip()
                for variable in ("includedir", "libdir")
            )
            flags = run(
                [program, "--cflags-only-I", module], env=config.environment, timeout=30
            ).output.split()
            includes = tuple(filter(None, (include, *(flag.removeprefix("-I") for flag in flags))))
            here = {"INCDIR": includes, "LIBDIR": (library_dir,) if library_dir else ()}
            found.append(
                (
                    answer.output.strip(),
                    tuple(kind.replace(subdirs=here.get(kind.variable) or kind.subdirs) for kind in kinds),
                )
            )
    return found
