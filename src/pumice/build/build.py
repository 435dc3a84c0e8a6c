"""`build_rock`: a source directory becomes a Rock (LuaRocks contract 2.7).

Nothing is written into any tree. A rock of Lua files alone starts no process, and its files are read once.
What a rockspec names is checked before anything is done: no path may leave the source directory or the rock.
"""

from __future__ import annotations

from pumice.build.context import BuildContext, BuildOptions
from pumice.build.fileset import FileSet
from pumice.build.install import plan_installation
from pumice.build.sources import SourceTree
from pumice.build.variables import Variables, rock_variables
from pumice.errors import BuildError
from pumice.rock.rock import Rock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rock import RockFile
    from pumice.rock.rockspec import Rockspec

__all__ = ["BuildOptions", "apply_patches", "build_rock"]

TREESITTER = ("treesitter-parser", "tree-sitter")
_DRIVERS = ("builtin", "cmake", "command", "make", "none", *TREESITTER)
_NATIVE = (
    b"\x7fELF",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"MZ",
)
"""How executables of this world begin: ELF, Mach-O, PE."""


def build_rock(
    rockspec: Rockspec,
    source_dir: str,
    config: Config,
    progress: Progress,
    *,
    work_dir: str,
    options: BuildOptions | None = None,
) -> Rock:
    """Build the rock of a rockspec from its source directory.

    The source directory may be the user's own. Makefiles and commands run in it, and compiled modules are
    left there as LuaRocks leaves them; but patches, extra files and an inline CMakeLists are never written
    into it: then a copy below `work_dir` is built (`options.private_source` says that none is needed).
    `work_dir` is made when needed; the Rock's contents may lie in it until it is committed or packed.

    Raises BuildError with LuaRocks's words and a hint.
    """
    options = BuildOptions() if options is None else options
    build = rockspec.build
    build_type = _build_type(rockspec, config, progress)
    plan_installation(build, SourceTree(source_dir))
    context = _context(rockspec, source_dir, config, progress, build_type, work_dir, options)
    files = context.files
    if build.get("patches") is not None or build.get("extra_files") is not None or "cmake" in build:
        from pumice.build.prepare import prepare_sources

        context = context.replace(tree=prepare_sources(context))
    documented = False
    if build_type in TREESITTER:
        from pumice.build.treesitter import run_treesitter

        context, documented = run_treesitter(context)
    commands, directories = _drive(context)
    if options.install:
        plan = plan_installation(context.build, context.tree, commands, directories)
        plan.apply(context.tree, files, documented=documented)
    made = files.files()
    return Rock(rockspec, made, _arch(made, config), options.namespace, files.directories())


def apply_patches(rockspec: Rockspec, source_dir: str, config: Config, progress: Progress) -> None:
    """The extra files and patches of a rockspec are in `source_dir` itself, as `unpack` leaves it.

    Raises BuildError naming the patch and hunk that does not apply; then nothing was written.
    """
    from pumice.build.prepare import prepare_sources

    options = BuildOptions(private_source=True)
    prepare_sources(_context(rockspec, source_dir, config, progress, "none", source_dir, options))


def _context(
    rockspec: Rockspec,
    source_dir: str,
    config: Config,
    progress: Progress,
    build_type: str,
    work_dir: str,
    options: BuildOptions,
) -> BuildContext:
    rock_dir = f"{config.tree.rocks_dir}/{rockspec.name}/{rockspec.version}"
    own = rock_variables(rockspec, config, rock_dir, options.dependency_dirs)
    variables = Variables(config, progress, own, options.interpreter)
    files = FileSet(
        f"{work_dir}/snapshots",
        frozenset((f"{rockspec.name}-{rockspec.version}.rockspec", "rock_manifest", "rock_namespace")),
    )
    return BuildContext(
        rockspec,
        rockspec.build,
        build_type,
        SourceTree(source_dir),
        config,
        progress,
        variables,
        files,
        work_dir,
        options,
    )


def _build_type(rockspec: Rockspec, config: Config, progress: Progress) -> str:
    """The driver's name. Raises BuildError if it is missing, blocked or unknown."""
    build_type = rockspec.build_type
    if build_type is None:
        raise BuildError(
            "Rockspec error: build type not specified", hint='Add type = "builtin" to the build table.'
        )
    if build_type == "module":
        progress.message("info", "Do not use 'module' as a build type. Use 'builtin' instead.")
        build_type = "builtin"
    accepted = config.accepted_build_types
    if build_type != "none" and accepted is not None and build_type not in accepted:
        raise BuildError(
            f"This rockspec uses the '{build_type}' build type, which is blocked by the "
            "'accepted_build_types' setting in your LuaRocks configuration.",
            hint=f"Add '{build_type}' to accepted_build_types if you trust the rock.",
        )
    if build_type not in _DRIVERS:
        raise BuildError(
            f"Failed initializing build back-end for build type '{build_type}': "
            f"Pumice has no driver luarocks.build.{build_type}",
            hint=f"It knows {', '.join(_DRIVERS)}. Back-ends written in Lua, as luarocks-build-{build_type}, "
            "are not run; install a binary rock of this package instead.",
        )
    return build_type


def _drive(context: BuildContext) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Run the driver; gives the commands and directories that it detected."""
    if context.build_type == "builtin":
        from pumice.build.builtin import run_builtin

        return run_builtin(context)
    if context.rockspec.external_dependencies:
        from pumice.build.external import use_external_dependencies

        use_external_dependencies(context)
    if context.build_type not in ("none", *TREESITTER):
        from pumice.build.commands import run_commands

        run_commands(context)
    return (), ()


def _arch(files: tuple[RockFile, ...], config: Config) -> str:
    """`all` unless the rock has C modules or commands that only this kind of machine runs."""
    for file in files:
        if file.section == "lib" or (file.section == "bin" and file.content.read().startswith(_NATIVE)):
            return config.arch
    return "all"
