"""How large a plugin may be on each channel (Kong contract 4.5, 4.6, 4.8)."""

from __future__ import annotations

from pumice.kong.finding import Finding, finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.channel_plugin import ChannelPlugin

__all__ = ["size_findings_of"]

_CONFIG_MAP_LIMIT = 1 << 20
"""Bytes in a ConfigMap (4.5)."""
_APPLY_LIMIT = 262_144
"""Bytes that `kubectl apply` can keep in an annotation (4.5)."""
_TAR_LIMIT = 1 << 20
"""Bytes of tar that the operator reads (4.6)."""
_SCHEMA_LIMIT = 8_192
"""Characters of a schema that Konnect's public ancestor took (4.8)."""
_STREAMED_LIMIT = 100_000
"""Bytes in a file that Dedicated Cloud Gateways take (4.8)."""
_BLOCK = 512


def size_findings_of(plugin: ChannelPlugin, channel: str) -> Iterator[Finding]:
    """What is too large for the channel, one of those that have a limit."""
    if channel == "helm":
        yield from _config_map_sizes(plugin)
    elif channel == "operator":
        size = sum(_BLOCK + -(-len(text) // _BLOCK) * _BLOCK for text in plugin.files.values()) + 2 * _BLOCK
        if size > _TAR_LIMIT:
            yield finding(
                "channel-size",
                f"'{plugin.name}' has {size:,} bytes as a tar, and the operator reads {_TAR_LIMIT:,}",
                kong="plugin size limit of 1.00 MiB exceeded",
                file=plugin.spec,
                hint="make it smaller, or ship an image on top of the gateway's",
            )
    elif channel == "konnect-hybrid":
        count = len(plugin.files.get("schema.lua", b"").decode("utf-8", "replace"))
        if count > _SCHEMA_LIMIT:
            yield finding(
                "size-schema",
                f"schema.lua of '{plugin.name}' has {count:,} characters, and Konnect was seen to take "
                f"{_SCHEMA_LIMIT:,}",
                file=plugin.schema,
                hint="make it smaller: leave out descriptions, or what is the default anyway",
            )
    else:
        for name, text in plugin.files.items():
            if len(text) > _STREAMED_LIMIT:
                yield finding(
                    "channel-size",
                    f"{name} of '{plugin.name}' has {len(text):,} bytes, and streamed files have at most "
                    f"{_STREAMED_LIMIT:,}",
                    file=plugin.path_of(name),
                    hint="make it smaller, or ship it to nodes of your own",
                )


def _config_map_sizes(plugin: ChannelPlugin) -> Iterator[Finding]:
    directories: dict[str, int] = {}
    for path, text in plugin.files.items():
        directory = path.rpartition("/")[0]
        directories[directory] = directories.get(directory, 0) + len(text)
    for directory, size in directories.items():
        where = f"{plugin.name}/{directory}".rstrip("/")
        if size > _CONFIG_MAP_LIMIT:
            yield finding(
                "channel-size",
                f"{where} has {size:,} bytes, and a ConfigMap holds {_CONFIG_MAP_LIMIT:,}",
                file=plugin.spec,
                hint="move some of its modules into another directory, or ship an image",
            )
        elif size > _APPLY_LIMIT:
            yield finding(
                "size-apply",
                f"{where} has {size:,} bytes: `kubectl apply` fails above {_APPLY_LIMIT:,}",
                file=plugin.spec,
                hint="use kubectl apply --server-side, or kubectl create and replace",
            )
