"""What a gateway's error texts mean: one row for each text of the Kong contract, sections 1.1 to 1.7, 8, 8.1.

A row has a `needle`, which is searched for first, and a pattern that is matched around it alone, so that a
log of any size takes time in proportion to its length. `{name}` in the prose is a group of the pattern.
"""

from __future__ import annotations

from pumice.base.value import Value

__all__ = ["ROWS", "Row"]


class Row(Value):
    """One text, why Kong says it, and what mends it."""

    code: str
    needle: str
    pattern: str
    cause: str
    mend: str
    module: str = ""
    """The module that Kong looked for: where it would lie is what Kong does not say."""
    wraps: bool = False
    """It only carries another text: not told when that other one is known."""


_NAME = r"(?P<plugin>[\w.-]{1,128})"
_SEEN = r"['\"]?(?P<plugin>[\w.-]{1,128})['\"]?"

_PORT = (
    "Port the handler: a plain table with PRIORITY, VERSION and the phases as functions of it; no require of "
    "base_plugin, no extend, new and super."
)
_BOTH_PLANES = (
    "Ship the new version to the data planes first, or to both in one window; see `pumice check` for what "
    "changed."
)

ROWS: tuple[Row, ...] = (
    Row(
        "plugin-not-installed",
        "plugin is enabled but not installed",
        _NAME + r" plugin is enabled but not installed",
        "`plugins` names '{plugin}', and no handler of that name is on the node's Lua path (nor is it a wasm "
        "filter or a plugin server's; that was Kong's last look, and the only one that it tells of).",
        "Put an entry that ends in ?.lua and names the parent of kong/ into lua_package_path; check that the "
        "gateway's user may read the file, that `plugins` spells the name like the directory, and that the "
        "rock was installed for Lua 5.1.",
        module="kong.plugins.{plugin}.handler",
    ),
    Row(
        "schema-not-found",
        "no configuration schema found for plugin:",
        r"no configuration schema found for plugin: " + _SEEN,
        "The node found no schema.lua for '{plugin}'. (`kong config` says this first even where the handler "
        "is missing too.)",
        "List kong.plugins.{plugin}.schema in the rockspec's build.modules, and install again.",
        module="kong.plugins.{plugin}.schema",
    ),
    Row(
        "base-plugin",
        "kong.plugins.base_plugin' not found",
        r"module 'kong\.plugins\.base_plugin' not found",
        "The handler is written for Kong 0.x to 2.x: Kong 3.0 took base_plugin away.",
        _PORT,
    ),
    Row(
        "module-not-found",
        "' not found",
        r"module '(?P<module>[\w.-]{1,200})' not found",
        "Something requires the Lua module {module}, and no entry of the node's Lua path has it.",
        "Name the rock that has it in the rockspec's dependencies and install it into the same tree; if it "
        "is a module of the plugin itself, list it in build.modules.",
        module="{module}",
    ),
    Row(
        "module-broken",
        "error loading module '",
        r"error loading module '(?P<module>[\w.-]{1,200})'",
        "The file of {module} is there but does not load: a syntax error, an error while it runs, or "
        "something that it requires and that is missing. What follows the text says which.",
        "Read the file and line after it; `pumice check` on the plugin's source finds it without a node.",
        wraps=True,
    ),
    Row(
        "priority",
        "PRIORITY field is not a valid integer number",
        r"(?:Plugin " + _SEEN + r" cannot[^\n]{0,60})?PRIORITY field is not a valid integer number",
        "The handler's PRIORITY is missing, or no whole number.",
        "Set PRIORITY = 1000 in the table that handler.lua returns; plugins with a higher one run first.",
    ),
    Row(
        "version",
        "VERSION field does not follow the",
        r"(?:Plugin " + _SEEN + r" cannot[^\n]{0,60})?VERSION field does not follow the",
        "The handler's VERSION is missing or has no number that Kong can read.",
        'Set VERSION = "1.0.0" in the table that handler.lua returns: three numbers.',
    ),
    Row(
        "response-exclusive",
        "because it implements both `response` and",
        r"(?:Plugin " + _SEEN + r" can't[^\n]{0,60})?because it implements both `response` and",
        "The handler has the phase response beside header_filter or body_filter: one buffers the whole "
        "answer, the others stream it.",
        "Do the work of both in one of them.",
    ),
    Row(
        "schema-violation",
        "schema violation",
        r"(?:on plugin '(?P<plugin>[\w.-]{1,128})': (?:\[\w{1,20}\] ?)?)?(?:\[\w{1,20}\] ?)?(?:\d{1,9} )?"
        r"schema violations? ?\((?P<fields>[^\n]{0,400})",
        "Kong refuses a definition; what it names: {fields}. A number stands for the n-th entry of a list, "
        "and inside a nested record Kong prints the table without the field's name.",
        "Run `pumice check` where the plugin's source is: it names the field. [declarative] in the text is "
        "that of a declarative file or `kong config parse`, which does not say which plugin it means.",
    ),
    Row(
        "field-unknown-to-edition",
        "cannot create a new field",
        r"(?:in definition of '(?P<plugin>[\w.-]{1,128})': )?(?P<field>[\w.-]{1,128}): "
        r"cannot create a new field",
        "The schema has '{field}' beside config, and this edition or version of Kong does not know such a "
        "field (run_on is gone, consumer_group is Enterprise's).",
        "Take the field out, or run the edition that has it.",
    ),
    Row(
        "field-type-changed",
        "cannot change type in a specialized field",
        r"(?:in definition of '(?P<plugin>[\w.-]{1,128})': )?(?P<field>[\w.-]{1,128}): "
        r"cannot change type in a specialized field",
        "The schema declares '{field}' with another type than Kong's own (protocols is a set of strings, "
        "config a record).",
        "Use Kong's type: for protocols, typedefs.protocols or typedefs.protocols_http.",
    ),
    Row(
        "foreign-entity",
        "schema refers to an invalid foreign entity:",
        r"schema refers to an invalid foreign entity: (?P<entity>[\w.-]{1,128})",
        "The schema refers to the entity {entity}, which this Kong does not have (consumer_groups is "
        "Enterprise's).",
        "Take the reference out, or run the edition that has it.",
    ),
    Row(
        "typedef",
        "schema typedef error:",
        r"schema typedef error: definition (?P<typedef>[\w.-]{1,128}) does not exist",
        "kong.db.schema.typedefs of this Kong has no '{typedef}' (run_on_first was removed, "
        "no_consumer_group is Enterprise's).",
        "Spell it as this version has it, or write the field out.",
    ),
    Row(
        "in-use-not-enabled",
        "plugin is in use but not enabled",
        _NAME + r" plugin is in use but not enabled",
        "The database or the declarative file configures '{plugin}', and this node's `plugins` does not name "
        "it: a node cannot start like that, and one that runs keeps the plugins it had.",
        "Add '{plugin}' to `plugins` on every node, or delete what uses it first and then take it out. A "
        "KONG_PLUGINS in the caller's environment beats kong.conf.",
    ),
    Row(
        "not-enabled",
        "not enabled; add it to the 'plugins' configuration property",
        r"plugin '(?P<plugin>[\w.-]{1,128})' not enabled; add it to",
        "The node that answers (Admin API, /config, decK, the ingress controller, a data plane) has not "
        "loaded '{plugin}'.",
        "Install it there and add it to `plugins` of that node, then reload or restart it.",
    ),
    Row(
        "unknown-to-node",
        "No plugin named",
        r"No plugin named " + _SEEN,
        "The node asked, usually the control plane, has not loaded '{plugin}'.",
        "Install the plugin on the control plane too, add it to `plugins` there, and restart it.",
    ),
    Row(
        "deck-schema",
        "from Kong: HTTP status 404",
        r"retrieve schema for " + _SEEN + r" from Kong: HTTP status 404",
        "decK asked the control plane for the schema of '{plugin}', which has not loaded that plugin.",
        "Install the plugin on the control plane too, add it to `plugins` there, and restart it.",
    ),
    Row(
        "initial-plugins",
        "error building initial plugins:",
        r"error building initial plugins: (?P<why>[^\n]{0,300})",
        "The node could not make its list of plugins when it started: {why}",
        "Mend what follows the text; most often a plugin is configured that `plugins` does not name.",
        wraps=True,
    ),
    Row(
        "missing-on-data-plane",
        "plugin_set_incompatible",
        r"plugin_set_incompatible",
        "A data plane lacks a plugin that the control plane has configured: nothing at all is pushed to it "
        "and each of its routes answers 404, though it started.",
        "Install the plugin on that data plane and restart it; then delete stale data planes from the list.",
    ),
    Row(
        "missing-on-data-plane",
        "is missing from data plane",
        r"configured " + _NAME + r" plugin [^\n]{0,60}is missing from data plane",
        "The data plane lacks '{plugin}' (sync status plugin_set_incompatible): nothing at all is pushed to "
        "it and each of its routes answers 404.",
        "Install '{plugin}' on that data plane, add it to `plugins` there, and restart it.",
    ),
    Row(
        "version-skew",
        "is different to control plane plugin version",
        r"data plane "
        + _NAME
        + r" plugin version (?P<there>[\w.-]{1,64}) is different to control plane plugin "
        r"version (?P<here>[\w.-]{1,64})",
        "'{plugin}' is {there} on the data plane and {here} on the control plane: the major number differs, "
        "or the data plane's minor number is newer.",
        _BOTH_PLANES,
    ),
    Row(
        "version-skew",
        "plugin_version_incompatible",
        r"plugin_version_incompatible",
        "A plugin's version on a data plane does not go with the control plane's: the major number differs, "
        "or the data plane's minor number is newer.",
        _BOTH_PLANES,
    ),
    Row(
        "config-skew",
        "unable to update running config:",
        r"unable to update running config: (?P<why>[^\n]{0,300})",
        "The data plane refuses what the control plane sent, and goes on with what it had: {why} An `unknown "
        "field` or a `required field missing` says that their schemas differ.",
        "Update the plugin on the data plane: its schema must know every field that the control plane sends.",
    ),
    Row(
        "migrations-pending",
        "New migrations available;",
        r"New migrations available; run 'kong migrations up'",
        "A plugin brings migrations that the database has not seen.",
        "Run `kong migrations up`, then `kong migrations finish`, with the same lua_package_path and "
        "plugins.",
    ),
    Row(
        "database-empty",
        "Database needs bootstrapping",
        r"Database needs bootstrapping",
        "The database has no schema of Kong's yet, or an older one.",
        "Run `kong migrations bootstrap` with the same lua_package_path and plugins as the node.",
    ),
    Row(
        "init-worker",
        'failed to execute the "init_worker" handler',
        r'failed to execute the "init_worker" handler for plugin "?' + _NAME,
        "init_worker of '{plugin}' failed. The node runs, but degraded: each request logs an alert.",
        "Mend the error that follows, and restart the node: a reload is enough only with the new code.",
    ),
    Row(
        "init-worker",
        "worker initialization error:",
        r"worker initialization error: (?P<why>[^\n]{0,300})",
        "A plugin's init_worker failed: {why} The node runs, but degraded.",
        "Mend that error, and restart the node.",
    ),
    Row(
        "node-degraded",
        "unsafe request processing due to earlier initialization errors",
        r"unsafe request processing due to earlier initialization errors",
        "A plugin's init_worker failed when this worker started; an earlier line of the log says which.",
        "Look for `init_worker` above, mend that, and restart the node.",
    ),
    Row(
        "declarative-file",
        "error parsing declarative config file",
        r"error parsing declarative config file (?P<file>[^\n:]{1,200})",
        "The declarative file {file} cannot be used: most often it configures a plugin that `plugins` does "
        "not name. It is looked for from the directory in which `kong start` ran.",
        "Add the plugin to `plugins`, or take it out of the file; `kong config parse` tells the same.",
        wraps=True,
    ),
    Row(
        "parse-bug",
        "attempt to index upvalue 'kong'",
        r"attempt to index upvalue 'kong'",
        "`kong config parse` met a plugin without handler or schema, and fails over its own message; that it "
        "refuses is right.",
        "Look whether handler.lua and schema.lua of every plugin in `plugins` are on the Lua path.",
    ),
    Row(
        "handler-no-table",
        "attempt to index local 'handler'",
        r"attempt to index local 'handler'",
        "A handler.lua returns nothing, a number or a function, where Kong wants a table.",
        "End handler.lua with `return` and the table that has PRIORITY, VERSION and the phases.",
    ),
    Row(
        "handler-false",
        "': nil",
        r"on plugin '(?P<plugin>[\w.-]{1,128})': nil",
        "The handler of '{plugin}' returns false.",
        "End handler.lua with `return` and the table that has PRIORITY, VERSION and the phases.",
    ),
    Row(
        "config-unspecialized",
        "abstract field was not specialized",
        r"abstract field was not specialized",
        "The plugin's schema has no `config`: it loads, and refuses each instance that sends one, even {{}}.",
        'Add {{ config = {{ type = "record", fields = {{}} }} }} to the fields of schema.lua.',
    ),
    Row(
        "shorthand-mismatch",
        "attempt to index local 'input'",
        r"attempt to index local 'input'",
        "A shorthand field got a value of another type, or one that differs from the field behind it.",
        "Send only one of the two, with the type that the schema says.",
    ),
    Row(
        "config-abstract",
        "attempt to index field 'fields'",
        r"attempt to index field 'fields'",
        "A field inside config says abstract = true, which only Kong's own top level may.",
        "Take abstract out of schema.lua.",
    ),
    Row(
        "schema-no-table",
        "expected an input table",
        r"expected an input table",
        "A schema.lua returns nothing or a string; Kong does not say which plugin's.",
        "End schema.lua with `return` and the table that has name and fields.",
    ),
    Row(
        "validator-throws",
        "error in schema prevents from validating this field",
        r"error in schema prevents from validating this field",
        "A validator of the plugin raises an error instead of returning nil and a message, or a default does "
        "not pass it.",
        "Let the validator return nil and a text for whatever it is given.",
    ),
    Row(
        "api-disabled",
        "API disabled in the context of",
        r"API disabled in the context of (?P<where>[\w*]{1,60})",
        "The code uses a part of ngx that is not there in {where}: while a node starts there is no request, "
        "no timer and no socket, and in log and the filters no socket.",
        "Do it in another phase: from init_worker on there are timers, and a timer may use sockets.",
    ),
    Row(
        "daos-no-array",
        "returned non-array daos definition table",
        r"custom plugin '(?P<plugin>[\w.-]{1,128})' returned non-array daos definition table",
        "daos.lua of '{plugin}' returns a table with names; since Kong 3.0 it must be a list.",
        "Return {{ {{ name = …, … }}, … }}: the entities' schemas in a list.",
    ),
    Row(
        "daos-invalid",
        "schema of custom plugin entity",
        r"schema of custom plugin entity '(?P<entity>[\w.-]{1,200})' is invalid: (?P<why>[^\n]{0,300})",
        "Kong refuses the entity {entity}: {why}",
        "Mend that in the plugin's daos.lua.",
    ),
    Row(
        "migrations-no-table",
        "migrations index from",
        r"migrations index from '(?P<module>[\w.-]{1,200})' must be a table",
        "{module} does not return a list of the migrations' names.",
        'Return {{ "000_base_name", … }} from migrations/init.lua.',
    ),
    Row(
        "migration-broken",
        "failed to load migration",
        r"failed to load migration '(?P<migration>[\w.-]{1,200})' of '(?P<plugin>[\w.-]{1,128})' subsystem",
        "The migration {migration} of '{plugin}' is listed but does not load.",
        "List its module in the rockspec's build.modules, and look for a syntax error in it.",
    ),
    Row(
        "migration-broken",
        "subsystem is invalid",
        r"migration '(?P<migration>[\w.-]{1,200})' of '(?P<plugin>[\w.-]{1,128})' subsystem is invalid",
        "The migration {migration} of '{plugin}' has no table postgres with up, up_f or teardown.",
        "Return {{ postgres = {{ up = [[ … ]] }} }} from it.",
    ),
    Row(
        "plugin-server",
        "query_command undefined for pluginserver",
        r"query_command undefined for pluginserver (?P<server>[\w.-]{1,128})",
        "pluginserver_names has {server}, and Kong does not know how to ask it for its plugins.",
        "Set pluginserver_{server}_query_cmd (usually the start command with -dump).",
    ),
    Row(
        "wasm-name",
        "duplicate plugin/wasm filter name:",
        r"duplicate plugin/wasm filter name: " + _SEEN,
        "A wasm filter and a Lua plugin are both called '{plugin}'.",
        "Rename one of them.",
    ),
)
