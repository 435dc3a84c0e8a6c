"""Ansible's two formats of inventories, with the variables of groups and hosts, where Ansible is not there.

As Ansible does: variables of `all`, then of parents before children (by `ansible_group_priority`, then by
name); then in the same order what files beside the inventory say (`group_vars/NAME`); then the host's, and
its file (`host_vars/NAME`).
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

from pumice.cluster.small_yaml import read_yaml
from pumice.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["read_inventory"]

_RANGE = re.compile(r"\[([0-9]+|[A-Za-z]):([0-9]+|[A-Za-z])(?::([0-9]+))?\]")
_SECTION = re.compile(r"\[([^:\]]+)(?::(hosts|children|vars))?\]\s*([#;].*)?$")
_MOST_HOSTS = 10_000


class _Group:
    def __init__(self) -> None:
        self.hosts: dict[str, None] = {}
        self.children: dict[str, None] = {}
        self.variables: dict[str, object] = {}
        self.beside: Mapping[str, object] = {}


class _Inventory:
    def __init__(self, path: str) -> None:
        self.path = path
        self.groups: dict[str, _Group] = {"all": _Group(), "ungrouped": _Group()}
        self.hosts: dict[str, dict[str, object]] = {}

    def group(self, name: str) -> _Group:
        return self.groups.setdefault(name, _Group())

    def host(self, name: str, group: str, variables: Mapping[str, object]) -> None:
        if len(self.hosts) >= _MOST_HOSTS:
            raise DataError(f"{self.path}: more than {_MOST_HOSTS} hosts.")
        self.hosts.setdefault(name, {}).update(variables)
        self.group(group).hosts[name] = None


def read_inventory(path: str) -> list[tuple[str, Mapping[str, object], frozenset[str]]]:
    """Every host with its variables and the groups that it is in.

    Raises DataError for what cannot be read, with file and line.
    """
    inventory = _Inventory(path)
    files = sorted(_files(path)) if os.path.isdir(path) else [path]
    for file in files:
        text = _text(file)
        if file.endswith((".yml", ".yaml")) or _looks_like_yaml(text):
            _yaml_group(inventory, file, read_yaml(text, file))
        else:
            _ini(inventory, file, text)
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    for name, group in inventory.groups.items():
        group.beside = _beside(folder, "group_vars", name)
    for host, variables in inventory.hosts.items():
        variables.update(_beside(folder, "host_vars", host))
    return list(_merged(inventory))


def _merged(inventory: _Inventory) -> Iterator[tuple[str, Mapping[str, object], frozenset[str]]]:
    parents: dict[str, set[str]] = {}
    for name, group in inventory.groups.items():
        for child in group.children:
            parents.setdefault(child, set()).add(name)
    depths: dict[str, int] = {}

    def depth(name: str, below: tuple[str, ...] = ()) -> int:
        if name in below:
            raise DataError(f"{inventory.path}: the groups {' > '.join((*below, name))} go in a circle.")
        if name not in depths:
            above = parents.get(name, set())
            depths[name] = (
                0 if name == "all" else 1 + max((depth(up, (*below, name)) for up in above), default=0)
            )
        return depths[name]

    for host, own in inventory.hosts.items():
        waiting = [name for name, group in inventory.groups.items() if host in group.hosts]
        groups = {"all"}
        while waiting:
            name = waiting.pop()
            if name not in groups:
                groups.add(name)
                waiting += parents.get(name, ())
        variables: dict[str, object] = {}
        ordered = sorted(groups, key=lambda name: (depth(name), _priority(inventory, name), name))
        for name in ordered:
            variables.update(inventory.groups[name].variables)
        for name in ordered:
            variables.update(inventory.groups[name].beside)
        yield host, {**variables, **own}, frozenset(groups)


def _priority(inventory: _Inventory, name: str) -> int:
    group = inventory.groups[name]
    value = str({**group.variables, **group.beside}.get("ansible_group_priority", 1))
    return int(value) if value.isdigit() else 1


# --- INI ------------------------------------------------------------------------------------------------


def _ini(inventory: _Inventory, path: str, text: str) -> None:
    section, kind = "ungrouped", "hosts"
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and (found := _SECTION.match(line)):
            section, kind = found[1].strip(), found[2] or "hosts"
            inventory.group(section)
        elif kind == "vars":
            name, equals, value = line.partition("=")
            if not equals:
                raise DataError(f"{path}:{number}: NAME=VALUE is expected: {line[:60]}")
            inventory.group(section).variables[name.strip()] = _value(value.strip())
        elif kind == "children":
            child = line.split("#")[0].strip()
            inventory.group(child)
            inventory.group(section).children[child] = None
        else:
            _ini_host(inventory, section, line, f"{path}:{number}")


def _ini_host(inventory: _Inventory, section: str, line: str, where: str) -> None:
    try:
        name, *words = shlex.split(line, comments=True)
    except ValueError as error:
        raise DataError(f"{where}: {error}: {line[:60]}") from error
    variables: dict[str, object] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise DataError(f"{where}: NAME=VALUE is expected, not {word!r}")
        variables[key] = _value(value)
    for each in _expanded(name, where):
        host, colon, port = each.rpartition(":")
        if colon and port.isdigit() and "[" not in port and (host.count(":") == 0 or host.endswith("]")):
            inventory.host(host.strip("[]"), section, {"ansible_port": int(port), **variables})
        else:
            inventory.host(each, section, variables)


def _expanded(name: str, where: str) -> Iterator[str]:
    """`web[01:10:2]` and `db[a:c]`, as many times as there are ranges."""
    found = _RANGE.search(name)
    if not found:
        yield name
        return
    first, last, step = found[1], found[2], int(found[3] or 1)
    if first.isdigit() != last.isdigit() or step < 1:
        raise DataError(f"{where}: {found[0]} is no range")
    if first.isdigit():
        if int(last) - int(first) > _MOST_HOSTS * step:
            raise DataError(f"{where}: {found[0]} is more than {_MOST_HOSTS} hosts")
        width = len(first) if first.startswith("0") else 0
        values = [f"{number:0{width}d}" for number in range(int(first), int(last) + 1, step)]
    else:
        values = [chr(code) for code in range(ord(first), ord(last) + 1, step)]
    for value in values:
        yield from _expanded(name[: found.start()] + value + name[found.end() :], where)


def _value(text: str) -> object:
    """A value of an INI file: Ansible reads it as Python would, where that is a plain value."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return int(text) if re.fullmatch(r"0|[1-9][0-9]{0,17}", text) else text


# --- YAML -----------------------------------------------------------------------------------------------


def _looks_like_yaml(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip() and line[0] not in "#;"]
    return bool(lines) and (lines[0].strip() == "---" or bool(re.match(r"[\w-]+:\s*$", lines[0])))


def _yaml_group(inventory: _Inventory, path: str, data: object) -> None:
    if data is None:
        return
    if not isinstance(data, dict):
        raise DataError(f"{path}: an inventory begins with groups, such as `all:`.")
    waiting: list[tuple[str, object]] = [(str(name), group) for name, group in data.items()]
    while waiting:
        name, group = waiting.pop(0)
        made = inventory.group(name)
        for key, value in _mapping(group, f"{path}: the group {name}").items():
            where = f"{path}: {key} of the group {name}"
            if key == "hosts":
                for pattern, variables in _mapping(value, where).items():
                    for host in _expanded(pattern, path):
                        inventory.host(host, name, _mapping(variables, f"{path}: the host {host}"))
            elif key == "vars":
                made.variables.update(_mapping(value, where))
            elif key == "children":
                for child, below in _mapping(value, where).items():
                    made.children[child] = None
                    waiting.append((child, below))
            else:
                raise DataError(f"{where}: a group has hosts, vars and children.")


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if value is None:
        return {}
    if isinstance(value, str):
        # `hosts: one` is a list of one.
        return {value: None}
    if not isinstance(value, dict):
        raise DataError(f"{where} is not a mapping.")
    return {str(key): inside for key, inside in value.items()}


# --- files ----------------------------------------------------------------------------------------------


def _beside(folder: str, kind: str, name: str) -> Mapping[str, object]:
    made: dict[str, object] = {}
    if "/" in name or name in {".", ".."}:
        return made
    base = os.path.join(folder, kind, name)
    files = [base + ending for ending in ("", ".yml", ".yaml", ".json")]
    for path in [*sorted(_files(base)), *(file for file in files if os.path.isfile(file))]:
        made.update(_mapping(read_yaml(_text(path), path), path))
    return made


def _files(folder: str) -> list[str]:
    """The files of a directory that Ansible would read, hidden and foreign ones left out."""
    if not os.path.isdir(folder):
        return []
    left_out = ("~", ".orig", ".bak", ".ini.swp", ".cfg", ".retry", ".pyc", ".pyo", ".py", ".sh")
    return [
        os.path.join(folder, name)
        for name in os.listdir(folder)
        if not name.startswith(".")
        and not name.endswith(left_out)
        and os.path.isfile(os.path.join(folder, name))
    ]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise DataError(f"{path} cannot be read: {said}.") from error
