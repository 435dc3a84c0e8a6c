"""The `builtin` driver: Lua modules are taken, C modules compiled (LuaRocks contract 2.7)."""

from __future__ import annotations

from pumice.build.modules import LuaModule, detect_modules, parse_modules
from pumice.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.build.context import BuildContext
    from pumice.build.modules import CModule

__all__ = ["run_builtin"]

_WHERE = "build.modules"


def run_builtin(context: BuildContext) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Add the modules to the files; gives the detected commands and directories (none if modules are listed).

    Raises BuildError with LuaRocks's words.
    """
    commands: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    table = context.build.get("modules")
    rockspec = context.rockspec
    extension = context.config.lib_extension
    if table is not None:
        modules = parse_modules(
            table, extension, libraries_are_dependencies="external_dependencies" not in rockspec.globals
        )
        _use_external(context, modules)
    elif rockspec.format_at_least("3.0"):
        _use_external(context, ())
        named = [(name, asked.library) for name, asked in rockspec.external_dependencies.items()]
        named = [(name, library) for name, library in named if library is not None]
        detected = detect_modules(
            context.tree,
            extension,
            tuple([library for _, library in named if library is not None]),
            tuple(context.variables[f"{name}_INCDIR"] for name, _ in named),
            tuple(context.variables[f"{name}_LIBDIR"] for name, _ in named),
        )
        modules, commands, directories = detected.modules, detected.commands, detected.directories
    else:
        raise BuildError(
            "Build error: Missing build.modules table",
            hint='List the modules, or add rockspec_format = "3.0" to have them detected.',
        )
    _install(context, modules)
    return commands, directories


def _use_external(context: BuildContext, modules: tuple[LuaModule | CModule, ...]) -> None:
    """Find the external dependencies, or the modules' libraries if the rockspec names none."""
    if context.rockspec.external_dependencies or any(
        not isinstance(module, LuaModule) and module.libraries for module in modules
    ):
        from pumice.build.external import use_external_dependencies

        use_external_dependencies(context, modules)


def _install(context: BuildContext, modules: tuple[LuaModule | CModule, ...]) -> None:
    tree, files = context.tree, context.files
    compiled: list[CModule] = []
    found: list[tuple[LuaModule, str]] = []
    for module in modules:
        if isinstance(module, LuaModule):
            source = tree.file(module.source, _WHERE)
            if source is None:
                raise BuildError(
                    f"Build error: Failed installing {module.source} in lua/{module.target}: "
                    f"{module.source}: No such file or directory",
                    hint=f"Module '{module.name}' names a file that is not in {tree.root}.",
                )
            found.append((module, source))
        else:
            compiled.append(module)
    if compiled:
        from pumice.build.compiler import compile_modules

        for target, product in compile_modules(context, compiled):
            if context.options.install:
                files.add_private(f"lib/{target}", product, True, _WHERE)
    if not context.options.install:
        return
    for module, source in found:
        files.add_file(f"lua/{module.target}", source, False, _WHERE)
    for path in tree.walk("lua", "The source directory"):
        files.add_file(f"lua/{path}", f"{tree.root}/lua/{path}", False, "The source directory")
