"""What changes in a gateway's Deployment or operator's resource so that it has plugins. Pure.

A Deployment is patched strategically, to what Kong's charts render from their own values: the volumes of the
plugin's earlier files go, everything else stays, and so does what KONG_PLUGINS and the Lua path had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pumice.errors import PumiceError
from pumice.kong.kubernetes import mounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pumice.kong.kubernetes import ConfigMap

__all__ = ["deployment_patch", "gateway_container", "names_of_installations", "with_plugins"]

_MOUNTED_AT = "/opt/kong/plugins"
_LUA_PATH = "/opt/?.lua;/opt/?/init.lua;;"
_CONTAINER = "proxy"
"""As the chart calls it."""

Table = dict[str, object]


def deployment_patch(deployment: Mapping[str, object], maps: Sequence[ConfigMap]) -> Table | None:
    """The strategic merge patch that mounts these ConfigMaps and enables their plugins.

    None where the Deployment is so already. Raises PumiceError for one whose gateway cannot be told.
    """
    pod = _at(deployment, "spec", "template", "spec")
    container = gateway_container(pod)
    plugins = list(dict.fromkeys(each.plugin for each in maps))
    volumes, mounted = mounts(maps)
    folders = tuple(f"{_MOUNTED_AT}/{plugin}" for plugin in plugins)
    there = [each for each in _list(container, "volumeMounts") if _below(each.get("mountPath"), folders)]
    wanted_names = {str(each["name"]) for each in volumes}
    wanted_paths = {str(each["mountPath"]) for each in mounted}
    used = {str(each.get("name")) for each in there}
    elsewhere = {
        str(mount.get("name"))
        for each in _list(pod, "containers") + _list(pod, "initContainers")
        for mount in _list(each, "volumeMounts")
        if mount not in there
    }
    gone_volumes = sorted(used - wanted_names - elsewhere)
    gone_mounts = sorted(str(each["mountPath"]) for each in there if each["mountPath"] not in wanted_paths)
    names = _names(_variable(container, "KONG_PLUGINS"), plugins)
    path = _lua_path(_variable(container, "KONG_LUA_PACKAGE_PATH"))
    settled = (
        not gone_volumes
        and not gone_mounts
        and names == _variable(container, "KONG_PLUGINS")
        and path == _variable(container, "KONG_LUA_PACKAGE_PATH")
        and all(_has(_list(pod, "volumes"), each) for each in volumes)
        and all(_has(there, each) for each in mounted)
    )
    if settled:
        return None
    own = {
        "name": container["name"],
        "env": [
            {"name": "KONG_PLUGINS", "value": names},
            {"name": "KONG_LUA_PACKAGE_PATH", "value": path},
        ],
        "volumeMounts": [*mounted, *({"mountPath": each, "$patch": "delete"} for each in gone_mounts)],
    }
    gone = [{"name": each, "$patch": "delete"} for each in gone_volumes]
    return {"spec": {"template": {"spec": {"containers": [own], "volumes": [*volumes, *gone]}}}}


def gateway_container(pod: Mapping[str, object]) -> Table:
    """The container of a pod in which the gateway runs. Raises PumiceError when that cannot be told."""
    containers = _list(pod, "containers")
    for each in containers:
        if each.get("name") == _CONTAINER:
            return each
    if len(containers) == 1:
        return containers[0]
    names = ", ".join(str(each.get("name")) for each in containers) or "none"
    raise PumiceError(
        f"The Deployment has no container '{_CONTAINER}', and several others: {names}",
        hint="Pack with --format kustomize, and name the container in the patch.",
    )


def names_of_installations(resource: Mapping[str, object], kind: str) -> list[Table]:
    """The `pluginsToInstall` of a DataPlane or GatewayConfiguration."""
    where = ("spec",) if kind == "dataplane" else ("spec", "dataPlaneOptions")
    return _list(_at(resource, *where), "pluginsToInstall")


def with_plugins(
    resource: Mapping[str, object], kind: str, plugin: str, namespace: str | None
) -> Table | None:
    """The merge patch with which it installs a plugin, too; None where it does already."""
    there = names_of_installations(resource, kind)
    if any(each.get("name") == plugin for each in there):
        return None
    own: Table = {"name": plugin, **({"namespace": namespace} if namespace is not None else {})}
    wanted: Table = {"pluginsToInstall": [*there, own]}
    return {"spec": wanted} if kind == "dataplane" else {"spec": {"dataPlaneOptions": wanted}}


def _names(value: str | None, plugins: Iterable[str]) -> str:
    words = [word.strip() for word in (value or "bundled").split(",") if word.strip()]
    return ",".join(dict.fromkeys((*(word for word in words if word != "off"), *plugins)))


def _lua_path(value: str | None) -> str:
    """The path with the charts' entries in it, before those that are there."""
    if value is None:
        return _LUA_PATH
    entries = [entry for entry in value.split(";") if entry]
    missing = [entry for entry in _LUA_PATH.split(";") if entry and entry not in entries]
    return f"{';'.join(missing)};{value}" if missing else value


def _variable(container: Mapping[str, object], name: str) -> str | None:
    """A variable's value. Raises PumiceError where it comes from elsewhere and so cannot be added to."""
    for each in _list(container, "env"):
        if each.get("name") == name:
            if "valueFrom" in each:
                raise PumiceError(
                    f"{name} of the Deployment comes from a Secret or ConfigMap, and cannot be added to",
                    hint="Give it a value of its own; or add the plugin there, and `pack --format helm`.",
                )
            return str(each.get("value", ""))
    return None


def _below(path: object, folders: tuple[str, ...]) -> bool:
    return isinstance(path, str) and any(path == each or path.startswith(f"{each}/") for each in folders)


def _has(listed: Iterable[Mapping[str, object]], wanted: Mapping[str, object]) -> bool:
    return any(_covers(each, wanted) for each in listed)


def _covers(there: object, wanted: object) -> bool:
    """Whether everything wanted is there; the API server adds defaults of its own."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_covers(there.get(key), wanted[key]) for key in wanted)
    return there == wanted


def _at(value: Mapping[str, object], *keys: str) -> Table:
    for key in keys:
        inner = value.get(key)
        value = inner if isinstance(inner, dict) else {}
    return cast("Table", value)


def _list(value: Mapping[str, object], key: str) -> list[Table]:
    found = value.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
