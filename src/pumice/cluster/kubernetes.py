"""`ship_to_kubernetes`: a plugin on a gateway in Kubernetes, whose own roll-out is the engine here.

Without the operator: ConfigMaps and a patch of the gateway's Deployment, as Kong's charts render them.
Kubernetes replaces the pods a few at a time, and a pod that does not load the plugin never becomes ready, so
that the old ones stay. With the operator: a KongPluginInstallation, and its name in the DataPlane or
GatewayConfiguration. What failed is taken back. The proof is that the new pods are ready: the gateways
themselves are not asked.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pumice.cluster.kube_deployment import DeploymentWay
from pumice.cluster.kube_operator import OperatorWay
from pumice.cluster.kube_way import PLURALS, KubeEnded, name_of
from pumice.cluster.kubectl import KubeTarget
from pumice.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pumice.cluster.events import Event
    from pumice.cluster.kubectl import Kubectl
    from pumice.kong.plugin_files import PluginFiles

__all__ = ["KubeEnded", "ship_to_kubernetes"]


def ship_to_kubernetes(
    plugins: Sequence[PluginFiles],
    target: KubeTarget,
    kubectl: Kubectl,
    folder: str,
    tell: Callable[[Event], None],
    *,
    image: str | None = None,
    secret: str | None = None,
    timeout: float = 300.0,
    plan_only: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> KubeEnded:
    """Brings plugins to a gateway, and follows the roll-out to its end.

    `folder` gets the manifests. `image`: where the plugin's image is, for the operator; `secret`: its pull
    secret. Raises KubernetesError with the reasons of the pods when they do not become ready; what was there
    before runs again then. CheckError for a plugin that cannot go this way.
    """
    target = _found(kubectl, target)
    if target.kind == "deployment":
        return DeploymentWay(plugins, target, kubectl, folder, tell, timeout).ship(plan_only=plan_only)
    if image is None:
        raise UsageError(
            f"{target} belongs to the operator, which takes a plugin as an image",
            hint="`pumice pack --format oci --push IMAGE` makes one; then ship with --image IMAGE.",
        )
    if len(plugins) != 1:
        raise UsageError("The operator takes one plugin an image", hint="Give each plugin a rock of its own.")
    return OperatorWay(plugins[0], target, kubectl, folder, tell, timeout, sleep).ship(
        image, secret, plan_only=plan_only
    )


def _found(kubectl: Kubectl, target: KubeTarget) -> KubeTarget:
    """The gateway in the namespace. Raises NotFoundError when there is none, UsageError for several."""
    if target.kind is not None:
        return target
    for kind in ("gatewayconfiguration", "dataplane"):
        names = [name_of(each) for each in kubectl.items(PLURALS[kind])]
        if names:
            return _only(target, kind, names)
    names = [
        name_of(each) for each in kubectl.items("deployments", "--selector=app.kubernetes.io/component=app")
    ]
    if not names:
        raise NotFoundError(
            f"There is no gateway in {target}: no DataPlane, and no Deployment of Kong's chart",
            hint="Name it: --to kubectl://CONTEXT@NAMESPACE/deployment/NAME.",
        )
    return _only(target, "deployment", names)


def _only(target: KubeTarget, kind: str, names: Sequence[str]) -> KubeTarget:
    if len(names) > 1:
        raise UsageError(
            f"There are several gateways in {target}: {', '.join(f'{kind}/{name}' for name in names)}",
            hint=f"Name one: --to kubectl://CONTEXT@NAMESPACE/{kind}/{names[0]}.",
        )
    return target.replace(kind=kind, name=names[0])
