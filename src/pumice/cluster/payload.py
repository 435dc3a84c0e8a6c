"""The payload: what is sent to a node so that its next generation is there, as one tar.

    sums             the sha256 of everything that arrives, and of every content that is there and gets linked
    generation.json
    links.tar        hard links: the new contents into the store, all contents into the generation; and the
                     symlink that becomes `current`
    blobs/ab/cd…     the contents that the node lacks
    edits/N          configuration files, added for each node (steps.py)

The node checks `sums` before it links anything. Equal nodes share one payload.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pumice.cluster.luarocks_tree import PlainPayload
from pumice.cluster.node_tar import END, INCOMING, file_member, link_member, symlink_member
from pumice.cluster.tree_record import record_bytes
from pumice.errors import TreeError
from pumice.tree.generations import Generation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pumice.cluster.facts import NodeFacts
    from pumice.cluster.node_content import BlobSource, NodeContent

__all__ = ["GenerationPayload", "Sent", "make_payload", "resend"]

_ROOM = 128 * 1024
"""Bytes that a file system has to have free besides what is sent."""


class GenerationPayload:
    """A payload that makes one generation of a generation tree. Nothing of it changes once it is made."""

    def __init__(self, record: Generation, keys: Collection[str], source: BlobSource, digest: str) -> None:
        sizes = {blob.key: blob.size for blob in record.files.values()}
        self.generation = record.number
        """The number of the generation."""
        self.keys = tuple(sorted(keys))
        """The contents that travel: those that the node lacks."""
        self.size = sum(sizes[key] for key in self.keys)
        """Their bytes."""
        self.digest = digest
        """`NodeContent.state` of what it makes."""
        self._record = record
        self._source = source
        links = b"".join(self._links())
        new = set(self.keys)
        lines = [f"{key[:64]}  {_incoming(key) if key in new else _stored(key)}\n" for key in sorted(sizes)]
        lines.append(f"{hashlib.sha256(links).hexdigest()}  {INCOMING}/links.tar\n")
        self.sums = "".join(lines).encode()
        """What has to hold before anything is linked, for `sha256sum -c` in the tree."""
        self._head = (
            *file_member("generation.json", record_bytes(record), 0o644),
            *file_member("links.tar", links, 0o600),
        )

    def stream(self) -> Iterator[bytes]:
        """The members of the tar but for `sums`, without its end: the node's edits follow."""
        yield from self._head
        for key in self.keys:
            mode = 0o555 if key.endswith("-x") else 0o444
            yield from file_member(f"blobs/{key[:2]}/{key[2:]}", self._source.read(key), mode)

    def with_damaged(self, damaged: Collection[str]) -> GenerationPayload:
        """The same, with contents that turned out to be damaged on the node among what travels."""
        used = {blob.key for blob in self._record.files.values()}
        return GenerationPayload(
            self._record, {*self.keys, *used.intersection(damaged)}, self._source, self.digest
        )

    def _links(self) -> Iterator[bytes]:
        new = set(self.keys)
        for key in self.keys:
            yield link_member(_stored(key), _incoming(key))
        # Not by way of the store: busybox makes the links of an archive in an order of its own.
        for path, blob in sorted(self._record.files.items()):
            target = _incoming(blob.key) if blob.key in new else _stored(blob.key)
            yield link_member(f"generations/{self.generation}/{path}", target)
        yield symlink_member(".pumice/cluster/current", f"generations/{self.generation}")
        yield END


def make_payload(
    content: NodeContent, facts: NodeFacts, *, command: str, now: float, again: bool = False
) -> Sent | None:
    """What makes the node's tree hold `content`; None when it does already.

    `again`: make a generation all the same, for a node whose files or gateway are not as its record says.
    Raises TreeError when the content was made for another state than the node's, or does not fit its disk.
    """
    if content.base != facts.state:
        raise TreeError(
            f"{facts.node}: the tree has changed since the content was made for it",
            hint="Make the plan again.",
        )
    if facts.plain is not None:
        plain = content.plain
        return PlainPayload(plain, content.source, content.state) if plain is not None else None
    if content.unchanged and not again:
        return None
    number = max((*facts.generations, facts.generation)) + 1
    sizes = {blob.key: blob.size for blob in content.files.values()}
    keys = tuple(sorted(key for key in sizes if key not in facts.keys))
    size = sum(sizes[key] for key in keys)
    if facts.free is not None and size + _ROOM > facts.free:
        raise TreeError(
            f"{facts.node}: {size} bytes do not fit: {facts.free} are free where the tree is",
            hint="Make room on the node, or let `pumice` there remove generations that are not needed.",
        )
    known = (number, facts.generation, content.base, content.state, keys, command, now)
    payload = _made.get(known)
    if payload is None:
        record = Generation(
            number, now, command, facts.generation, content.added, content.removed, content.files
        )
        payload = GenerationPayload(record, keys, content.source, content.state)
        if len(_made) >= _KEPT:
            _made.clear()
        _made[known] = payload
    return payload


def resend(payload: Sent, damaged: Collection[str]) -> Sent:
    """The same payload, with contents that a node told are damaged there."""
    return payload.with_damaged(damaged)


Sent = GenerationPayload | PlainPayload
"""What a node is sent."""
_KEPT = 16
_made: dict[tuple[object, ...], GenerationPayload] = {}


def _stored(key: str) -> str:
    return f"store/{key[:2]}/{key[2:]}"


def _incoming(key: str) -> str:
    return f"{INCOMING}/blobs/{key[:2]}/{key[2:]}"
