"""`check`: what Kong or LuaRocks would refuse, before anything leaves the machine."""

from __future__ import annotations

import os

from pumice.base.disk import translate
from pumice.errors import NotFoundError
from pumice.kong.check import Report, check
from pumice.kong.package import package_of_directory, package_of_modules, package_of_rock
from pumice.kong.targets import DEFAULT, Targets, parse_targets
from pumice.operation.rockspec_choice import choose_rockspec, rockspec_in, source_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.kong.package import Package
    from pumice.lua.data import LuaTable
    from pumice.rock.rock import Rock
    from pumice.rock.rockspec import Rockspec

__all__ = ["DEFAULT", "Report", "Targets", "check_path", "check_rock", "package_at", "parse_targets"]


def check_path(path: str, config: Config, targets: Targets | None = None) -> Report:
    """The report on a directory, a rockspec, a rock or a tar.gz; `path` is relative to the current directory.

    Without `targets` those are meant that the project's `pumice.toml` names, else the default ones. Raises
    NotFoundError, DataError for a file that LuaRocks itself would refuse to read, and UsageError for targets
    of the project that are not known.
    """
    package = package_at(path, config)
    absolute = os.path.normpath(os.path.join(config.cwd, path))
    # what stands beside a finished artefact is not its own
    if not os.path.isdir(absolute) and not path.endswith(".rockspec"):
        return _judge(package, config, targets or DEFAULT)
    settings = _settings(absolute if os.path.isdir(absolute) else os.path.dirname(absolute))
    if targets is None and settings is not None:
        from pumice.kong.silence import read_targets

        targets = parse_targets(read_targets(settings))
    report = _judge(package, config, targets or DEFAULT)
    return report if settings is None else _silenced(report, settings)


def check_rock(rock: Rock, config: Config) -> Report:
    """The report on a rock that is at hand."""
    return _judge(package_of_rock(rock), config)


def _settings(folder: str) -> bytes | None:
    """The project's `pumice.toml`, if there is one."""
    from pumice.kong.silence import SETTINGS

    # a rockspec may lie in a folder of its own below the project
    above = source_directory(os.path.join(folder, SETTINGS))
    for place in (os.path.join(folder, SETTINGS), os.path.join(above, SETTINGS)):
        try:
            with open(place, "rb") as file:
                return file.read()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise translate(error, f"read {place}") from error
    return None


def _silenced(report: Report, settings: bytes) -> Report:
    """The report without what the project's settings silence, and with what is wrong in there."""
    from pumice.kong.silence import apply_silences, read_silences

    silences, problems = read_silences(settings)
    told, silenced = apply_silences(report.findings, silences)
    return report.replace(findings=(*told, *problems), silenced=silenced)


def package_at(path: str, config: Config) -> Package:
    """What lies at `path`, ready to be judged. Raises as `check_path`."""
    absolute = os.path.normpath(os.path.join(config.cwd, path))
    if os.path.isdir(absolute):
        if choose_rockspec(absolute) is None and os.path.isdir(os.path.join(absolute, "kong", "plugins")):
            return package_of_modules(absolute)
        return _directory(absolute, rockspec_in(absolute), config)
    if not os.path.exists(absolute):
        raise NotFoundError(
            f"{path} does not exist", hint="Give a directory, a rockspec, a rock or a tar.gz."
        )
    if path.endswith(".rockspec"):
        return _directory(source_directory(absolute), absolute, config)
    if path.endswith(".rock"):
        from pumice.rock.rockfile import open_rock

        return package_of_rock(open_rock(absolute, platforms=config.platforms))
    from pumice.kong.manual_tar import package_of_tar

    return package_of_tar(absolute, config.platforms)


def _directory(folder: str, rockspec_path: str, config: Config) -> Package:
    from pumice.operation.make import read_rockspec

    rockspec = read_rockspec(rockspec_path, config)
    return package_of_directory(folder, rockspec, modules=_detected(rockspec, folder, config.lib_extension))


def _detected(rockspec: Rockspec, folder: str, lib_extension: str) -> LuaTable | None:
    """The modules that the build would find by itself, where the rockspec leaves them out."""
    if not rockspec.is_builtin or "modules" in rockspec.build or not rockspec.format_at_least("3.0"):
        return None
    from pumice.build.modules import LuaModule, detect_modules
    from pumice.build.sources import SourceTree

    found: LuaTable = {}
    for module in detect_modules(SourceTree(folder), lib_extension).modules:
        if isinstance(module, LuaModule):
            found[module.name] = module.source
        else:
            found[module.name] = {"sources": dict(enumerate(module.sources, 1))}
    return found


def _judge(package: Package, config: Config, targets: Targets = DEFAULT) -> Report:
    problems: tuple[str, ...] = ()
    if package.rockspec is not None:
        from pumice.rock.lint import lint

        problems = tuple(problem.message for problem in lint(package.rockspec) if problem.severity == "error")
    return check(package, lua=config.lua_version, lint=problems, targets=targets)
