"""`PluginFiles`: one plugin as the channels take it that know no rocks: a name and the files below it."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import CheckError
from pumice.kong.package import module_of_path
from pumice.kong.plugin import find_plugins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.rock.dependency import Dependency
    from pumice.rock.rock import Rock

__all__ = ["PluginFiles", "Text", "files_of_plugins", "rocks_needed", "two_files"]

_ROOT = "kong/plugins/"
_LOADED_BY_KONG = ("api", "daos", "migrations", "status_api", "strategies")
_FOLD = "pack with --single-file, which folds its modules and dependencies into handler.lua and schema.lua"


class PluginFiles(Value):
    """A plugin's own files, and what it needs besides them."""

    name: str
    """The directory below `kong/plugins`, which is the plugin's name."""
    version: str
    """Of the rock, with its revision."""
    files: Mapping[str, bytes]
    """By path below the plugin's directory, sorted: `handler.lua`, `migrations/init.lua`."""
    needs: tuple[str, ...] = ()
    """What lies elsewhere, in words: `the module demo.util`, `the rock lua-resty-jwt`."""

    @property
    def loaded_by_kong(self) -> tuple[str, ...]:
        """Files that Kong itself looks for by name, and that no other file can hold, sorted."""
        return tuple(
            path for path in self.files if path.removesuffix(".lua").split("/", 1)[0] in _LOADED_BY_KONG
        )


class Text(Value):
    """A file to be written."""

    name: str
    """Relative, with `/`."""
    text: str


def files_of_plugins(rock: Rock) -> tuple[PluginFiles, ...]:
    """Every plugin of a rock, by name, with what else the rock brings or asks for.

    Raises CheckError for a rock without a plugin, or with one that has no handler or no schema.
    """
    files = {file.path: file for file in rock.section("lua")}
    modules = {module: path for path in files if (module := module_of_path(path)) is not None}
    plugins = find_plugins(modules)
    if not plugins:
        raise CheckError(
            f"{rock.name} {rock.version} has no plugin for Kong",
            hint="A plugin is made of the modules kong.plugins.NAME.handler and kong.plugins.NAME.schema.",
        )
    owned = {module for plugin in plugins for module in plugin.modules}
    needs = (
        *(f"the module {module}" for module in sorted(modules) if module not in owned),
        *(f"the C module {file.path}" for file in rock.section("lib")),
        *(f"the rock {each.name}" for each in rocks_needed(rock)),
    )
    found = []
    for plugin in plugins:
        for module in (plugin.handler, plugin.schema):
            if module not in modules:
                raise CheckError(
                    f"{rock.name} {rock.version} lacks the module {module}",
                    hint="`pumice check` on the plugin's source tells more.",
                )
        root = f"{_ROOT}{plugin.name.replace('.', '/')}/"
        own = {
            path.removeprefix(root): file.content.read()
            for path, file in sorted(files.items())
            if path.startswith(root)
        }
        found.append(PluginFiles(plugin.name, rock.version, own, needs))
    return tuple(found)


def rocks_needed(rock: Rock) -> tuple[Dependency, ...]:
    """The rocks that it depends on and that the newest known gateway does not bring, as they are named."""
    from pumice.kong.provided import provided_by_kong

    brought = {"lua", "luajit", *provided_by_kong("newest")}
    return tuple(each for each in rock.rockspec.dependencies if each.name not in brought)


def two_files(plugin: PluginFiles, channel: str) -> tuple[bytes, bytes]:
    """The handler and the schema of a plugin that has nothing else. Raises CheckError for any other.

    `channel` says who takes no more than these: `the operator`.
    """
    if plugin.loaded_by_kong:
        raise CheckError(
            f"{channel} takes exactly handler.lua and schema.lua, and Kong loads {plugin.loaded_by_kong[0]} "
            f"of {plugin.name} by its name",
            hint="A plugin with entities or endpoints of its own ships as a rock, a tar or an image.",
        )
    others = [path for path in plugin.files if path not in ("handler.lua", "schema.lua")]
    if others or plugin.needs:
        what = others[0] if others else plugin.needs[0]
        raise CheckError(
            f"{channel} takes exactly handler.lua and schema.lua, and {plugin.name} also needs {what}",
            hint=f"To ship it there, {_FOLD}.",
        )
    if len(plugin.files) != 2:
        raise CheckError(
            f"{channel} takes exactly handler.lua and schema.lua, and {plugin.name} has "
            f"{' and '.join(plugin.files)}",
            hint="Put the handler and the schema right below the plugin's directory.",
        )
    return plugin.files["handler.lua"], plugin.files["schema.lua"]
