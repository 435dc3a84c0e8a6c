"""`konnect`: a plugin as what Konnect's API and decK take (Kong contract 4.8).

Two ways. Hybrid: the control plane gets the schema alone (`plugin-schemas`), every data plane gets the files
in another form. Streamed: the control plane gets handler and schema (`custom_plugins`) and hands them on.
"""

from __future__ import annotations

import re

from pumice.base.value import Value
from pumice.errors import CheckError
from pumice.kong.plugin_files import Text, two_files
from pumice.kong.requires import required_modules
from pumice.kong.single_file import code_alone
from pumice.kong.yaml_writer import yaml_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.kong.plugin_files import PluginFiles

__all__ = ["KonnectTexts", "konnect_texts"]

_NAME = re.compile(r"[0-9a-zA-Z-]{1,128}\Z")
_SCHEMA_CHARACTERS = 8192
_STREAMED_BYTES = 100_000
_TIMER = re.compile(rb"\bngx\s*\.\s*timer\b")
_TYPEDEFS = "kong.db.schema.typedefs"


class KonnectTexts(Value):
    """What was made, and what to know about it."""

    texts: tuple[Text, ...]
    warnings: tuple[str, ...]


def konnect_texts(
    plugin: PluginFiles,
    schema_name: str | None = None,
    phases: tuple[str, ...] = (),
    folded: frozenset[str] = frozenset(),
) -> KonnectTexts:
    """`plugin-schema.json`; and `custom-plugin.json` and `deck.yaml` where the plugin can be streamed.

    `schema_name` and `phases` are what its schema and handler say of themselves, when they were loaded;
    `folded`: the modules that its two files hold.
    Where it cannot be streamed, a warning says why. Raises CheckError for what Konnect refuses altogether.
    """
    name = plugin.name
    if not _NAME.match(name):
        raise CheckError(
            f"'{name}' is no name for Konnect: letters, digits and '-', at most 128",
            hint="Rename the plugin, its directory and its schema.",
        )
    if schema_name is not None and schema_name != name:
        raise CheckError(
            f"the schema calls itself '{schema_name}' and the plugin is '{name}': Konnect takes the name of "
            "the schema, and the nodes would not know it",
            hint=f'Write name = "{name}" in schema.lua.',
        )
    if plugin.loaded_by_kong:
        raise CheckError(
            f"Konnect takes no plugin with entities, migrations or endpoints of its own, and {name} has "
            f"{plugin.loaded_by_kong[0]}",
            hint="Ship it to nodes of your own, as a rock, a tar or an image.",
        )
    if "schema.lua" not in plugin.files:
        raise CheckError(f"{name} has no schema.lua", hint="Put it right below the plugin's directory.")
    schema = _decoded(plugin, "schema.lua", plugin.files["schema.lua"])
    for requirement in required_modules(plugin.files["schema.lua"]):
        if requirement.module != _TYPEDEFS and requirement.module not in folded:
            raise CheckError(
                f"{name}/schema.lua:{requirement.line} requires {requirement.module}, and Konnect's control "
                "plane has Kong's typedefs alone",
                hint="Write it out in the schema, or pack with --single-file, which folds it in.",
            )
    warnings = []
    if len(schema) > _SCHEMA_CHARACTERS:
        warnings.append(
            f"schema.lua has {len(schema):,} characters; control planes were seen to take "
            f"{_SCHEMA_CHARACTERS:,}"
        )
    texts = [Text("plugin-schema.json", _json({"lua_schema": schema}))]
    streamed, problem = _streamed(plugin, schema, phases)
    if problem is not None:
        warnings.append(f"only the schema was written, since {name} cannot be streamed: {problem}")
    else:
        texts += streamed
        warnings += [
            f"handler.lua:{requirement.line} requires {requirement.module}, and a gateway whose "
            "untrusted_lua is strict, as by default, gives streamed code no modules"
            for requirement in required_modules(plugin.files["handler.lua"])
            if requirement.module not in folded
        ]
        warnings += [
            f"{path} has {len(data):,} bytes; Dedicated Cloud Gateways take {_STREAMED_BYTES:,}"
            for path, data in plugin.files.items()
            if len(data) > _STREAMED_BYTES
        ]
    return KonnectTexts(tuple(texts), tuple(warnings))


def _streamed(plugin: PluginFiles, schema: str, phases: tuple[str, ...]) -> tuple[list[Text], str | None]:
    """The two streamed forms, or why there are none."""
    try:
        handler = _decoded(plugin, "handler.lua", two_files(plugin, "streaming")[0])
    except CheckError as error:
        return [], f"{error.message}. {error.hint}"
    if "init_worker" in phases:
        return [], "its handler has init_worker, which is never called there"
    timer = _TIMER.search(code_alone(plugin.files["handler.lua"]))
    if timer is not None:
        return [], "its handler starts a timer, which streamed code cannot"
    body = {"name": plugin.name, "schema": schema, "handler": handler}
    deck = yaml_text(
        {"_format_version": "3.0", "custom_plugins": [body]},
        comment=f"{plugin.name} {plugin.version}, streamed. Control and data planes need\n"
        "KONG_CUSTOM_PLUGIN_STREAMING_ENABLED=on.\n"
        "  deck gateway apply --include-plugin-definitions deck.yaml",
    )
    return [Text("custom-plugin.json", _json(body)), Text("deck.yaml", deck)], None


def _decoded(plugin: PluginFiles, path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckError(
            f"{plugin.name}/{path} is no UTF-8 at byte {error.start}, and Konnect takes text alone",
            hint="Write the bytes as escapes, such as \\233, in the Lua strings.",
        ) from None


def _json(body: dict[str, str]) -> str:
    import json

    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"
