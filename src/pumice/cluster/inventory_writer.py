"""cluster.toml as text: short, with comments that name the other keys, and read back before it is written."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from pumice.base.disk import write_atomic
from pumice.cluster.inventory_reader import parse_cluster
from pumice.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.cluster.inventory import Cluster
    from pumice.cluster.node_draft import NodeDraft

__all__ = ["cluster_text", "write_cluster"]

_HEAD = """\
# The nodes of a cluster, for `pumice cluster` and `pumice ship --to`.
# Everything but the name and the address of a node has a default, which the comments show.

[cluster]
name = {name}
# canary = 1          # nodes that go first, alone
# batch = "25%"       # how many go at once after that: a share, or a count
# max_failures = 0    # nodes that may fail before all stops
# timeout = 60        # seconds that a node has to prove the new version

"""
_DEFAULTS = """\
# For every node that does not say otherwise:
[defaults]
"""
_COMMENTS = (
    (
        'role = "data_plane"',
        "traditional, control_plane, data_plane, dbless; asked of the node when left out",
    ),
    ('admin = "http://127.0.0.1:8001"', "the Admin API as the node itself sees it; false: there is none"),
    ('status = "http://127.0.0.1:8007"', ""),
    ('kong = "/usr/local/bin/kong"', ""),
    ('conf = "/etc/kong/kong.conf"', ""),
    ('prefix = "/usr/local/kong"', ""),
    ('tree = "/opt/pumice"', 'generations; layout = "luarocks" with tree = "/usr/local": the node\'s own'),
    ("sudo = true", "become root, or the user that is named, by `sudo -n`"),
    ('identity = "~/.ssh/kong"', "and known_hosts = …: files of their own; else as ssh does by itself"),
)
_TAIL = """
# What every node shall have, for `pumice cluster sync`:
# [[plugin]]
# name = "kong-plugin-example"
# version = "~> 1.0"
"""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def cluster_text(name: str, nodes: Sequence[NodeDraft], defaults: Mapping[str, str | bool]) -> str:
    """The text of a cluster.toml; what all nodes say alike is said once."""
    shared = dict(defaults)
    if len(nodes) > 1:
        first, *others = [dict(node.settings) for node in nodes]
        shared.update(
            {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
        )
    lines = [_HEAD.format(name=_toml(name)), _DEFAULTS]
    lines += [f"{key} = {_toml(value)}\n" for key, value in shared.items()]
    lines += [
        f"# {example}" + (f"  # {comment}" if comment else "") + "\n"
        for example, comment in _COMMENTS
        if example.split(" =")[0] not in shared
    ]
    for node in nodes:
        lines.append(f"\n[[node]]\nname = {_toml(node.name)}\naddress = {_toml(node.address)}\n")
        own = [(key, value) for key, value in node.settings if shared.get(key) != value]
        lines += [f"{key if _BARE.fullmatch(key) else _toml(key)} = {_toml(value)}\n" for key, value in own]
    return "".join(lines) + _TAIL


def write_cluster(path: str, text: str, *, replace: bool = False) -> Cluster:
    """Write a cluster.toml, and give what a reader finds in it.

    Raises ConfigError when a reader would not accept it or (unless `replace`) when there is a file already:
    nothing is written then. Raises DiskError and PermissionDenied.
    """
    if not replace and os.path.lexists(path):
        raise ConfigError(f"{path} is there already.", hint="--force replaces it; --to names another file.")
    try:
        cluster = parse_cluster(text.encode(), path)
    except ConfigError as error:
        raise ConfigError(f"No cluster can be made of this:\n{error.message}", hint=error.hint) from error
    write_atomic(path, text.encode())
    return cluster


def _toml(value: str | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    escaped = "".join(
        f"\\{letter}"
        if letter in '"\\'
        else f"\\u{ord(letter):04x}"
        if ord(letter) < 32 or ord(letter) == 127
        else letter
        for letter in value
    )
    return f'"{escaped}"'
