"""Nodes from an Ansible inventory: by Ansible's own program where it is there, by small readers otherwise.

What Ansible knows of a host's connection becomes the node's: `ansible_host`, `_port`, `_user`,
`_connection`, `_ssh_private_key_file`, `_become`, `_become_user`. Variables `pumice_KEY` become the key KEY
of cluster.toml. Passwords are never taken over.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pumice.base.process import find_program, run
from pumice.base.value import Value
from pumice.cluster.node_draft import NodeDraft, node_name
from pumice.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Imported", "ansible_nodes"]

_SSH = {"ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh"}
_CONTAINERS = {
    "docker": "docker",
    "community.docker.docker": "docker",
    "community.docker.docker_api": "docker",
    "podman": "podman",
    "containers.podman.podman": "podman",
}
_KUBECTL = {"kubectl", "kubernetes.core.kubectl"}
_ROLES = {
    "control_plane": ("control_plane", "control_planes", "kong_control_plane", "kong_cp", "cp"),
    "data_plane": ("data_plane", "data_planes", "kong_data_plane", "kong_dp", "dp"),
}
_PASSWORDS = (
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_become_password",
    "ansible_become_pass",
)


class Imported(Value):
    """Nodes that were found, and what could not be taken over."""

    nodes: tuple[NodeDraft, ...]
    notes: tuple[str, ...]


class _Host(Value):
    name: str
    variables: Mapping[str, object]
    groups: frozenset[str]


def ansible_nodes(path: str, patterns: Sequence[str], search_path: str) -> Imported:
    """The hosts of an inventory that one of `patterns` (names of groups or hosts) names; all without any.

    `search_path` is where `ansible-inventory` is looked for. Raises NotFoundError and DataError.
    """
    if not os.path.exists(path):
        raise NotFoundError(f"There is no inventory {path}.")
    program = find_program("ansible-inventory", search_path)
    hosts = _listed(path, program) if program and not path.endswith(".json") else _read(path)
    known = {name for host in hosts for name in (host.name, *host.groups)}
    for pattern in patterns:
        if pattern not in known:
            raise NotFoundError(
                f"{path} has no group and no host {pattern}.",
                hint=f"It has: {', '.join(sorted(known)[:20])}.",
            )
    taken: set[str] = set()
    notes: list[str] = []
    nodes = []
    for host in hosts:
        if not patterns or {host.name, *host.groups} & set(patterns):
            node = _node(host, taken, notes)
            if node is not None:
                nodes.append(node)
    return Imported(tuple(nodes), tuple(dict.fromkeys(notes)))


def _listed(path: str, program: str) -> list[_Host]:
    done = run([program, "-i", path, "--list"], timeout=120, failure=DataError, keep_errors=False)
    if not done.ok:
        again = run([program, "-i", path, "--list"], timeout=120, failure=DataError)
        raise DataError(f"ansible-inventory does not read {path}: {again.output.strip()[-500:]}")
    return _from_json(done.output, path)


def _read(path: str) -> list[_Host]:
    from pumice.cluster.ansible_reader import read_inventory

    if path.endswith(".json"):
        with open(path, encoding="utf-8", errors="replace") as file:
            return _from_json(file.read(), path)
    return [_Host(name, variables, groups) for name, variables, groups in read_inventory(path)]


def _from_json(text: str, path: str) -> list[_Host]:
    """What `ansible-inventory --list` prints: groups with hosts and children, and each host's variables."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: this is not what `ansible-inventory --list` writes: {error}.") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: this is not what `ansible-inventory --list` writes.")
    meta = data.get("_meta")
    variables = meta.get("hostvars") if isinstance(meta, dict) else None
    groups: dict[str, tuple[list[str], list[str]]] = {
        name: (_names(group.get("hosts")), _names(group.get("children")))
        for name, group in data.items()
        if name != "_meta" and isinstance(group, dict)
    }
    of: dict[str, set[str]] = {}
    for group in groups:
        waiting, seen = [group], set()
        while waiting:
            current = waiting.pop()
            if current in seen or current not in groups:
                continue
            seen.add(current)
            for host in groups[current][0]:
                of.setdefault(host, set()).add(group)
            waiting += groups[current][1]
    found = variables if isinstance(variables, dict) else {}
    names = dict.fromkeys([*of, *found])
    return [
        _Host(
            name,
            found[name] if isinstance(found.get(name), dict) else {},
            frozenset(of.get(name, ())) | {"all"},
        )
        for name in names
    ]


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list | dict) else []


def _node(host: _Host, taken: set[str], notes: list[str]) -> NodeDraft | None:
    facts = _Facts(host, notes)
    address = _address(host, facts)
    if address is None:
        return None
    settings: dict[str, str | bool] = {}
    for role, names in _ROLES.items():
        if host.groups & set(names):
            settings["role"] = role
    identity = facts.text("ansible_ssh_private_key_file", "ansible_private_key_file")
    if identity and address.startswith("ssh:"):
        settings["identity"] = identity
    if facts.flag("ansible_become"):
        if (facts.text("ansible_become_method") or "sudo").rpartition(".")[2] != "sudo":
            notes.append(f"{host.name}: only sudo is served, not ansible_become_method.")
        else:
            user = facts.text("ansible_become_user") or "root"
            settings["sudo"] = True if user == "root" else user
    if facts.text("ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args"):
        notes.append(f"{host.name}: what ansible_ssh_…args says belongs into ~/.ssh/config.")
    if any(host.variables.get(name) is not None for name in _PASSWORDS):
        notes.append(
            f"{host.name}: passwords are not taken over; use a key or an agent, and sudo without one."
        )
    for key, value in host.variables.items():
        if key.startswith("pumice_") and isinstance(value, str | bool | int):
            settings[key.removeprefix("pumice_")] = value if isinstance(value, bool) else str(value)
    return NodeDraft(node_name(host.name, taken), address, tuple(settings.items()))


def _address(host: _Host, facts: _Facts) -> str | None:
    way = facts.text("ansible_connection") or "ssh"
    place = facts.text("ansible_host", "ansible_ssh_host") or host.name
    user = facts.text("ansible_user", "ansible_ssh_user")
    port = facts.text("ansible_port", "ansible_ssh_port")
    at = f"{user}@" if user else ""
    if way in {"local", "ansible.builtin.local"}:
        return "local:"
    if way in _SSH:
        return f"ssh://{at}{f'[{place}]' if place.count(':') > 1 else place}{f':{port}' if port else ''}"
    if way in _CONTAINERS:
        return f"{_CONTAINERS[way]}://{at}{place}"
    if way in _KUBECTL:
        context, container = facts.text("ansible_kubectl_context"), facts.text("ansible_kubectl_container")
        pod = facts.text("ansible_kubectl_pod") or place
        namespace = facts.text("ansible_kubectl_namespace") or "default"
        inside = f"/{container}" if container else ""
        return f"kubectl://{f'{context}@' if context else ''}{namespace}/{pod}{inside}"
    facts.notes.append(f"{host.name}: left out, for ansible_connection={way} is not served.")
    return None


class _Facts:
    """Variables of a host; what only Ansible could work out is noted, and taken as not said."""

    def __init__(self, host: _Host, notes: list[str]) -> None:
        self._host = host
        self.notes = notes

    def text(self, *names: str) -> str | None:
        """The first of these variables that is set, as text."""
        for name in names:
            value = self._host.variables.get(name)
            if value is None:
                continue
            if not isinstance(value, str | int):
                self.notes.append(f"{self._host.name}: {name} is encrypted or no text; it was left out.")
            elif "{{" in str(value) or "{%" in str(value):
                self.notes.append(
                    f"{self._host.name}: {name} is a template; write its value into cluster.toml."
                )
            elif str(value):
                return str(value)
        return None

    def flag(self, name: str) -> bool:
        """Whether a variable says yes, in one of Ansible's ways."""
        return str(self._host.variables.get(name, "")).lower() in {"true", "yes", "1", "on", "y", "t"}
