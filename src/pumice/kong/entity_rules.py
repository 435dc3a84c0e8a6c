"""What a gateway demands of a plugin's entities, migrations and endpoints (Kong contract 1.1, 8.1)."""

from __future__ import annotations

from pumice.kong.finding import Finding, finding
from pumice.kong.loaded import Job, Opaque
from pumice.kong.metaschema import judge_entity
from pumice.kong.schema_table import is_sequence, is_unknown, items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pumice.kong.kong_version import Gateway
    from pumice.kong.loaded import Loaded
    from pumice.kong.package import Package
    from pumice.kong.plugin import Plugin

__all__ = ["entity_findings", "entity_jobs"]

_OLD_MIGRATIONS = ("migrations.postgres", "migrations.cassandra")
_STEPS = ("up", "up_f", "teardown")


def entity_jobs(plugin: Plugin) -> tuple[Job, ...]:
    """The modules that Kong itself loads besides handler and schema: `data` at the start, `module` later."""
    root = f"kong.plugins.{plugin.name}."
    jobs = []
    for module in plugin.modules:
        part = module.removeprefix(root)
        if part == "daos" or (part.split(".")[0] == "migrations" and part not in _OLD_MIGRATIONS):
            jobs.append(Job("data", module))
        elif part in ("api", "status_api"):
            jobs.append(Job("module", module))
    return tuple(jobs)


def entity_findings(
    package: Package, plugin: Plugin, loaded: Sequence[Loaded], gateway: Gateway
) -> Iterator[Finding]:
    """What is wrong with daos, migrations and api of a plugin, of which `loaded` tells what was loaded."""
    root = f"kong.plugins.{plugin.name}."
    parts = {item.job.module.removeprefix(root): item for item in loaded if item.job.kind != "scan"}
    daos = parts.get("daos")
    if daos is not None and daos.error is None:
        yield from _dao_findings(package, plugin, daos, gateway)
    yield from _migration_findings(package, plugin, parts)
    for part in ("api", "status_api"):
        item = parts.get(part)
        if item is not None and item.error is not None:
            whom = "every request of the Admin API" if part == "api" else "/status of the Status API"
            yield finding(
                "api-broken",
                f"{item.job.module} fails when it is loaded: the node starts, and {whom} is a 500",
                kong=item.error.strip().split("\n", 1)[0],
                file=package.modules[item.job.module],
                hint="mend the line; no start of a node shows it",
            )


def _dao_findings(package: Package, plugin: Plugin, daos: Loaded, gateway: Gateway) -> Iterator[Finding]:
    file = package.modules[daos.job.module]
    table = daos.value
    if is_unknown(table):
        return
    if not isinstance(table, dict) or (gateway.demands_version and not is_sequence(table)):
        yield finding(
            "daos-shape",
            f"daos.lua of '{plugin.name}' gives no list of entities",
            kong=f"custom plugin '{plugin.name}' returned non-array daos definition table",
            file=file,
            hint="return { { name = …, primary_key = …, fields = … } }: a list, also of a single entity",
        )
        return
    for entity in table.values():
        name = entity.get("name") if isinstance(entity, dict) else None
        words = judge_entity(entity, gateway) if isinstance(entity, dict) else "expected an input table"
        if words is not None:
            yield finding(
                "daos-entity",
                f"the entity {name or '(without a name)'} of '{plugin.name}' is refused",
                kong=f"schema of custom plugin entity '{plugin.name}.{name}' is invalid: {words}",
                file=file,
                hint="an entity needs name, primary_key and fields, as Kong's own have",
            )
        elif isinstance(name, str) and f"kong.db.schema.entities.{name}" in gateway.modules:
            yield finding(
                "daos-core",
                f"'{plugin.name}' has an entity '{name}', as Kong itself has: every POST /config fails",
                file=file,
                hint=f"put the plugin's name before it: {plugin.name.replace('-', '_')}_{name}",
            )
    root = f"kong.plugins.{plugin.name}."
    if table and not {f"{root}migrations", f"{root}migrations.init"} & set(package.modules):
        yield finding(
            "daos-migrations",
            f"'{plugin.name}' has entities and no migrations: with a database their endpoints are a 500",
            file=file,
            hint="add migrations/init.lua and what it lists, and list both in build.modules",
        )


def _migration_findings(package: Package, plugin: Plugin, parts: Mapping[str, Loaded]) -> Iterator[Finding]:
    root = f"kong.plugins.{plugin.name}."
    index = parts.get("migrations") or parts.get("migrations.init")
    for part in _OLD_MIGRATIONS:
        if root + part in package.modules and index is None:
            yield finding(
                "migrations-ignored",
                f"{part} of '{plugin.name}' is of the kind of Kong 0.x: nobody runs it",
                file=package.modules[root + part],
                hint="write migrations/init.lua, which lists the names of migrations",
            )
    if index is None or index.error is not None or is_unknown(index.value):
        return
    file = package.modules[index.job.module]
    if not isinstance(index.value, dict):
        yield finding(
            "migrations-shape",
            f"the index of the migrations of '{plugin.name}' is no table",
            kong=f"migrations index from '{root}migrations' must be a table",
            file=file,
            hint='return { "000_base" }: the names of the migrations, in order',
        )
        return
    for name in items(index.value):
        migration = parts.get(f"migrations.{name}")
        module = f"{root}migrations.{name}"
        if module not in package.modules:
            yield finding(
                "migrations-shape",
                f"the index of the migrations of '{plugin.name}' lists {name}, which is not there",
                kong=f"failed to load migration '{name}' of '{plugin.name}' subsystem",
                file=file,
                hint=f"add {name}.lua beside it, and list it in build.modules",
            )
        elif migration is not None and migration.error is None and not _is_migration(migration.value):
            yield finding(
                "migrations-shape",
                f"the migration {name} of '{plugin.name}' has no 'postgres' with up, up_f or teardown",
                kong=f"migration '{name}' of '{plugin.name}' subsystem is invalid",
                file=package.modules[module],
                hint="return { postgres = { up = [[ … ]] } }: a wrong one stops the whole bootstrap",
            )


def _is_migration(value: object) -> bool:
    if is_unknown(value):
        return True
    steps = value.get("postgres") if isinstance(value, dict) else None
    if is_unknown(steps):
        return True
    return isinstance(steps, dict) and any(isinstance(steps.get(step), str | Opaque) for step in _STEPS)
