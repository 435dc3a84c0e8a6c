"""cluster.toml as values; all that is wrong in a file is told at once."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

from pumice.cluster.address import Address, parse_address
from pumice.cluster.inventory import LAYOUTS, ROLES, Cluster, Expect, Node, PluginWish
from pumice.cluster.toml_source import Place, TomlSource, kind
from pumice.errors import ConfigError, PumiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["parse_cluster", "read_cluster"]

_CLUSTER_KEYS = ("name", "canary", "batch", "max_failures", "pause", "timeout")
_NODE_DEFAULTS = tuple(field for field in Node._fields if field not in {"name", "address"})
_NODE_KEYS = ("name", "address", "group", *_NODE_DEFAULTS)
_PLUGIN_KEYS = PluginWish._fields
_EXPECT_KEYS = Expect._fields
_TABLES = ("cluster", "defaults", "group", "node", "plugin")
_MISSING = "`pumice cluster init` writes one."
_HINT = "`pumice cluster init` writes a file to begin with; its comments name the keys."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def read_cluster(path: str, *, home: str | None = None) -> Cluster:
    """The cluster that a file describes; relative paths in it start at its directory, `~/` at `home`.

    A node takes what it does not say from its `group` ([group.NAME]), then from [defaults]. Raises
    NotFoundError when there is no such file, and ConfigError that lists all that is wrong in it, each with
    its line, its key, and what is allowed.
    """
    return _cluster(TomlSource.read(os.path.abspath(path), missing=_MISSING), home)


def parse_cluster(data: bytes, path: str, *, home: str | None = None) -> Cluster:
    """The same for what shall stand at `path`, which is absolute."""
    return _cluster(TomlSource.parse(path, data), home)


def _cluster(source: TomlSource, home: str | None) -> Cluster:
    source.place("", called="this file").known(source.tables, _TABLES)
    reader = _Reader(source, os.path.dirname(source.path), home)
    nodes = reader.nodes()
    plugins = reader.plugins()
    cluster = reader.cluster(nodes, plugins)
    source.check(_HINT)
    return cluster


class _Reader:
    def __init__(self, source: TomlSource, folder: str, home: str | None) -> None:
        self._source = source
        self._folder = folder
        self._home = home

    def cluster(self, nodes: tuple[Node, ...], plugins: tuple[PluginWish, ...]) -> Cluster:
        place, values = self._table("cluster")
        place.known(values, _CLUSTER_KEYS)
        name = place.text(values, "name")
        if name is not None and not _NAME.fullmatch(name):
            place.problem("name", f"`name` has letters, digits, dots, dashes and underscores, not {name!r}.")
        return Cluster(
            name=name or os.path.basename(self._folder) or "cluster",
            nodes=nodes,
            path=self._source.path,
            canary=place.count(values, "canary", 1, least=0),
            batch=self._batch(place, values),
            max_failures=place.count(values, "max_failures", 0, least=0),
            pause=float(place.number(values, "pause", 0.0, least=0)),
            timeout=float(place.number(values, "timeout", 60.0, least=1)),
            plugins=plugins,
        )

    def nodes(self) -> tuple[Node, ...]:
        defaults_place, defaults = self._table("defaults")
        defaults_place.known(defaults, _NODE_DEFAULTS)
        groups = self._groups()
        made: list[Node] = []
        seen: dict[str, str] = {}
        for index, own in enumerate(self._array("node")):
            place = self._source.place("node", index)
            name = place.text(own, "name")
            if name is None:
                if "name" not in own:
                    place.problem(None, '`name` is missing: name = "cp-1".')
                continue
            place.called = f"node {name}"
            place.known(own, _NODE_KEYS)
            if not _NAME.fullmatch(name):
                place.problem(
                    "name", f"`name` has letters, digits, dots, dashes and underscores, not {name!r}."
                )
            if name in seen:
                place.problem("name", "there is another node of this name.")
            group = place.text(own, "group")
            if group is not None and group not in groups:
                place.problem("group", f"there is no [group.{group}].")
            values = {**defaults, **groups.get(group or "", {}), **own}
            address = self._address(place, own)
            node = self._node(place, name, address or Address("local"), values)
            where = f"{node.address} {node.prefix} {node.tree}"
            if address is not None and where in seen.values():
                place.problem("address", f"another node has {address}, this prefix and this tree, too.")
            seen[name] = where
            made.append(node)
        if not made and "node" not in self._source.tables:
            self._source.problem(0, 'there is no node: [[node]], name = "…", address = "ssh://…".')
        return tuple(made)

    def plugins(self) -> tuple[PluginWish, ...]:
        made: list[PluginWish] = []
        for index, values in enumerate(self._array("plugin")):
            place = self._source.place("plugin", index)
            place.known(values, _PLUGIN_KEYS)
            name, path = place.text(values, "name"), self._local(place, values, "path")
            if (name is None) == (path is None) and not {"name", "path"} - values.keys():
                place.problem("path", "`name` (from a rock server) or `path` (of this machine), not both.")
            elif name is None and path is None and not {"name", "path"} & values.keys():
                place.problem(
                    None, '`name` (from a rock server) or `path` is missing: name = "kong-plugin-x".'
                )
            version = place.text(values, "version")
            if version is not None:
                from pumice.rock.constraint import parse_constraints

                try:
                    parse_constraints(version)
                except PumiceError as error:
                    place.problem("version", f"`version`: {error.message}")
            made.append(PluginWish(name, path, version, self._local(place, values, "entity")))
        return tuple(made)

    def _node(self, place: Place, name: str, address: Address, values: Mapping[str, object]) -> Node:
        layout = place.choice(values, "layout", LAYOUTS) or "generations"
        tree = self._remote(place, values, "tree", "/usr/local" if layout == "luarocks" else "/opt/pumice")
        if tree == "/" or any(mark in tree for mark in ";?"):
            # They divide and mark the entries of lua_package_path.
            place.problem(
                "tree", f"`tree` is a directory of its own, without ; and ? in its name, not {tree!r}."
            )
        default = Node(name, address)
        return Node(
            name=name,
            address=address,
            role=place.choice(values, "role", ROLES),
            admin=self._url(place, values, "admin", default.admin),
            status=self._url(place, values, "status", default.status),
            proxy=self._url(place, values, "proxy", default.proxy),
            kong=self._remote(place, values, "kong", default.kong),
            conf=self._remote(place, values, "conf", default.conf),
            prefix=self._remote(place, values, "prefix", default.prefix),
            tree=tree,
            layout=cast('Literal["generations", "luarocks"]', layout),
            identity=self._local(place, values, "identity"),
            known_hosts=self._local(place, values, "known_hosts"),
            sudo=self._sudo(place, values),
            enable=self._enable(place, values),
            restart=place.text(values, "restart") or "reload",
            expect=self._expect(place, values),
            admin_ca=self._local(place, values, "admin_ca"),
            admin_verify=place.flag(values, "admin_verify", True),
        )

    def _address(self, place: Place, values: Mapping[str, object]) -> Address | None:
        text = place.text(values, "address")
        if text is None:
            if "address" not in values:
                place.problem(None, '`address` is missing: address = "ssh://user@host:22".')
            return None
        try:
            return parse_address(text)
        except ConfigError as error:
            place.problem("address", f"{error.message} {error.hint}")
            return None

    def _sudo(self, place: Place, values: Mapping[str, object]) -> str | None:
        if isinstance(values.get("sudo"), bool):
            return "root" if values["sudo"] else None
        user = place.text(values, "sudo")
        if user is not None and not _USER.fullmatch(user):
            place.problem("sudo", f"`sudo` is true (root) or the name of a user, not {user!r}.")
        return user

    def _enable(self, place: Place, values: Mapping[str, object]) -> str:
        text = place.text(values, "enable") or "conf"
        way, _colon, what = text.partition(":")
        if not (
            text == "conf"
            or (way == "env" and what.startswith("/"))
            or (way == "systemd" and _UNIT.fullmatch(what))
        ):
            place.problem("enable", f'`enable` is "conf", "env:/PATH" or "systemd:UNIT", not {text!r}.')
        return text

    def _expect(self, place: Place, values: Mapping[str, object]) -> Expect | None:
        table = values.get("expect")
        if table is None:
            return None
        if not isinstance(table, dict):
            place.problem("expect", f'`expect` is a table, expect = {{ path = "/…" }}, not {kind(table)}.')
            return None
        inside = self._source.place("node.expect", None, called=f"{place.called}: expect")
        inside.known(table, _EXPECT_KEYS)
        path = inside.text(table, "path")
        if path is None or not path.startswith("/"):
            place.problem("expect", "`expect` needs a `path` that begins with a slash.")
        status = inside.count(table, "status", 0, least=100) if "status" in table else None
        headers = table.get("headers", {})
        if not isinstance(headers, dict) or any(
            not _HEADER.fullmatch(key) or not isinstance(value, str | bool) for key, value in headers.items()
        ):
            place.problem(
                "expect", '`headers` of `expect` is a table of texts: headers = { X-Name = "value" }.'
            )
            headers = {}
        wanted = tuple((key, value if isinstance(value, str) else None) for key, value in headers.items())
        method = inside.text(table, "method") or "GET"
        if method not in {"GET", "HEAD", "OPTIONS"}:
            place.problem("expect", "`method` of `expect` is GET, HEAD or OPTIONS: it must change nothing.")
        return Expect(path or "/", status, wanted, inside.text(table, "host"), method)

    def _batch(self, place: Place, values: Mapping[str, object]) -> str:
        value = values.get("batch", "25%")
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(text, str) and re.fullmatch(r"[1-9][0-9]{0,5}|([1-9][0-9]?|100)%", text):
            return text
        place.problem("batch", f'`batch` is a count such as 5, or a share such as "25%", not {value!r}.')
        return "25%"

    def _url(self, place: Place, values: Mapping[str, object], key: str, default: str | None) -> str | None:
        if values.get(key) is False:
            return None
        if key not in values:
            return default
        text = place.text(values, key)
        if text is None:
            return default
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or port == 0
            or parts.query
            or parts.fragment
        ):
            place.problem(key, f"`{key}` is a URL such as http://127.0.0.1:8001, or false, not {text!r}.")
        elif parts.username is not None or parts.password is not None:
            place.problem(key, f"`{key}` holds a password; a token comes from KONG_ADMIN_TOKEN.")
        return text.rstrip("/")

    def _remote(self, place: Place, values: Mapping[str, object], key: str, default: str) -> str:
        """A path on the node."""
        text = place.text(values, key)
        if text is None:
            return default
        if not text.startswith("/") or ".." in text.split("/"):
            place.problem(key, f"`{key}` is a whole path on the node, not {text!r}.")
        return text.rstrip("/") or "/"

    def _local(self, place: Place, values: Mapping[str, object], key: str) -> str | None:
        """A path on this machine."""
        text = place.text(values, key)
        if text is None:
            return None
        if text.startswith("~/"):
            return f"{self._home}{text[1:]}" if self._home is not None else text
        return os.path.normpath(os.path.join(self._folder, text))

    def _table(self, name: str) -> tuple[Place, Mapping[str, object]]:
        place, values = self._source.place(name), self._source.tables.get(name, {})
        if isinstance(values, dict):
            return place, values
        self._source.problem(
            self._source.line_of("", None, name), f"[{name}] is a table, not {kind(values)}."
        )
        return place, {}

    def _array(self, name: str) -> list[Mapping[str, object]]:
        values = self._source.tables.get(name, [])
        if isinstance(values, list) and all(isinstance(value, dict) for value in values):
            return values
        line = self._source.line_of(name, None, None) or self._source.line_of("", None, name)
        self._source.problem(line, f"{name}s are written [[{name}]], with two brackets, one for each.")
        return []

    def _groups(self) -> dict[str, Mapping[str, object]]:
        _place, groups = self._table("group")
        made: dict[str, Mapping[str, object]] = {}
        for name, values in groups.items():
            place = self._source.place(f"group.{name}")
            if isinstance(values, dict):
                place.known(values, _NODE_DEFAULTS)
                made[name] = values
            else:
                place.problem(None, f"`{name}` is a table of keys of nodes: [group.{name}].")
        return made
