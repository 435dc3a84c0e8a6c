"""What Konnect and streaming demand of the code itself (Kong contract 2.9, 4.8, 4.11).

Streamed code runs in a sandbox (`untrusted_lua = strict`): no modules, no files, no programs, no sockets, no
timers; which of Lua's and OpenResty's functions it has is not published, so only these are refused here.
"""

from __future__ import annotations

from pumice.kong.code_mentions import mentions
from pumice.kong.finding import Finding, finding
from pumice.kong.requires import required_modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.channel_plugin import ChannelPlugin

__all__ = ["code_findings_of"]

_TYPEDEFS = "kong.db.schema.typedefs"
_TIMERS = ("ngx.timer", "kong.timer")
_FILES = ("io", "os.remove", "os.rename", "os.tmpname", "os.execute", "os.exit", "loadfile", "dofile")
_SOCKETS = ("ngx.socket",)
_LIBRARIES = {
    "resty.timerng": "channel-timer",
    "lfs": "channel-filesystem",
    "lfs_ffi": "channel-filesystem",
    "resty.shell": "channel-filesystem",
    "ffi": "channel-filesystem",
    "socket": "channel-socket",
    "ssl": "channel-socket",
    "resty.http": "channel-socket",
}


def code_findings_of(plugin: ChannelPlugin, channel: str) -> Iterator[Finding]:
    """What the channel, `konnect-hybrid` or `streaming`, says of handler and schema."""
    yield from _schema_findings(plugin)
    if channel != "streaming":
        return
    if "init_worker" in plugin.phases:
        yield finding(
            "channel-phase",
            f"the handler of '{plugin.name}' has init_worker, which streamed plugins may not have",
            file=plugin.handler,
            hint="do it when the first request comes",
        )
    for name in (
        "handler.lua",
        *(name for name in plugin.files if name not in ("handler.lua", "schema.lua")),
    ):
        source = plugin.files.get(name, b"")
        path = plugin.path_of(name)
        yield from _mentioned(source, path)
        yield from _required(plugin, source, path)


def _schema_findings(plugin: ChannelPlugin) -> Iterator[Finding]:
    source = plugin.files.get("schema.lua", b"")
    for requirement in required_modules(source):
        if requirement.module == _TYPEDEFS:
            yield finding(
                "schema-typedefs",
                "the schema requires Kong's typedefs; Kong's documentation forbids every require, though its "
                "own example has this one",
                file=plugin.schema,
                line=requirement.line,
                hint="write the fields out, to be safe",
            )
        else:
            yield finding(
                "schema-require",
                f"the schema requires {requirement.module}: it is loaded alone, where nothing else is",
                file=plugin.schema,
                line=requirement.line,
                hint="write it out in the schema, or pack with --single-file, which folds it in",
            )
    for mention in mentions(source):
        if mention.name == "...":
            yield finding(
                "schema-vararg",
                "the schema takes its name from '...', the name of its module; it is loaded from a text, "
                "which has none",
                file=plugin.schema,
                line=mention.line,
                hint=f'write name = "{plugin.name}"',
            )


def _mentioned(source: bytes, path: str | None) -> Iterator[Finding]:
    told: set[tuple[str, int]] = set()
    for mention in mentions(source):
        name, line = mention.name, mention.line
        if (name, line) in told:
            continue
        told.add((name, line))
        if _below(name, _TIMERS):
            yield finding(
                "channel-timer",
                f"{name}: streamed plugins start no timers",
                file=path,
                line=line,
                hint=_OWN_NODES,
            )
        elif _below(name, _FILES) and name != "io":
            yield finding(
                "channel-filesystem",
                f"{name}: streamed plugins have no files and start no programs",
                file=path,
                line=line,
                hint=_OWN_NODES,
            )
        elif _below(name, _SOCKETS):
            yield finding(
                "channel-socket",
                f"{name}: streamed plugins open no sockets",
                file=path,
                line=line,
                hint=_OWN_NODES,
            )


_OWN_NODES = "ship it to nodes of your own, as a rock, a tar or an image"


def _required(plugin: ChannelPlugin, source: bytes, path: str | None) -> Iterator[Finding]:
    for requirement in required_modules(source):
        module, line = requirement.module, requirement.line
        if module in plugin.package.modules:
            # that it has more than two files has been told
            continue
        code = next((code for library, code in _LIBRARIES.items() if _below(module, (library,))), "")
        if module == "socket.url":
            code = ""
        if code == "channel-timer":
            yield finding(
                "channel-timer",
                f"{module}: streamed plugins start no timers",
                file=path,
                line=line,
                hint=_OWN_NODES,
            )
        elif code == "channel-filesystem":
            yield finding(
                "channel-filesystem",
                f"{module}: streamed plugins have no files and start no programs",
                file=path,
                line=line,
                hint=_OWN_NODES,
            )
        elif code == "channel-socket":
            yield finding(
                "channel-socket",
                f"{module}: streamed plugins open no sockets",
                file=path,
                line=line,
                hint=_OWN_NODES,
            )
        elif module.startswith("kong.") or module in plugin.rocks:
            yield finding(
                "channel-require",
                f"{module} is required, and streamed plugins have no modules",
                file=path,
                line=line,
                hint="use the global 'kong'; a library in pure Lua is folded in by pack --single-file",
            )
        else:
            yield finding(
                "channel-sandbox",
                f"{module} is required: whether untrusted_lua = strict (the default) gives it is unknown",
                file=path,
                line=line,
                hint="do without it, or pack with --single-file, which folds pure Lua in",
            )


def _below(name: str, roots: tuple[str, ...]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)
