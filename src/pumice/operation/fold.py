"""Folding: a rock's plugins in two files each, with what is installed of their dependencies, and compared."""

from __future__ import annotations

import os

from pumice.errors import CheckError
from pumice.kong.loaded import Job
from pumice.kong.package import module_of_path
from pumice.kong.plugin_files import files_of_plugins, rocks_needed
from pumice.kong.sandbox import ModuleSource, Sandbox, load_modules
from pumice.kong.single_file import LuaSource, fold, place_in
from pumice.operation.needed_rocks import needed_rocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.base.config import Config, TreeSpec
    from pumice.base.progress import Progress
    from pumice.kong.loaded import Loaded
    from pumice.kong.plugin_files import PluginFiles
    from pumice.kong.single_file import Folded, Span
    from pumice.rock.rock import Rock

__all__ = ["fold_plugins", "folded_rock", "load_plugin", "lua_sources"]


def fold_plugins(
    rock: Rock, trees: Sequence[TreeSpec], config: Config, progress: Progress
) -> tuple[tuple[PluginFiles, ...], dict[str, tuple[Span, ...]]]:
    """The plugins of a rock, each in two files, and by plugin which lines came from where.

    Both forms are loaded, as a gateway would, and compared. Raises CheckError when the folded one lacks a
    module, or is another plugin in any way that can be seen.
    """
    needed = needed_rocks(rock, trees, config, progress, otherwise="nothing of it is folded in")
    rocks = [rock, *needed]
    sources = {module: source for each in reversed(rocks) for module, source in lua_sources(each).items()}
    c_modules = frozenset(
        os.path.splitext(file.path)[0].replace("/", ".") for each in rocks for file in each.section("lib")
    )
    folded, spans = [], {}
    for plugin in files_of_plugins(rock):
        made = fold(plugin, sources, c_modules)
        _compare(plugin.name, sources, made)
        folded.append(made.plugin)
        spans[plugin.name] = made.spans
    return tuple(folded), spans


def folded_rock(rock: Rock, trees: Sequence[TreeSpec], config: Config, progress: Progress) -> Rock:
    """The rock with its plugins folded and nothing else that is Lua or C, for a channel that takes two files.

    It depends only on what a gateway brings. Raises CheckError as `fold_plugins`.
    """
    from hashlib import md5

    from pumice.rock.content import Content
    from pumice.rock.rock import RockFile

    plugins, _ = fold_plugins(rock, trees, config, progress)
    lua = [
        RockFile(
            "lua",
            f"kong/plugins/{plugin.name.replace('.', '/')}/{path}",
            False,
            md5(data, usedforsecurity=False).hexdigest(),
            len(data),
            Content.of_bytes(data),
        )
        for plugin in plugins
        for path, data in plugin.files.items()
    ]
    others = [file for file in rock.files if file.section not in ("lua", "lib")]
    files = sorted([*lua, *others], key=lambda file: (file.section, file.path))
    folded_in = rocks_needed(rock)
    kept = tuple(each for each in rock.rockspec.dependencies if each not in folded_in)
    return rock.replace(files=tuple(files), rockspec=rock.rockspec.replace(dependencies=kept))


def lua_sources(rock: Rock) -> dict[str, LuaSource]:
    """The Lua modules of a rock, by name."""
    return {
        module: LuaSource(file.path, file.content.read())
        for file in rock.section("lua")
        if (module := module_of_path(file.path)) is not None
    }


def load_plugin(name: str, sources: Mapping[str, LuaSource]) -> tuple[Loaded, Loaded]:
    """What a gateway makes of handler and schema. Raises CheckError when they do not come to an end."""
    jobs = [Job(part, f"kong.plugins.{name}.{part}") for part in ("handler", "schema")]
    modules = {module: ModuleSource(source.path, source.text) for module, source in sources.items()}
    outcome = load_modules(jobs, Sandbox(modules=modules))
    if len(outcome.loaded) != len(jobs):
        raise CheckError(
            f"{jobs[len(outcome.loaded)].module} could not be loaded: {outcome.failure}",
            hint="`pumice check` on the plugin's source tells more.",
        )
    return outcome.loaded[0], outcome.loaded[1]


def _compare(name: str, sources: Mapping[str, LuaSource], folded: Folded) -> None:
    """Raises CheckError unless the folded plugin loads, and is what the unfolded one is."""
    before = load_plugin(name, sources)
    alone = {
        f"kong.plugins.{name}.{path.removesuffix('.lua')}": LuaSource(path, data)
        for path, data in folded.plugin.files.items()
    }
    after = load_plugin(name, alone)
    for old, new in zip(before, after, strict=True):
        if old.error is not None:
            raise CheckError(
                f"{name} does not load: {old.error}",
                hint="Install what it lacks here with `pumice install`, so that it can be folded in; "
                "`pumice check` on its source tells more.",
            )
        if new.error is not None:
            raise CheckError(
                f"{name}, folded, does not load: {_placed(new.error, folded.spans)}",
                hint="Ship it with its modules: as a rock, a tar or an image.",
            )
        if (old.type, old.priority, old.version, old.functions, old.value) != (
            new.type,
            new.priority,
            new.version,
            new.functions,
            new.value,
        ):
            raise CheckError(
                f"{name} is not the same when it is folded: its {new.job.kind} differs",
                hint="Ship it with its modules: as a rock, a tar or an image.",
            )


def _placed(text: str, spans: tuple[Span, ...]) -> str:
    """An error's text with the places that it names in a folded file told as their modules'."""
    import re

    def original(match: re.Match[str]) -> str:
        place = place_in(spans, match[1], int(match[2]))
        return f"{place[0]}:{place[1]}:" if place is not None else match[0]

    return re.sub(r"(?<![\w/.-])((?:handler|schema)\.lua):(\d+):", original, text)
