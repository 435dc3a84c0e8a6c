"""`helm`: a plugin as ConfigMaps or Secrets, and values by which Kong's charts mount them (contract 4.5)."""

from __future__ import annotations

from pumice.kong.kubernetes import applied, config_maps, documents
from pumice.kong.plugin_files import Text
from pumice.kong.yaml_writer import yaml_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.kong.kubernetes import ConfigMap
    from pumice.kong.plugin_files import PluginFiles

__all__ = ["helm_texts"]


def helm_texts(plugins: Sequence[PluginFiles], *, secret: bool = False) -> tuple[Text, ...]:
    """`configmaps.yaml`, `values.yaml` for the chart `kong`, `values-ingress.yaml` for the chart `ingress`.

    With `secret` the files are in Secrets, in `secrets.yaml`. The chart itself sets KONG_PLUGINS and
    KONG_LUA_PACKAGE_PATH from these values. Raises CheckError for a plugin that cannot be mounted.
    """
    maps = [each for plugin in plugins for each in config_maps(plugin)]
    texts = documents(maps, plugins[0].version, secret=secret)
    kind, file = ("secrets", "secrets.yaml") if secret else ("configMaps", "configmaps.yaml")
    values = {"plugins": {kind: [_mounted(plugin.name, maps) for plugin in plugins]}}
    names = " and ".join(plugin.name for plugin in plugins)
    advice = (
        "First, in the namespace of the gateway:\n"
        f"  {applied(texts)} -f {file}\n"
        "The chart adds the plugins to KONG_PLUGINS by itself, but a value env.plugins wins over that, as\n"
        "env.lua_package_path does over the path. A list in a second values file replaces this one.\n"
    )
    return (
        Text(file, yaml_text(*texts, comment=f"{names} {plugins[0].version}: the files.")),
        Text(
            "values.yaml",
            yaml_text(
                values, comment=f"{advice}  helm upgrade RELEASE kong/kong --reuse-values -f values.yaml"
            ),
        ),
        Text(
            "values-ingress.yaml",
            yaml_text(
                {"gateway": values},
                comment=f"{advice}  helm upgrade RELEASE kong/ingress --reuse-values -f values-ingress.yaml",
            ),
        ),
    )


def _mounted(plugin: str, maps: Sequence[ConfigMap]) -> dict[str, object]:
    own = [each for each in maps if each.plugin == plugin]
    below = [{"name": each.name, "path": each.directory} for each in own if each.directory]
    return {
        "name": next(each.name for each in own if not each.directory),
        "pluginName": plugin,
        **({"subdirectories": below} if below else {}),
    }
