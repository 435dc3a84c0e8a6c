"""`schema`: what the settings of a plugin are, whether a configuration fits, and what an update asks for."""

from __future__ import annotations

import os

from pumice.base.disk import translate
from pumice.base.value import Value
from pumice.errors import DataError, NotFoundError
from pumice.kong.package_rules import unlisted_modules
from pumice.kong.package_sandbox import accepted_schema, schema_functions
from pumice.kong.plugin import find_plugins
from pumice.kong.schema_description import Setting, json_schema, settings
from pumice.kong.schema_diff import ORDERS, Change, Difference, schema_diff
from pumice.kong.schema_values import Answer, validate_configuration
from pumice.operation.check import package_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.kong.schema_functions import SchemaFunctions
    from pumice.kong.schema_table import Table

__all__ = [
    "ORDERS",
    "Answer",
    "Change",
    "Difference",
    "PluginSchema",
    "Setting",
    "diff_schemas",
    "schemas_at",
    "validate_file",
]

_READ = 16 << 20
"""Bytes of a file of settings that are looked at."""


class PluginSchema(Value):
    """One plugin's schema, which a gateway would accept."""

    plugin: str
    table: Table
    """As `kong.loaded.Loaded.value`."""
    functions: SchemaFunctions | None = None
    """Its own, for what `validate_configuration` asks of them."""

    def settings(self) -> tuple[Setting, ...]:
        """The rows of the table of settings."""
        return settings(self.table)

    def json_schema(self) -> dict[str, object]:
        """The JSON Schema of `config`."""
        return json_schema(self.plugin, self.table)


def schemas_at(path: str, config: Config) -> tuple[PluginSchema, ...]:
    """The schema of every plugin of what lies at `path`.

    Raises CheckError for a schema that a gateway would refuse, NotFoundError where there is no plugin, and as
    `operation.check.package_at`.
    """
    package = package_at(path, config)
    plugins = find_plugins([*package.modules, *unlisted_modules(package)])
    if not plugins:
        raise NotFoundError(
            f"{path} has no Kong plugin", hint="its modules would be kong.plugins.NAME.handler and .schema"
        )
    return tuple(
        PluginSchema(plugin.name, accepted_schema(package, plugin), schema_functions(package, plugin))
        for plugin in plugins
    )


def validate_file(path: str, configuration: str, config: Config) -> Answer:
    """What a gateway would say of the JSON file `configuration`. Raises as `schemas_at`, and DataError."""
    import json

    absolute = os.path.join(config.cwd, configuration)
    try:
        with open(absolute, "rb") as file:
            data = file.read(_READ + 1)
    except FileNotFoundError:
        raise NotFoundError(
            f"{configuration} does not exist", hint="--validate takes a file with a JSON object of settings."
        ) from None
    except OSError as error:
        raise translate(error, f"read {configuration}") from error
    if len(data) > _READ:
        raise DataError(
            f"{configuration} is longer than {_READ >> 20} MiB", hint="give a JSON object of settings"
        )
    try:
        sent = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{configuration} is no JSON: {error}", hint="give a JSON object of settings"
        ) from error
    found = schemas_at(path, config)
    named = sent.get("name") if isinstance(sent, dict) else None
    chosen = next((schema for schema in found if schema.plugin == named), found[0])
    return validate_configuration(chosen.plugin, chosen.table, sent, chosen.functions)


def diff_schemas(old: str, new: str, config: Config) -> dict[str, Difference]:
    """By plugin: what the step from what lies at `old` to `new` asks for. Raises as `schemas_at`."""
    before = {schema.plugin: schema.table for schema in schemas_at(old, config)}
    after = {schema.plugin: schema.table for schema in schemas_at(new, config)}
    if len(before) == len(after) == 1 and set(before) != set(after):
        ((name, table),) = after.items()
        return {name: schema_diff(next(iter(before.values())), table)}
    both = [name for name in after if name in before]
    if not both:
        raise DataError(
            f"There is no plugin in both: {', '.join(before)} is in {old}, {', '.join(after)} in {new}",
            hint="Give two versions of the same plugin; a new one is safe in any order.",
        )
    return {name: schema_diff(before[name], after[name]) for name in both}
