"""What the drivers of one build share."""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.build.fileset import FileSet
    from pumice.build.sources import SourceTree
    from pumice.build.variables import Variables
    from pumice.lua.data import LuaTable
    from pumice.lua.interpreter import Interpreter
    from pumice.rock.rockspec import Rockspec

__all__ = ["BuildContext", "BuildOptions", "is_set"]


class BuildOptions(Value):
    """How a rock is to be built."""

    private_source: bool = False
    """The source directory was fetched for this build: it may be patched in place and thrown away."""
    install: bool = True
    """False: build, but install nothing (`make --no-install`); the Rock has no files."""
    jobs: int = 0
    """Compilers at once; 0: as many as this process may use processors."""
    namespace: str | None = None
    interpreter: Interpreter | None = None
    """The target's interpreter, if the caller knows it already."""
    dependency_dirs: Mapping[str, str] = {}
    """Rock directories of the dependencies by name: `$(NAME_ROCKDIR)` from format 3.1 on."""


class BuildContext(Value):
    """One build under way."""

    rockspec: Rockspec
    build: LuaTable
    """`build` of the rockspec after platform overrides; never changed."""
    build_type: str
    tree: SourceTree
    config: Config
    progress: Progress
    variables: Variables
    files: FileSet
    work_dir: str
    """A directory of this build alone; may not exist yet."""
    options: BuildOptions


def is_set(build: LuaTable, key: str, default: bool) -> bool:
    """A boolean of the build table; as in Lua everything but false counts as true."""
    value = build.get(key)
    return default if value is None else value is not False
