"""The probe plugin (`probe_plugin/`): installed as `pumice-probe`, it tells on the Status API what is loaded.

`GET /pumice` there answers with every plugin's version and the digests of its handler and schema as the
running workers read them. Data planes publish nothing of the kind by themselves.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from pumice.base.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.cluster.node_content import BlobSource, NodeContent

__all__ = ["PROBE", "PROBE_PATH", "LoadedPlugin", "not_as_installed", "probe_source", "read_loaded"]

PROBE = "pumice-probe"
"""The plugin's name, and the word by which `cluster install` knows it."""
PROBE_PATH = "/pumice"
"""Where it answers on the Status API."""
_PARTS = ("handler", "schema")


class LoadedPlugin(Value):
    """What a gateway says of a plugin that it has loaded: somebody else's word."""

    version: str | None
    digests: Mapping[str, str]
    """Of `handler` and `schema`: `sha256:…`, or `md5:…` where the gateway has no better."""


def probe_source() -> str:
    """The directory with the sources of the probe plugin."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "probe_plugin")


def read_loaded(answer: object) -> dict[str, LoadedPlugin] | None:
    """The plugins in an answer of the probe plugin; None if it is none. Never raises."""
    plugins = answer.get("plugins") if isinstance(answer, dict) else None
    if not isinstance(plugins, dict):
        return None
    found = {}
    for name, about in plugins.items():
        if isinstance(name, str) and isinstance(about, dict):
            version, digests = about.get("version"), about.get("digests")
            parts = digests.items() if isinstance(digests, dict) else ()
            found[name] = LoadedPlugin(
                version if isinstance(version, str) else None,
                {str(part): digest for part, digest in parts if isinstance(digest, str)},
            )
    return found


def not_as_installed(loaded: Mapping[str, LoadedPlugin], content: NodeContent) -> tuple[str, ...]:
    """The plugins of a content that a gateway has not loaded, or has loaded from other files."""
    return tuple(
        name
        for name in sorted(content.plugins)
        if name not in loaded
        or any(
            part in loaded[name].digests
            and (blob := content.files.get(f"share/lua/5.1/kong/plugins/{name.replace('.', '/')}/{part}.lua"))
            and not _is(loaded[name].digests[part], blob.key, content.source)
            for part in _PARTS
        )
    )


def _is(told: str, key: str, source: BlobSource) -> bool:
    kind, _, digest = told.partition(":")
    if kind == "sha256":
        return digest == key[:64]
    return kind == "md5" and digest == hashlib.md5(source.read(key), usedforsecurity=False).hexdigest()
