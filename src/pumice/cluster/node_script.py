"""The scripts that run on nodes: files of `node/`, with what they are given put before them, quoted."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from pumice.cluster.connection import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.cluster.inventory import Node

__all__ = ["enable_file_of", "node_script", "records_of", "unit_of"]


def node_script(*names: str, given: Mapping[str, str]) -> str:
    """The scripts of these names one after the other, as one that `sh` runs; `given` are its variables."""
    variables = "\n".join(f"{name}={quote(value)}" for name, value in given.items())
    return f"{variables}\n" + "".join(_text(name) for name in names)


def enable_file_of(node: Node) -> str:
    """The file besides the gateway's configuration that `enable` names on a node; may be empty."""
    kind, _, rest = node.enable.partition(":")
    if kind == "env":
        return rest
    unit = unit_of(node)
    return f"/etc/systemd/system/{unit}.d/50-pumice.conf" if unit else ""


def records_of(node: Node) -> str:
    """The directory of the records of rollouts on a node."""
    return f"{node.tree}/rollouts" if node.layout == "generations" else f"{node.tree}/share/pumice/rollouts"


def unit_of(node: Node) -> str:
    """The systemd unit that `enable` names on a node; may be empty."""
    kind, _, unit = node.enable.partition(":")
    if kind != "systemd":
        return ""
    return unit if "." in unit else f"{unit}.service"


@cache
def _text(name: str) -> str:
    """A script without its comments and empty lines: it travels at every run."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node", f"{name}.sh")
    with open(path, encoding="utf-8") as file:
        lines = (line.strip("\t\n") for line in file)
        return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))
