"""What a package must hold before any of it is run: files, syntax, names (Kong contract 1.1, 1.2, 3)."""

from __future__ import annotations

import os

from pumice.kong.finding import Finding, finding
from pumice.kong.package import module_of_path
from pumice.kong.plugin import BUNDLED, name_problem
from pumice.kong.requires import required_modules
from pumice.lua.compile import compile_check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pumice.kong.package import Package
    from pumice.kong.plugin import Plugin

__all__ = [
    "UPVALUES",
    "bundled_findings",
    "file_findings",
    "name_findings",
    "part_findings",
    "syntax_findings",
    "unlisted_findings",
    "unlisted_modules",
]

_OTHERS_READ = 0o004
UPVALUES = "has more than 60 upvalues"
"""What LuaJIT refuses, and a gateway's LuaJIT, compiled with another limit, does not (contract 8.1)."""


def file_findings(package: Package) -> Iterator[Finding]:
    """Listed files that are not there, lie outside, or could not be read by a gateway's user."""
    for item in sorted(package.missing, key=lambda item: item.path):
        what = "directory" if item.is_directory else "file"
        where = "the rock" if package.kind == "rock" else "the package"
        yield finding(
            "file-missing",
            f"{item.path} is not in {where}, but the rockspec names it ({item.role})",
            file=item.path,
            hint=f"add the {what}, or take it out of the rockspec",
        )
    for item in sorted(package.outside, key=lambda item: item.path):
        yield finding(
            "file-outside",
            f"{item.path} does not lie in the package, but the rockspec names it ({item.role})",
            file=item.path,
            hint="name it by a path below the rockspec's directory",
        )
    for path, file in sorted(package.files.items()):
        if file.mode is not None and not file.mode & _OTHERS_READ:
            yield finding(
                "file-unreadable",
                f"{path} can be read by its owner only (mode {file.mode:04o}); where it is mounted or "
                "copied as it is, the gateway's user cannot, and to Kong it is not there",
                file=path,
                hint=f"chmod 644 {path}",
            )


def syntax_findings(package: Package, lua: str) -> Iterator[Finding]:
    """Lua files that do not compile under `lua`: modules, and commands that are written in Lua."""
    commands = [item.path for item in package.listed if item.role == "install.bin"]
    if package.kind == "rock":
        commands = [path for path in package.files if path.startswith("bin/")]
    for path in sorted({*package.modules.values(), *(path for path in commands if path.endswith(".lua"))}):
        source = package.source(path)
        if source is None:
            continue
        problem = compile_check(source, lua, path)
        if problem is not None and not (lua == "luajit" and problem.message.endswith(UPVALUES)):
            yield finding(
                "lua-syntax",
                problem.message,
                kong=_syntax_words(package, path, problem.line, problem.message),
                file=path,
                line=problem.line,
                hint="LuaJIT runs it in the gateway: Lua 5.1 with a little of 5.2" if lua == "luajit" else "",
            )


def part_findings(package: Package, plugins: tuple[Plugin, ...]) -> Iterator[Finding]:
    """Plugins without handler or schema, and a rock named as a plugin that has none."""
    name = package.rockspec.name if package.rockspec is not None else ""
    if not plugins and name.startswith("kong-plugin-") and (package.modules or package.kind != "directory"):
        yield finding(
            "plugin-absent",
            f"{name} is named as a Kong plugin, but has no module kong.plugins.NAME.handler",
            file=_rockspec_file(package),
            hint='list the handler as ["kong.plugins.NAME.handler"] = "kong/plugins/NAME/handler.lua"',
        )
    unlisted = unlisted_modules(package)
    for plugin in plugins:
        for part, module, words in (
            (
                "handler",
                plugin.handler,
                f"{plugin.name} plugin is enabled but not installed; no plugin found",
            ),
            ("schema", plugin.schema, f"no configuration schema found for plugin: {plugin.name}"),
        ):
            if module in package.modules:
                continue
            lies = unlisted.get(module)
            if lies is None:
                message, hint = f"'{plugin.name}' has no {part}", f"add {part}.lua, and list it as {module}"
            else:
                message = f"'{plugin.name}' has a {part}, {lies}, that the rockspec does not list"
                hint = f'add ["{module}"] = "{lies}" to build.modules'
            yield finding(
                f"{part}-missing", message, kong=words, file=lies or _rockspec_file(package), hint=hint
            )


def unlisted_findings(package: Package) -> Iterator[Finding]:
    """Lua files beside a plugin's modules that would not ship: an error where one that ships needs them."""
    unlisted = unlisted_modules(package)
    needed: dict[str, tuple[str, int]] = {}
    for path in sorted(package.modules.values()) if unlisted else ():
        for requirement in required_modules(package.source(path) or b""):
            if requirement.module in unlisted:
                needed.setdefault(requirement.module, (path, requirement.line))
    for module, path in sorted(unlisted.items()):
        if (
            module.startswith("kong.plugins.")
            and module.endswith((".handler", ".schema"))
            and module.count(".") == 3
        ):
            # `part_findings` tells of these
            continue
        hint = f'add ["{module}"] = "{path}" to build.modules'
        if module in needed:
            user, line = needed[module]
            yield finding(
                "module-required-unlisted",
                f"{user} requires {module}, but the rockspec does not list {path}",
                kong=f"module '{module}' not found",
                file=user,
                line=line,
                hint=hint,
            )
        else:
            yield finding(
                "module-unlisted",
                f"{path} lies with the plugin, but the rockspec does not list it: it will not ship",
                file=path,
                hint=f"{hint}, or move the file away",
            )


def unlisted_modules(package: Package) -> Mapping[str, str]:
    """Modules that the plugin's directory holds and the rockspec does not list, with their files."""
    if package.kind != "directory":
        return {}
    roots = {
        os.path.dirname(path): module.rpartition(".")[0]
        for module, path in package.modules.items()
        if module.startswith("kong.plugins.") and module.endswith((".handler", ".schema"))
    }
    listed = set(package.modules.values()) | {os.path.normpath(item.path) for item in package.listed}
    unlisted = {}
    for path in package.files:
        if path in listed:
            continue
        for root, prefix in roots.items():
            below = path if not root else path[len(root) + 1 :] if path.startswith(root + "/") else ""
            module = module_of_path(below)
            if module is not None:
                unlisted[f"{prefix}.{module}"] = path
    return unlisted


def bundled_findings(
    package: Package, plugins: tuple[Plugin, ...], bundled: Collection[str] = BUNDLED
) -> Iterator[Finding]:
    """Plugins with the name of one that the gateway brings."""
    for plugin in plugins:
        if plugin.name in bundled:
            message, hint = name_problem(plugin.name, bundled) or ("", "")
            yield finding("name-bundled", message, file=_rockspec_file(package), hint=hint)


def name_findings(package: Package, plugins: tuple[Plugin, ...]) -> Iterator[Finding]:
    """Names that only some channels would take; and a rock that does not tell its plugin's name."""
    file = _rockspec_file(package)
    for plugin in plugins:
        problem = name_problem(plugin.name, ())
        if problem is not None:
            yield finding("name-portable", problem[0], file=file, hint=problem[1])
    if package.rockspec is not None and len(plugins) == 1:
        wanted = f"kong-plugin-{plugins[0].name}".lower()
        if package.rockspec.name != wanted:
            told = f"the rock is called {package.rockspec.package}, its plugin '{plugins[0].name}'"
            if package.rockspec.name == plugins[0].name.lower():
                told = (
                    f"the rock is called {package.rockspec.package}, which tells nobody that it is a plugin"
                )
            yield finding(
                "name-package",
                told,
                file=file,
                hint=f"call the rock {wanted}, as Kong's own template does",
            )


def _rockspec_file(package: Package) -> str | None:
    return os.path.basename(package.rockspec.file_name) if package.rockspec is not None else None


def _syntax_words(package: Package, path: str, line: int, message: str) -> str:
    for module, file in package.modules.items():
        if file == path and module.startswith("kong.plugins."):
            return f"error loading module '{module}': {path}:{line}: {message}"
    return ""
