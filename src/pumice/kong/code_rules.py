"""What a plugin's Lua says that goes wrong after its load, found by reading (Kong contract 1.3, 8.1)."""

from __future__ import annotations

from pumice.kong.code_mentions import mentions
from pumice.kong.finding import Finding, finding
from pumice.kong.kong_version import NEWEST
from pumice.kong.plugin import PREFIX
from pumice.kong.requires import required_modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pumice.kong.kong_version import Gateway
    from pumice.kong.package import Package
    from pumice.kong.requires import Requirement

__all__ = ["absent_findings", "code_findings", "required_outside"]

_BLOCKING_CALLS = {
    "os.execute": "resty.shell runs a program without that",
    "io.popen": "resty.shell runs a program without that",
    "io.lines": "read the file once, in init_worker",
}
_ONLY_TEXT = ("socket.url", "socket.headers")
"""Parts of LuaSocket that open nothing."""
_BLOCKING_IN_REQUESTS = {
    "io.open": "read the file once, in init_worker; write with kong.log",
    "io.read": "a gateway has no standard input",
    "os.remove": "do it in a timer, where no request waits",
    "os.rename": "do it in a timer, where no request waits",
}
"""What blocks as well, but may be done before requests come."""
_NOT_IN_REQUESTS = (None, "", "init_worker", "configure")
_BLOCKING_MODULES = ("socket", "ssl", "luasql", "http.request", "lsqlite3", "copas", "cqueues")
_PUBLIC = ("kong.db.schema.typedefs", "kong.api.endpoints")
"""What the documentation tells plugins to require."""


def code_findings(package: Package, gateway: Gateway = NEWEST) -> Iterator[Finding]:
    """Calls that block a worker, and modules that `gateway` has not, or that are its own affair."""
    for path in sorted(set(package.modules.values())):
        source = package.source(path)
        if source is None:
            continue
        yield from _call_findings(path, source)
        for requirement in required_modules(source):
            yield from _module_findings(package, path, requirement, gateway)


def required_outside(package: Package) -> frozenset[str]:
    """Modules that are no part of `package` or of Kong, and that some of its code requires.

    Nothing for a rock with dependencies: any of them may bring what it is not known for.
    """
    rockspec = package.rockspec
    if rockspec is None or any(item.name != "lua" for item in rockspec.dependencies):
        return frozenset()
    required = {
        requirement.module
        for path in set(package.modules.values())
        for requirement in required_modules(package.source(path) or b"")
    }
    own = {*package.modules, *package.c_modules}
    return frozenset(name for name in required - own if name != "kong" and not name.startswith("kong."))


def absent_findings(package: Package, unknown: Collection[str]) -> Iterator[Finding]:
    """Where the modules that nobody has, `unknown`, are required."""
    for path in sorted(set(package.modules.values())) if unknown else ():
        for requirement in required_modules(package.source(path) or b""):
            if requirement.module in unknown:
                yield finding(
                    "module-absent",
                    f"{requirement.module} is required, which neither the rock nor Kong has: the line fails "
                    "when it runs",
                    kong=f"module '{requirement.module}' not found",
                    file=path,
                    line=requirement.line,
                    hint="name the rock that has it in the rockspec's dependencies",
                )


def _call_findings(path: str, source: bytes) -> Iterator[Finding]:
    for mention in mentions(source):
        advice = _BLOCKING_CALLS.get(mention.name)
        if advice is None and mention.phase not in _NOT_IN_REQUESTS:
            advice = _BLOCKING_IN_REQUESTS.get(mention.name)
        if advice is not None:
            yield _blocking(path, mention.line, mention.name, advice)


def _module_findings(
    package: Package, path: str, requirement: Requirement, gateway: Gateway
) -> Iterator[Finding]:
    module = requirement.module
    if module in package.modules:
        return
    if _below(module, _BLOCKING_MODULES) and module not in _ONLY_TEXT:
        yield _blocking(path, requirement.line, module, "use ngx.socket.tcp, resty.http, or ngx.now for time")
    elif not module.startswith("kong."):
        if _below(module, gateway.absent_libraries):
            yield finding(
                "module-removed",
                f"{module} is required, and not every Kong brings it: the line fails when it runs",
                kong=f"module '{module}' not found",
                file=path,
                line=requirement.line,
                hint="name the rock that has it in the rockspec's dependencies",
            )
    elif gateway.has_module(module) is False and (not module.startswith(PREFIX) or gateway.when(module)):
        when = gateway.when(module)
        yield finding(
            "module-removed",
            f"{module} is required, which {when or 'Kong does not have'}: the line fails when it runs",
            kong=f"module '{module}' not found",
            file=path,
            line=requirement.line,
            hint="use the plugin development kit: the global 'kong'",
        )
    elif module not in _PUBLIC:
        other = module.removeprefix(PREFIX).partition(".")[0] if module.startswith(PREFIX) else None
        if other is None or other in gateway.bundled:
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
