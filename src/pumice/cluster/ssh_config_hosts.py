"""Nodes from an ssh configuration: its hosts by name; by `ssh -G` where that program is there."""

from __future__ import annotations

import fnmatch
import glob
import os
import shlex
from typing import TYPE_CHECKING

from pumice.base.process import find_program, run
from pumice.cluster.node_draft import NodeDraft, node_name
from pumice.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ssh_config_nodes"]

_DEPTH = 16
"""OpenSSH's own limit of includes within includes."""
_DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa")


def ssh_config_nodes(
    path: str, patterns: Sequence[str], *, home: str, search_path: str
) -> tuple[NodeDraft, ...]:
    """The hosts that a configuration names one by one (no wildcards) and one of `patterns` matches.

    Hosts of the user's own configuration keep their alias, so that all that it says of them holds when they
    are reached. Of another file the host, user, port, key and known_hosts are taken over. Raises
    NotFoundError and DataError.
    """
    if not os.path.isfile(path):
        raise NotFoundError(f"There is no ssh configuration {path}.")
    lines = list(_lines(path, home, 0))
    aliases = [
        word
        for key, words in lines
        if key == "host"
        for word in words
        if not set(word) & set("*?!")
        and (not patterns or any(fnmatch.fnmatch(word, each) for each in patterns))
    ]
    if not aliases:
        what = " that matches " + ", ".join(patterns) if patterns else " without wildcards"
        raise NotFoundError(f"{path} has no Host{what}.")
    own = os.path.realpath(path) in {os.path.realpath(f"{home}/.ssh/config"), "/etc/ssh/ssh_config"}
    program = None if own else find_program("ssh", search_path)
    taken: set[str] = set()
    nodes = []
    for alias in dict.fromkeys(aliases):
        if own:
            nodes.append(NodeDraft(node_name(alias, taken), f"ssh://{alias}"))
        else:
            said = _asked(program, path, alias) if program else _looked_up(lines, alias)
            nodes.append(_node(alias, said, taken))
    return tuple(nodes)


def _node(alias: str, said: dict[str, str], taken: set[str]) -> NodeDraft:
    host = said.get("hostname", alias)
    user = f"{said['user']}@" if "user" in said else ""
    port = f":{said['port']}" if said.get("port", "22") != "22" else ""
    settings = []
    identity = said.get("identityfile")
    if identity and os.path.basename(identity) not in _DEFAULT_KEYS:
        settings.append(("identity", identity))
    known = said.get("userknownhostsfile", "").split(" ")[0]
    if known and not known.endswith("/.ssh/known_hosts") and known not in {"/dev/null", "none"}:
        settings.append(("known_hosts", known))
    shown = f"[{host}]" if ":" in host else host
    return NodeDraft(node_name(alias, taken), f"ssh://{user}{shown}{port}", tuple(settings))


def _asked(program: str, path: str, alias: str) -> dict[str, str]:
    done = run([program, "-G", "-F", path, "--", alias], timeout=30, failure=DataError)
    if not done.ok:
        raise DataError(f"ssh does not read {path}: {done.output.strip()[-300:]}")
    said: dict[str, str] = {}
    for line in done.output.splitlines():
        key, _blank, value = line.partition(" ")
        said.setdefault(key, value)
    return said


def _looked_up(lines: list[tuple[str, list[str]]], alias: str) -> dict[str, str]:
    """What holds for a host: of each key the first value that is said, as in ssh_config(5)."""
    said: dict[str, str] = {}
    holds = True
    for key, words in lines:
        if key == "host":
            holds = any(
                fnmatch.fnmatch(alias, word) for word in words if not word.startswith("!")
            ) and not any(fnmatch.fnmatch(alias, word[1:]) for word in words if word.startswith("!"))
        elif key == "match":
            holds = words == ["all"]
        elif holds and words:
            said.setdefault(
                key, " ".join(words).replace("%h", alias) if key == "hostname" else " ".join(words)
            )
    return said


def _lines(path: str, home: str, depth: int) -> Iterator[tuple[str, list[str]]]:
    """Keys in lower case with their words, includes followed."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        key, _, rest = line.replace("=", " ", 1).replace("\t", " ").partition(" ")
        try:
            words = shlex.split(rest, comments=True)
        except ValueError as error:
            raise DataError(f"{path}:{number}: {error}: {line[:60]}") from error
        if key.lower() != "include":
            yield key.lower(), words
        elif depth < _DEPTH:
            for word in words:
                word = home + word[1:] if word.startswith("~/") else os.path.join(f"{home}/.ssh", word)
                for found in sorted(glob.glob(word)):
                    if os.path.isfile(found):
                        yield from _lines(found, home, depth + 1)
