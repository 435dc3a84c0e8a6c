"""ConfigMaps or Secrets that hold a plugin, and where they are mounted (Kong contract 4.5).

One for each directory, since the keys of a ConfigMap are flat; with a hash of its content in its name, since
a gateway never reads a mounted file again: another content is another name, and new pods.
"""

from __future__ import annotations

import re

from pumice.base.value import Value
from pumice.errors import CheckError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.kong.plugin_files import PluginFiles

__all__ = ["ConfigMap", "applied", "config_maps", "documents", "mounts"]

MOUNTED_AT = "/opt/kong/plugins"
"""Where the chart and the operator put plugins."""
_SIZE_LIMIT = 1 << 20
_APPLY_LIMIT = 262_144
"""`kubectl apply` keeps a copy of what it applies in an annotation, which may have this many bytes."""
_LABEL = 63
_PLUGIN_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,49}[a-z0-9])?\Z")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")


class ConfigMap(Value):
    """One directory of a plugin."""

    name: str
    """A DNS label: the chart makes it the name of a volume."""
    plugin: str
    directory: str
    """Below the plugin's own, with `/`; empty for that one itself."""
    files: Mapping[str, bytes]

    @property
    def volume(self) -> str:
        """The volume's name, as the chart gives it."""
        return self.name if self.directory else f"kong-plugin-{self.plugin}"

    @property
    def mount_path(self) -> str:
        """Where the chart mounts it."""
        return f"{MOUNTED_AT}/{self.plugin}" + (f"/{self.directory}" if self.directory else "")

    @property
    def size(self) -> int:
        """What counts against the limit of a ConfigMap."""
        return sum(len(data) for data in self.files.values())


def config_maps(plugin: PluginFiles) -> tuple[ConfigMap, ...]:
    """The ConfigMaps of a plugin, its own directory first, then the others by path.

    Raises CheckError for a plugin that cannot be mounted: its name is no DNS label, a directory is too large
    or has names that are no keys, or it needs what does not lie below `kong/plugins`.
    """
    if not _PLUGIN_NAME.match(plugin.name):
        raise CheckError(
            f"'{plugin.name}' cannot be mounted in Kubernetes: volumes are named after the plugin, with at "
            "most 51 lower-case letters, digits and '-' between them",
            hint="Rename the plugin, or ship it as a rock, a tar or an image.",
        )
    if plugin.needs:
        raise CheckError(
            f"{plugin.name} needs {plugin.needs[0]}, and only what lies below kong/plugins is mounted",
            hint="Pack with --single-file to fold it in, or ship an image.",
        )
    directories: dict[str, dict[str, bytes]] = {"": {}}
    for path, data in plugin.files.items():
        directory, _, name = path.rpartition("/")
        if not _KEY.match(name):
            raise CheckError(
                f"{path} of {plugin.name} cannot be mounted: its name is no key of a ConfigMap",
                hint="Name it with letters, digits, '-', '_' and '.' alone.",
            )
        directories.setdefault(directory, {})[name] = data
    if not directories[""]:
        raise CheckError(
            f"{plugin.name} has no file of its own directory, which the chart has to mount first",
            hint="Put handler.lua and schema.lua right below the plugin's directory.",
        )
    maps = tuple(
        ConfigMap(_name(plugin.name, directory, files), plugin.name, directory, files)
        for directory, files in sorted(directories.items())
    )
    for each in maps:
        if each.size > _SIZE_LIMIT:
            where = f"{plugin.name}/{each.directory}".rstrip("/")
            raise CheckError(
                f"{where} has {each.size:,} bytes, and a ConfigMap takes {_SIZE_LIMIT:,}: one directory "
                "cannot be mounted from two",
                hint="Move some of its modules into another directory, or ship an image.",
            )
    return maps


def documents(
    maps: Iterable[ConfigMap], version: str, *, secret: bool = False
) -> tuple[dict[str, object], ...]:
    """The ConfigMaps as Kubernetes takes them, or Secrets; what is no UTF-8 goes into `binaryData`.

    They are immutable: a change is another name, and no node has to watch them.
    """
    return tuple(_document(each, version, secret=secret) for each in maps)


def mounts(
    maps: Iterable[ConfigMap], *, secret: bool = False
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The volumes of a pod and the mounts of a container, as the chart renders them."""
    ordered = list(maps)
    volumes: list[dict[str, object]] = [
        {
            "name": each.volume,
            **({"secret": {"secretName": each.name}} if secret else {"configMap": {"name": each.name}}),
        }
        for each in ordered
    ]
    mounted: list[dict[str, object]] = [
        {"name": each.volume, "mountPath": each.mount_path, "readOnly": True} for each in ordered
    ]
    return volumes, mounted


def applied(texts: Iterable[Mapping[str, object]]) -> str:
    """`kubectl apply`, with `--server-side` where one of the resources is too large for the client's copy."""
    too_large = any(_copy_size(text) > _APPLY_LIMIT for text in texts)
    return "kubectl apply --server-side" if too_large else "kubectl apply"


def _copy_size(text: Mapping[str, object]) -> int:
    """The bytes of all annotations once the client has added its copy, as Go writes JSON."""
    import json

    name = "kubectl.kubernetes.io/last-applied-configuration"
    copy = json.dumps(text, ensure_ascii=False, separators=(",", ":"))
    # `<`, `>` and `&` become \u003c and the like; a line end follows
    size = len(copy.encode()) + 5 * sum(map(copy.count, "<>&")) + 1
    metadata = text["metadata"]
    assert isinstance(metadata, dict)
    return size + len(name) + sum(len(key) + len(value) for key, value in metadata["annotations"].items())


def _document(config_map: ConfigMap, version: str, *, secret: bool) -> dict[str, object]:
    import base64

    data: dict[str, object] = {}
    binary: dict[str, object] = {}
    for name, content in config_map.files.items():
        encoded = base64.b64encode(content).decode("ascii")
        if secret:
            data[name] = encoded
            continue
        try:
            data[name] = content.decode("utf-8")
        except UnicodeDecodeError:
            binary[name] = encoded
    return {
        "apiVersion": "v1",
        "kind": "Secret" if secret else "ConfigMap",
        "metadata": {
            "name": config_map.name,
            "labels": {
                "app.kubernetes.io/managed-by": "pumice",
                "app.kubernetes.io/name": f"kong-plugin-{config_map.plugin}",
            },
            "annotations": {"pumice/version": version},
        },
        "immutable": True,
        **({"type": "Opaque"} if secret else {}),
        **({"data": data} if data else {}),
        **({"binaryData": binary} if binary else {}),
    }


def _name(plugin: str, directory: str, files: Mapping[str, bytes]) -> str:
    """A DNS label that tells what it is and ends in ten digits of a hash over names and bytes."""
    import hashlib

    digest = hashlib.sha256()
    for part in (plugin, directory, *(text for pair in sorted(files.items()) for text in pair)):
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        digest.update(b"%d:" % len(data) + data)
    tail = re.sub("[^a-z0-9]+", "-", directory.lower()).strip("-")
    stem = f"{plugin}-{tail}" if tail else plugin
    return f"{stem[: _LABEL - 11].rstrip('-')}-{digest.hexdigest()[:10]}"
