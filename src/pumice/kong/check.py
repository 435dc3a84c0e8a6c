"""`check`: what would be refused, and what would go wrong, before anything leaves the machine."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.channel_rules import NAMED_BY_SCHEMA, ChannelVerdict, channel_report
from pumice.kong.code_rules import code_findings
from pumice.kong.finding import Finding, finding
from pumice.kong.judged_plugin import JudgedPlugin, PluginFacts
from pumice.kong.package_rules import (
    bundled_findings,
    file_findings,
    name_findings,
    part_findings,
    syntax_findings,
    unlisted_findings,
    unlisted_modules,
)
from pumice.kong.plugin import find_plugins
from pumice.kong.rock_rules import content_findings, dependency_findings, size_findings, source_findings
from pumice.kong.targets import CHANNELS, DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.kong.kong_version import Gateway
    from pumice.kong.package import Package
    from pumice.kong.silence import Silenced
    from pumice.kong.targets import Targets

__all__ = ["PluginFacts", "Report", "check"]


class Report(Value):
    """What a check found, and the plugins that it saw."""

    findings: tuple[Finding, ...]
    plugins: tuple[PluginFacts, ...]
    silenced: tuple[Silenced, ...] = ()
    """What the project's `pumice.toml` takes out of the findings."""
    channels: tuple[ChannelVerdict, ...] = ()
    """One for each channel that was asked for."""
    lines: Mapping[tuple[str, int], str] = {}
    """The source lines that findings are about, by file and number."""

    @property
    def ok(self) -> bool:
        """Whether nothing would be refused: there may be warnings."""
        return not any(item.is_error for item in self.findings)


def check(
    package: Package,
    *,
    lua: str = "5.1",
    lint: Sequence[str] = (),
    seconds: float = 10.0,
    memory: int = 256 << 20,
    targets: Targets = DEFAULT,
) -> Report:
    """Judges a package: its files, the syntax of its Lua, and as a Kong plugin if it is one.

    `lua` is the target of a rock that is no plugin (a plugin's is LuaJIT), `lint` what was found in the
    rockspec already, `seconds` and `memory` what the plugin's code may take to load, each time that it does:
    once for each gateway of `targets`. Raises nothing for what the package says or does.
    """
    plugins = find_plugins([*package.modules, *unlisted_modules(package)])
    findings = [finding("rockspec-lint", message, file=_rockspec(package)) for message in lint]
    findings += file_findings(package)
    syntax = list(syntax_findings(package, "luajit" if plugins else lua))
    findings += syntax
    findings += part_findings(package, plugins)
    findings += name_findings(package, plugins)
    findings += unlisted_findings(package)
    findings += source_findings(package)
    facts: tuple[PluginFacts, ...] = ()
    held: dict[Finding, list[Gateway]] = {}
    if plugins:
        findings += content_findings(package)
        findings += size_findings(package)
        broken = frozenset(item.file for item in syntax if item.file is not None)
        hasty = False
        for gateway in targets.gateways:
            of_gateway: list[Finding] = [
                *bundled_findings(package, plugins, gateway.bundled),
                *dependency_findings(package, gateway),
                *code_findings(package, gateway),
            ]
            judged = [
                JudgedPlugin(
                    package, plugin, gateway, broken=broken, seconds=seconds, memory=memory, hasty=hasty
                )
                for plugin in plugins
            ]
            of_gateway += [item for plugin in judged for item in plugin.findings]
            hasty = hasty or any(item.code == "load-limit" for item in of_gateway)
            for item in _once(of_gateway):
                held.setdefault(item, []).append(gateway)
            # the last gateway is the newest
            facts = tuple(plugin.facts for plugin in judged)
        findings += [item.replace(targets=targets.labels(gateways)) for item, gateways in held.items()]
    for_channels, verdicts = channel_report(package, plugins, facts, targets)
    told = _once(_without_general(findings, targets) + list(for_channels))
    return Report(
        told,
        facts,
        channels=verdicts,
        lines=_lines(package, told),
    )


_SAME = {
    "code-blocking": ("load-effect",),
    "module-removed": ("module-missing",),
    "module-absent": ("module-missing", "module-removed", "code-blocking", "module-required-unlisted"),
}
"""What reading finds, and what it is called when the load has met it."""
_GENERAL = {"name-portable": CHANNELS, "size-channel": CHANNELS, "name-schema": NAMED_BY_SCHEMA}
"""What is said of channels in general; where one of these is named, its own rules say it exactly."""


def _without_general(findings: Sequence[Finding], targets: Targets) -> list[Finding]:
    return [
        item
        for item in findings
        if not any(channel in _GENERAL.get(item.code, ()) for channel in targets.channels)
    ]


def _once(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings without what is told twice, by reading and by loading."""
    met = {(item.code, item.file, item.line) for item in findings}
    return tuple(
        item
        for item in dict.fromkeys(findings)
        if not any((code, item.file, item.line) in met for code in _SAME.get(item.code, ()))
    )


def _lines(package: Package, findings: Sequence[Finding]) -> dict[tuple[str, int], str]:
    """The source line of every finding that has a place."""
    texts: dict[str, list[bytes]] = {}
    found = {}
    for item in findings:
        if item.file is None or item.line is None:
            continue
        if item.file not in texts:
            source = package.source(item.file)
            if source is None and package.rockspec is not None and item.file == _rockspec(package):
                source = package.rockspec.text
            texts[item.file] = (source or b"").split(b"\n")
        if item.line <= len(texts[item.file]):
            line = texts[item.file][item.line - 1].rstrip(b"\r")
            found[item.file, item.line] = line.decode("utf-8", "replace")
    return found


def _rockspec(package: Package) -> str | None:
    return package.rockspec.file_name.rpartition("/")[2] if package.rockspec is not None else None
