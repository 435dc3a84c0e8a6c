"""`kustomize`: a component that adds a plugin to a gateway's Deployment (Kong contract 4.5).

The ConfigMaps or Secrets are those of `helm`, mounted as the chart mounts them. They are plain resources:
their names end in a hash of their own, so that no generator is needed.
"""

from __future__ import annotations

from pumice.kong.kubernetes import applied, config_maps, documents, mounts
from pumice.kong.plugin_files import Text
from pumice.kong.yaml_writer import yaml_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.kong.plugin_files import PluginFiles

__all__ = ["kustomize_texts"]

_CONTAINER = "proxy"
"""The gateway's container in the Deployment of Kong's chart."""
_LUA_PATH = "/opt/?.lua;/opt/?/init.lua;;"


def kustomize_texts(plugins: Sequence[PluginFiles], *, secret: bool = False) -> tuple[Text, ...]:
    """`kustomization.yaml`, `configmaps.yaml` (or `secrets.yaml`) and `deployment-patch.yaml`.

    Raises CheckError for a plugin that cannot be mounted.
    """
    maps = [each for plugin in plugins for each in config_maps(plugin)]
    volumes, mounted = mounts(maps, secret=secret)
    file = "secrets.yaml" if secret else "configmaps.yaml"
    names = ",".join(plugin.name for plugin in plugins)
    version = plugins[0].version
    resources = documents(maps, version, secret=secret)
    component = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": [file],
        "patches": [
            {
                "path": "deployment-patch.yaml",
                "target": {"kind": "Deployment", "labelSelector": "app.kubernetes.io/component=app"},
            }
        ],
    }
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "any"},
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": _CONTAINER,
                            "env": [
                                {"name": "KONG_PLUGINS", "value": f"bundled,{names}"},
                                {"name": "KONG_LUA_PACKAGE_PATH", "value": _LUA_PATH},
                            ],
                            "volumeMounts": mounted,
                        }
                    ],
                    "volumes": volumes,
                }
            }
        },
    }
    return (
        Text(
            "kustomization.yaml",
            yaml_text(
                component,
                comment=f"{names} {version}. Name this directory under `components:` of the\n"
                "kustomization that has the gateway's Deployment. Where it is not that of the chart, mend\n"
                "the target here and the container's name in deployment-patch.yaml. Then:\n"
                f"  {applied(resources)} -k DIRECTORY",
            ),
        ),
        Text(file, yaml_text(*resources, comment=f"{names} {version}: the files.")),
        Text(
            "deployment-patch.yaml",
            yaml_text(
                patch,
                comment="KONG_PLUGINS and KONG_LUA_PACKAGE_PATH replace those of the Deployment:\n"
                "add what they had.",
            ),
        ),
    )
