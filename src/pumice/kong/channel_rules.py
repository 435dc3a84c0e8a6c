"""What the channels take and refuse: section 4.11 of the Kong contract, with the sections that it sums up.

Each rule is asked once for every channel that it belongs to; what several channels say in the same words is
one finding for all of them.
"""

from __future__ import annotations

import re

from pumice.base.value import Value
from pumice.kong.channel_code import code_findings_of
from pumice.kong.channel_plugin import ChannelPlugin
from pumice.kong.channel_sizes import size_findings_of
from pumice.kong.finding import Finding, finding
from pumice.kong.kong_version import ENTERPRISE_VERSIONS, NEWEST
from pumice.kong.targets import CHANNELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pumice.kong.judged_plugin import PluginFacts
    from pumice.kong.package import Package
    from pumice.kong.plugin import Plugin
    from pumice.kong.targets import Targets

    Rule = Callable[[ChannelPlugin, str], Iterator[Finding]]

__all__ = ["NAMED_BY_SCHEMA", "ChannelVerdict", "channel_findings", "channel_report"]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,49}[a-z0-9])?\Z")
_KONNECT_NAME = re.compile(r"[0-9a-zA-Z-]{1,128}\Z")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")
_FOLD = "pack with --single-file, which folds modules and pure-Lua dependencies into the two files"


class ChannelVerdict(Value):
    """One plugin on one channel."""

    plugin: str
    channel: str
    ok: bool
    name_from: str
    """What names the plugin there."""
    restart: str
    """What an update asks of the nodes."""


def channel_findings(
    package: Package, plugins: Sequence[Plugin], facts: Sequence[PluginFacts], targets: Targets
) -> Iterator[Finding]:
    """What the channels of `targets` say of the plugins; every finding names its channels."""
    return (item for _, found in _by_plugin(package, plugins, facts, targets) for item in found)


def channel_report(
    package: Package, plugins: Sequence[Plugin], facts: Sequence[PluginFacts], targets: Targets
) -> tuple[tuple[Finding, ...], tuple[ChannelVerdict, ...]]:
    """The findings, and for each plugin and channel whether it is taken, and its name and updates there."""
    told = [(plugin, tuple(found)) for plugin, found in _by_plugin(package, plugins, facts, targets)]
    verdicts = tuple(
        ChannelVerdict(
            plugin.name,
            channel,
            not any(item.is_error and channel in item.targets for item in found),
            CHANNELS[channel].name_from,
            CHANNELS[channel].restart,
        )
        for plugin, found in told
        for channel in targets.channels
    )
    return tuple(item for _, found in told for item in found), verdicts


def _by_plugin(
    package: Package, plugins: Sequence[Plugin], facts: Sequence[PluginFacts], targets: Targets
) -> Iterator[tuple[Plugin, Iterator[Finding]]]:
    by_name = {known.name: known for known in facts}
    for plugin in plugins if targets.channels else ():
        subject = ChannelPlugin.of(package, plugin, by_name.get(plugin.name), targets)
        held: dict[Finding, list[str]] = {}
        for rule, channels in _RULES:
            for channel in targets.channels:
                if channel in channels:
                    for item in rule(subject, channel):
                        held.setdefault(item, []).append(channel)
        yield (
            plugin,
            (item.replace(targets=tuple(dict.fromkeys(channels_of))) for item, channels_of in held.items()),
        )


def _names(plugin: ChannelPlugin, channel: str) -> Iterator[Finding]:
    if channel in ("helm", "operator"):
        if not _LABEL.match(plugin.name):
            yield finding(
                "channel-name",
                f"'{plugin.name}' is no name for Kubernetes, where volumes are named after the plugin",
                file=plugin.spec,
                hint="at most 51 lower-case letters, digits and '-' between them",
            )
        return
    if not _KONNECT_NAME.match(plugin.name):
        yield finding(
            "channel-name",
            f"'{plugin.name}' is no name for Konnect and streamed plugins",
            file=plugin.spec,
            hint="letters, digits and '-', at most 128",
        )
    if plugin.name in NEWEST.bundled:
        yield finding(
            "channel-name",
            f"'{plugin.name}' is a plugin that Kong brings, and Konnect takes no second one",
            kong=f"unique constraint failed: schema already exists for plugin '{plugin.name}'",
            file=plugin.spec,
            hint=f"put your organisation before it, as in 'acme-{plugin.name}'",
        )


def _identity(plugin: ChannelPlugin, _channel: str) -> Iterator[Finding]:
    if plugin.schema_name is not None and plugin.schema_name != plugin.name:
        yield finding(
            "channel-identity",
            f"the schema calls itself '{plugin.schema_name}', which is the plugin's name there, and the "
            f"nodes know '{plugin.name}'",
            file=plugin.schema,
            hint=f'write name = "{plugin.name}" in schema.lua',
        )


def _modules(plugin: ChannelPlugin, channel: str) -> Iterator[Finding]:
    more = [path for path in plugin.files if path not in ("handler.lua", "schema.lua")]
    own = [path for path in more if path not in plugin.loaded_by_kong]
    if own or plugin.elsewhere:
        told = ", ".join((own + list(plugin.elsewhere))[:3])
        first = own[0].rpartition("/")[2] if own else ""
        said = f'file "{first}" is unexpected, required files are handler.lua and schema.lua'
        yield finding(
            "channel-modules",
            f"'{plugin.name}' has more than handler.lua and schema.lua, and no more is taken: {told}",
            kong=said if channel == "operator" and own else "",
            file=plugin.path_of(own[0]) if own else plugin.spec,
            hint=_FOLD,
        )
    lacking = [name for name in ("handler.lua", "schema.lua") if name not in plugin.files]
    if lacking:
        yield finding(
            "channel-modules",
            f"'{plugin.name}' has no {' and no '.join(lacking)} right below its directory",
            kong=f"required files not found in the image: {', '.join(lacking)}"
            if channel == "operator"
            else "",
            file=plugin.spec,
            hint="handler and schema have to be these two files",
        )


def _entities(plugin: ChannelPlugin, _channel: str) -> Iterator[Finding]:
    if plugin.loaded_by_kong:
        first = plugin.loaded_by_kong[0]
        yield finding(
            "channel-entities",
            f"'{plugin.name}' has {', '.join(plugin.loaded_by_kong[:3])}: entities, migrations and endpoints "
            "of its own are not taken",
            file=plugin.path_of(first),
            hint="ship it as a rock, a tar or an image",
        )


def _needs(plugin: ChannelPlugin, channel: str) -> Iterator[Finding]:
    needs = [f"the rock {name}" for name in plugin.rocks]
    needs += [f"the C module {name}" for name in plugin.c_modules]
    if channel == "helm":
        needs += [f"the module {name}" for name in plugin.elsewhere]
    if channel == "tar":
        if plugin.rocks:
            yield finding(
                "channel-rocks",
                f"'{plugin.name}' needs {' and '.join(plugin.rocks[:3])}, which the archive does not hold",
                file=plugin.spec,
                hint="put the rocks onto the nodes as well, or pack a bundle, which brings them",
            )
    elif needs:
        yield finding(
            "channel-needs",
            f"'{plugin.name}' needs {', '.join(needs[:3])}, and only what lies in kong/plugins comes along",
            file=plugin.spec,
            hint=f"{_FOLD}; or put what it needs into the image",
        )


def _keys(plugin: ChannelPlugin, _channel: str) -> Iterator[Finding]:
    for path in plugin.files:
        if not _KEY.match(path.rpartition("/")[2]):
            yield finding(
                "channel-name",
                f"{path} of '{plugin.name}' has a name that is no key of a ConfigMap",
                file=plugin.path_of(path),
                hint="letters, digits, '-', '_' and '.' alone",
            )


def _directories(plugin: ChannelPlugin, _channel: str) -> Iterator[Finding]:
    below = sorted({path.rpartition("/")[0] for path in plugin.files} - {""})
    if below:
        yield finding(
            "channel-directory",
            f"'{plugin.name}' has the directories {', '.join(below[:3])}: each is a ConfigMap of its own",
            file=plugin.spec,
            hint="`pumice pack --format helm` writes them, and the values that mount them",
        )


def _versions(plugin: ChannelPlugin, _channel: str) -> Iterator[Finding]:
    targets = plugin.targets
    if targets.oss_named:
        yield finding(
            "channel-version",
            "the open-source gateway takes no streamed plugins",
            file=plugin.spec,
            hint="streaming is for Konnect, and for Kong Enterprise from 3.15 on",
        )
    named = [gateway for gateway in targets.gateways if targets.versions_named]
    # a version may be there in both editions
    old = dict.fromkeys(gateway.version for gateway in named if not gateway.at_least("3.9"))
    if old:
        yield finding(
            "channel-version",
            f"a data plane of Kong {', '.join(old)} takes no streamed plugin: it has to be 3.9 at least",
            kong="P307",
            file=plugin.spec,
            hint="ship the files to those nodes, or update them",
        )
    newest = ENTERPRISE_VERSIONS[-1]
    between = dict.fromkeys(g.version for g in named if g.at_least("3.9") and not g.at_least(newest))
    if between:
        yield finding(
            "channel-self-managed",
            f"Kong {', '.join(between)} takes streamed plugins from Dedicated Cloud Gateways alone: "
            f"a control plane of your own has to be {newest} at least",
            file=plugin.spec,
            hint=f"with nodes of your own: update them to {newest}, or ship the files",
        )


def _flags(plugin: ChannelPlugin, channel: str) -> Iterator[Finding]:
    if channel == "streaming":
        yield finding(
            "channel-flag",
            "control and data planes need KONG_CUSTOM_PLUGIN_STREAMING_ENABLED=on: a data plane without it "
            "leaves the plugin out of its configuration",
            kong="P309",
            file=plugin.spec,
        )
    else:
        yield finding(
            "channel-flag",
            "the operator has to run with --enable-controller-kongplugininstallation, off by default",
            file=plugin.spec,
        )


def _texts(plugin: ChannelPlugin, channel: str) -> Iterator[Finding]:
    for name in ("schema.lua", "handler.lua") if channel == "streaming" else ("schema.lua",):
        try:
            plugin.files.get(name, b"").decode("utf-8")
        except UnicodeDecodeError as error:
            yield finding(
                "channel-text",
                f"{name} of '{plugin.name}' is no UTF-8 at byte {error.start}, and only text is taken",
                file=plugin.path_of(name),
                hint="write the bytes as escapes, such as \\233, in the Lua strings",
            )


_TWO_FILES = ("operator", "streaming")
NAMED_BY_SCHEMA = ("konnect-hybrid", "streaming")
"""Channels on which the schema says what the plugin is called."""
_RULES: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (_names, ("helm", "operator", "konnect-hybrid", "streaming")),
    (_identity, NAMED_BY_SCHEMA),
    (_modules, _TWO_FILES),
    (_entities, ("operator", "konnect-hybrid", "streaming")),
    (_needs, ("tar", "helm", "operator", "streaming")),
    (_keys, ("helm",)),
    (_directories, ("helm",)),
    (size_findings_of, ("helm", "operator", "konnect-hybrid", "streaming")),
    (_texts, NAMED_BY_SCHEMA),
    (code_findings_of, NAMED_BY_SCHEMA),
    (_versions, ("streaming",)),
    (_flags, _TWO_FILES),
)
