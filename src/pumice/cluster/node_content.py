"""What a node's tree shall hold: values of the content that is made on this machine for every node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pumice.base.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pumice.cluster.luarocks_tree import PlainChange
    from pumice.kong.schema_table import Table
    from pumice.tree.store import Blob

__all__ = ["BlobSource", "NodeContent", "Payload", "PluginContent"]


class BlobSource(Protocol):
    """Where the bytes of contents come from."""

    def read(self, key: str) -> bytes:
        """The bytes whose sha256 `key` begins with. Raises PumiceError when they are not at hand."""
        ...


class PluginContent(Value):
    """A Kong plugin in a tree."""

    name: str
    rock: tuple[str, str]
    """(name, version) of the rock that brings it."""
    version: str | None
    """VERSION of its handler; None: it could not be found out."""
    priority: int | None
    digest: str
    """Of its own files below kong/plugins/NAME."""
    files: tuple[str, ...]
    """Of these, relative to the Lua directory: `kong/plugins/NAME/handler.lua`."""
    migrations: bool = False
    """It has migrations, which `kong migrations up` runs."""
    schema: Table | None = None
    """As `kong.loaded.Loaded.value`; None: it could not be found out."""
    problem: str = ""
    """Why version or schema could not be found out."""


class NodeContent(Value):
    """The next state of a tree. Equal for all nodes whose trees were equal."""

    files: Mapping[str, Blob]
    """Every file by its path in the tree (`share/lua/5.1/…`)."""
    source: BlobSource
    added: tuple[tuple[str, str], ...]
    """(name, version) of rocks that were not there."""
    removed: tuple[tuple[str, str], ...]
    rocks: tuple[tuple[str, str], ...]
    """All rocks that are in it."""
    plugins: Mapping[str, PluginContent]
    plugins_before: Mapping[str, PluginContent]
    """Those of the present tree; schemas and versions only of plugins that change."""
    base: str
    """`NodeFacts.state` of the tree that it was made from."""
    state: str
    """The same of the tree that it makes; equal to `base` when there is nothing to do."""
    messages: tuple[tuple[str, str], ...] = ()
    """(level, text): what installing had to say."""
    plain: PlainChange | None = None
    """Of a node's own LuaRocks tree: the files that change; `files` are then those that are known of it."""
    asked: tuple[str, ...] = ()
    """The plugins that the rocks asked for bring, whether they were there already or not."""

    @property
    def unchanged(self) -> bool:
        """There is nothing to do."""
        return self.state == self.base and self.plain is None


class Payload(Protocol):
    """What is sent to a node: one tar, made while it is sent; can be sent again and again."""

    keys: tuple[str, ...]
    """The contents that travel: those that the node lacks."""
    size: int
    """Bytes of the tar."""
    digest: str
    """Of what the node's tree will hold."""

    def stream(self) -> Iterator[bytes]:
        """The tar."""
        ...
