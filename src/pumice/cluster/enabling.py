"""How a node's gateway comes to know its plugins and where they lie: the edits, decided without touching it.

`plugins` keeps the user's words, `lua_package_path` the user's entries behind ours. The gateway reads a
variable of its environment before its file: where one is set, editing the file would do nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.cluster.change import Edit, Enabling
from pumice.cluster.env_file import drop_in, edit_variables, read_drop_in, read_variables
from pumice.cluster.kong_conf import DEFAULTS, edit_settings, read_settings
from pumice.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pumice.cluster.facts import FileState, NodeFacts
    from pumice.cluster.inventory import Node

__all__ = ["enable", "enabled_plugins", "plugin_words", "plugins_value"]

_KEYS = ("plugins", "lua_package_path", "lua_package_cpath")
_UNUSABLE = ";?\n\r\0\"'"


def enable(
    node: Node,
    facts: NodeFacts,
    generation: int,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
) -> Enabling:
    """What makes the gateway take its plugins from `generation` (0: none), with these names more or less.

    Raises ConfigError for a tree whose path cannot stand in a search path.
    """
    if any(letter in node.tree for letter in _UNUSABLE):
        raise ConfigError(
            f"{node.name}: the tree {node.tree!r} cannot stand in lua_package_path",
            hint="Choose a directory without quotes, semicolons and question marks.",
        )
    now = _effective(node, facts)
    root = _root(node, generation)
    values = {
        "plugins": plugins_value(now["plugins"], add, remove),
        "lua_package_path": _path(node, now, "lua_package_path", _lua_entries(root)),
        "lua_package_cpath": _path(node, now, "lua_package_cpath", _c_entries(root)),
    }
    if node.layout == "luarocks" and node.tree in ("/usr/local", "/usr"):
        # The gateway looks there anyway (Kong contract 1.6).
        values |= {key: now[key] for key in _KEYS[1:]}
    variables = {f"KONG_{key.upper()}": value for key, value in values.items()}
    kind = node.enable.partition(":")[0]
    if kind == "conf":
        edits = _edit_conf(facts.conf, values, now)
        exports: dict[str, str] = {}
    elif kind == "env":
        edits, exports = _edit_environment(facts.enable_file, variables), variables
    else:
        edits, exports = _edit_drop_in(facts.enable_file, variables), variables
    return Enabling(
        edits,
        exports,
        values["plugins"],
        values["lua_package_path"],
        values["lua_package_cpath"],
        exports_before={f"KONG_{key.upper()}": now[key] for key in _KEYS} if exports else {},
        refusals=_refusals(node, facts, now) if kind == "conf" else (),
        warnings=_warnings(node, facts, now) if kind == "conf" else (),
    )


def enabled_plugins(node: Node, facts: NodeFacts) -> tuple[str, ...]:
    """The names in `plugins` as the node is configured now; `bundled` is one of them."""
    return tuple(plugin_words(_effective(node, facts)["plugins"]))


def plugins_value(value: str, add: Iterable[str], remove: Iterable[str]) -> str:
    """A value of `plugins` with names more and less; the words that stay keep their order.

    `off` means none at all: it goes when a name comes.
    """
    gone = set(remove)
    words = [word for word in plugin_words(value) if word not in gone]
    new = [name for name in add if name not in words]
    if new:
        words = [word for word in words if word != "off"]
    if not new and words == plugin_words(value):
        return value
    return ",".join([*words, *new]) or "off"


def plugin_words(value: str) -> list[str]:
    """The names in a value of `plugins`."""
    return [word.strip() for word in value.split(",") if word.strip()]


def _root(node: Node, generation: int) -> str | None:
    if node.layout == "luarocks":
        return node.tree
    return f"{node.tree}/generations/{generation}" if generation else None


def _lua_entries(root: str | None) -> list[str]:
    return [f"{root}/share/lua/5.1/?.lua", f"{root}/share/lua/5.1/?/init.lua"] if root else []


def _c_entries(root: str | None) -> list[str]:
    return [f"{root}/lib/lua/5.1/?.so"] if root else []


def _path(node: Node, now: Mapping[str, str], key: str, ours: list[str]) -> str:
    """A search path: ours, then what the user has there; nothing but his when we have nothing."""
    mark = f"{node.tree}/generations/" if node.layout == "generations" else f"{node.tree}/"
    entries = now[key].split(";")
    others = [entry for entry in entries if not entry.strip().startswith(mark)]
    if ours and all(each in entries for each in ours) and len(others) + len(ours) == len(entries):
        return now[key]
    rest = ";".join(others)
    if not ours:
        return rest
    return ";".join(ours) + (f";{rest}" if rest else "")


def _effective(node: Node, facts: NodeFacts) -> dict[str, str]:
    """What counts for the next start: the environment, the files, the defaults, in this order."""
    found = dict(DEFAULTS)
    conf = read_settings(_text(facts.conf))
    found.update({key: conf[key] for key in _KEYS if key in conf})
    kind = node.enable.partition(":")[0]
    if kind == "conf":
        return found
    names = {f"KONG_{key.upper()}": key for key in _KEYS}
    reader = read_variables if kind == "env" else read_drop_in
    running = {name: value for name, value in facts.environment.items() if value is not None}
    for source in (running, reader(_text(facts.enable_file))):
        found.update({key: source[name] for name, key in names.items() if name in source})
    return found


def _edit_conf(conf: FileState | None, values: Mapping[str, str], now: Mapping[str, str]) -> tuple[Edit, ...]:
    wanted = {key: value for key, value in values.items() if value != now[key]}
    if not wanted or conf is None:
        return ()
    text, splices = edit_settings(_text(conf), wanted)
    if not splices:
        return ()
    return (Edit(conf.path, conf.digest, _bytes(text), _lines(wanted)),)


def _edit_environment(file: FileState | None, variables: Mapping[str, str]) -> tuple[Edit, ...]:
    if file is None:
        return ()
    text, splices = edit_variables(_text(file), variables)
    return (Edit(file.path, file.digest, _bytes(text), _lines(variables)),) if splices else ()


def _edit_drop_in(file: FileState | None, variables: Mapping[str, str]) -> tuple[Edit, ...]:
    if file is None:
        return ()
    data = _bytes(drop_in(variables))
    return (Edit(file.path, file.digest, data, _lines(variables)),) if data != file.data else ()


def _refusals(node: Node, facts: NodeFacts, now: Mapping[str, str]) -> tuple[str, ...]:
    """What is set elsewhere, and would beat the file at the gateway's next start."""
    way_out = 'say where it comes from: enable = "env:FILE" or "systemd:UNIT" in cluster.toml'
    refused = []
    for key in _KEYS:
        name = f"KONG_{key.upper()}"
        if name in facts.environment:
            refused.append(f"{name} is set in the environment of {node.name}'s gateway; {way_out}")
        elif not facts.conf_newer and key in _prepared_otherwise(facts, now):
            refused.append(
                f"{node.name}'s gateway was prepared with {key} = {facts.settings[key]}, although "
                f"{node.conf} has said {now[key]} since before: a variable ({name}) beats the file; {way_out}"
            )
    return tuple(refused)


def _warnings(node: Node, facts: NodeFacts, now: Mapping[str, str]) -> tuple[str, ...]:
    """What the gateway was last prepared with is not what its configuration says."""
    return tuple(
        f"{node.name}'s gateway was prepared with {key} = {facts.settings[key]}, and {node.conf} says "
        f"{now[key]}: somebody edited it since"
        for key in _prepared_otherwise(facts, now)
        if facts.conf_newer
    )


def _prepared_otherwise(facts: NodeFacts, now: Mapping[str, str]) -> list[str]:
    return [key for key in _KEYS if key in facts.settings and not _same(facts.settings[key], now[key])]


def _same(one: str, other: str) -> bool:
    return "".join(one.split()).rstrip(";") == "".join(other.split()).rstrip(";")


def _lines(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{key} = {value}" for key, value in values.items())


def _text(file: FileState | None) -> str:
    return (file.data or b"").decode("utf-8", "surrogateescape") if file is not None else ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
