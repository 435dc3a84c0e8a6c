"""Dependencies as the tree manifest has them: parsed, with the numbers of their versions (contract 5.2)."""

from __future__ import annotations

from pumice.rock.constraint import Constraint
from pumice.rock.dependency import Dependency
from pumice.rock.version import parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.lua.data import LuaTable, LuaValue

__all__ = ["dependency_table", "read_dependencies"]


def dependency_table(dependency: Dependency) -> LuaTable:
    """A dependency as the manifest has it: parsed, with numbers."""
    constraints: LuaTable = {}
    for number, constraint in enumerate(dependency.constraints, 1):
        version: LuaTable = dict(enumerate(constraint.version.components, 1))
        if constraint.version.revision is not None:
            version["revision"] = constraint.version.revision
        version["string"] = constraint.version.text
        entry: LuaTable = {"op": constraint.op, "version": version}
        if constraint.no_upgrade:
            entry["no_upgrade"] = True
        constraints[number] = entry
    table: LuaTable = {"name": dependency.name, "constraints": constraints}
    if dependency.namespace is not None:
        table["namespace"] = dependency.namespace
    return table


def read_dependencies(table: LuaValue) -> tuple[Dependency, ...] | None:
    """The dependencies of one rock; None where the manifest has none that make sense."""
    if not isinstance(table, dict):
        return None
    found = []
    for number in range(1, len(table) + 1):
        dependency = _dependency(table.get(number))
        if dependency is None:
            return None
        found.append(dependency)
    return tuple(found)


def _dependency(table: LuaValue) -> Dependency | None:
    """The dependency that a part of the manifest writes; None if it makes no sense."""
    name = table.get("name") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(name, str):
        return None
    listed = table.get("constraints")
    constraints = []
    for entry in listed.values() if isinstance(listed, dict) else ():
        if not isinstance(entry, dict):
            return None
        op, version = entry.get("op"), entry.get("version")
        text = version.get("string") if isinstance(version, dict) else version
        if not isinstance(op, str) or not isinstance(text, str):
            return None
        constraints.append(Constraint(op, parse_version(text), entry.get("no_upgrade") is True))
    namespace = table.get("namespace")
    dependency = Dependency(name, namespace if isinstance(namespace, str) else None, tuple(constraints), "")
    return dependency.replace(text=str(dependency))
