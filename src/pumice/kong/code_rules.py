"""What a plugin's Lua says that goes wrong after its load, found by reading (Kong contract 1.3, 8.1)."""

from __future__ import annotations

from pumice.kong.finding import Finding, finding
from pumice.kong.lua_tokens import tokens
from pumice.kong.plugin import BUNDLED, PREFIX
from pumice.kong.requires import required_modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.package import Package
    from pumice.kong.requires import Requirement

__all__ = ["code_findings"]

_BLOCKING_CALLS = {
    ("os", "execute"): "resty.shell runs a program without that",
    ("io", "popen"): "resty.shell runs a program without that",
    ("io", "lines"): "read the file once, in init_worker",
}
_BLOCKING_MODULES = ("socket", "ssl", "luasql", "http.request", "lsqlite3", "copas", "cqueues")
_REMOVED = (
    "kong.api.crud_helpers",
    "kong.core",
    "kong.dao",
    "kong.plugins.base_plugin",
    "kong.singletons",
    "kong.tools.public",
    "kong.tools.responses",
)
"""What Kong 3.0 took away; the stand-ins have the same list."""
_PUBLIC = ("kong.db.schema.typedefs", "kong.api.endpoints")
"""What the documentation tells plugins to require."""


def code_findings(package: Package) -> Iterator[Finding]:
    """Calls that block a worker, and modules that Kong has no more, or that are its own affair."""
    for path in sorted(set(package.modules.values())):
        source = package.source(path)
        if source is None:
            continue
        yield from _call_findings(path, source)
        for requirement in required_modules(source):
            yield from _module_findings(package, path, requirement)


def _call_findings(path: str, source: bytes) -> Iterator[Finding]:
    last = ["", "", "", ""]
    for token in tokens(source):
        last = [*last[1:], token.text if token.kind in ("word", "sign") else ""]
        advice = _BLOCKING_CALLS.get((last[1], last[3])) if last[2] == "." else None
        if advice is not None and last[0] not in (".", ":"):
            yield _blocking(path, token.line, f"{last[1]}.{last[3]}", advice)


def _module_findings(package: Package, path: str, requirement: Requirement) -> Iterator[Finding]:
    module = requirement.module
    if module in package.modules:
        return
    if _below(module, _BLOCKING_MODULES):
        yield _blocking(path, requirement.line, module, "use ngx.socket.tcp, resty.http, or ngx.now for time")
    elif _below(module, _REMOVED):
        yield finding(
            "module-removed",
            f"{module} is required, which Kong 3.0 took away: the line fails when it runs",
            kong=f"module '{module}' not found",
            file=path,
            line=requirement.line,
            hint="use the plugin development kit: the global 'kong'",
        )
    elif module.startswith("kong.") and module not in _PUBLIC:
        other = module.removeprefix(PREFIX).partition(".")[0] if module.startswith(PREFIX) else None
        if other is None or other in BUNDLED:
            yield finding(
                "module-internal",
                f"{module} is Kong's own affair: any version may change it or take it away",
                file=path,
                line=requirement.line,
                hint="use the plugin development kit (the global 'kong'), or keep a copy of what is needed",
            )


def _blocking(path: str, line: int, what: str, advice: str) -> Finding:
    return finding(
        "code-blocking",
        f"{what} blocks its worker: every other request that it serves waits",
        file=path,
        line=line,
        hint=advice,
    )


def _below(module: str, roots: tuple[str, ...]) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in roots)
