"""`ship_to_kubernetes`: a plugin on a gateway in Kubernetes, whose own roll-out is the engine here.

Without the operator: ConfigMaps and a patch of the gateway's Deployment, as Kong's charts render them.
Kubernetes replaces the pods a few at a time, and a pod that does not load the plugin never becomes ready, so
that the old ones stay. With the operator: a KongPluginInstallation, and its name in the DataPlane or
GatewayConfiguration. What failed is taken back. The proof is that the new pods are ready: the gateways
themselves are not asked.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from pumice.base.disk import make_directories, translate, write_atomic
from pumice.base.value import Value
from pumice.cluster.events import Event
from pumice.cluster.kube_patch import (
    deployment_patch,
    gateway_container,
    names_of_installations,
    with_plugins,
)
from pumice.cluster.kubectl import KubernetesError, KubeTarget
from pumice.errors import NotFoundError, PumiceError, UsageError
from pumice.kong.helm import helm_texts
from pumice.kong.kubernetes import config_maps, documents
from pumice.kong.operator import operator_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pumice.cluster.kubectl import Kubectl
    from pumice.kong.plugin_files import PluginFiles, Text

__all__ = ["KubeEnded", "ship_to_kubernetes"]

_OPERATOR = "gateway-operator.konghq.com"
_PLURALS = {
    "dataplane": f"dataplanes.{_OPERATOR}",
    "gatewayconfiguration": f"gatewayconfigurations.{_OPERATOR}",
}
_POLL = 1.0
_SLACK = 15.0
_LOG_LINES = 20


class KubeEnded(Value):
    """What became of it."""

    text: str
    changed: bool
    folder: str
    """Where the manifests lie that were applied, for the user's own repository."""


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
        return _Deployment(plugins, target, kubectl, folder, tell, timeout).ship(plan_only=plan_only)
    if image is None:
        raise UsageError(
            f"{target} belongs to the operator, which takes a plugin as an image",
            hint="`pumice pack --format oci --push IMAGE` makes one; then ship with --image IMAGE.",
        )
    if len(plugins) != 1:
        raise UsageError("The operator takes one plugin an image", hint="Give each plugin a rock of its own.")
    return _Operator(plugins[0], target, kubectl, folder, tell, timeout, sleep).ship(
        image, secret, plan_only=plan_only
    )


def _found(kubectl: Kubectl, target: KubeTarget) -> KubeTarget:
    """The gateway in the namespace. Raises NotFoundError when there is none, UsageError for several."""
    if target.kind is not None:
        return target
    for kind in ("gatewayconfiguration", "dataplane"):
        names = [_name(each) for each in kubectl.items(_PLURALS[kind])]
        if names:
            return _only(target, kind, names)
    names = [
        _name(each) for each in kubectl.items("deployments", "--selector=app.kubernetes.io/component=app")
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


def _name(resource: Mapping[str, object]) -> str:
    metadata = resource.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


class _Way:
    """What both ways share."""

    def __init__(
        self, target: KubeTarget, kubectl: Kubectl, folder: str, tell: Callable[[Event], None], timeout: float
    ) -> None:
        self.target = target
        self.kubectl = kubectl
        self.folder = folder
        self.timeout = timeout
        self._tell = tell
        self.what = f"{target.kind}/{target.name}"

    def told(self, step: str, state: str, text: str = "", lines: tuple[str, ...] = ()) -> None:
        """Tells a step of the gateway, which stands as the one node."""
        kind = "notice" if lines else "step"
        self._tell(Event(kind, self.what, step, state, text, lines=lines, time=time.time()))

    def write(self, texts: Sequence[Text]) -> None:
        """The manifests, for whoever keeps them."""
        try:
            make_directories(self.folder)
            for text in texts:
                write_atomic(os.path.join(self.folder, text.name), text.text.encode())
        except OSError as error:
            raise translate(error, f"write the manifests to {self.folder}") from error


class _Deployment(_Way):
    """ConfigMaps and a patch."""

    def __init__(
        self,
        plugins: Sequence[PluginFiles],
        target: KubeTarget,
        kubectl: Kubectl,
        folder: str,
        tell: Callable[[Event], None],
        timeout: float,
    ) -> None:
        super().__init__(target, kubectl, folder, tell, timeout)
        self._plugins = plugins

    def ship(self, *, plan_only: bool) -> KubeEnded:
        maps = [each for plugin in self._plugins for each in config_maps(plugin)]
        version = self._plugins[0].version
        self.write(helm_texts(self._plugins))
        there = self.kubectl.json(f"deployment/{self.target.name}")
        patch = deployment_patch(there, maps)
        if patch is None:
            self._follow()
            return KubeEnded(f"{self.what} has it already, and is ready.", False, self.folder)
        resources = {"apiVersion": "v1", "kind": "List", "items": list(documents(maps, version))}
        listed = json.dumps(resources).encode()
        words = (
            "patch",
            f"deployment/{self.target.name}",
            "--type=strategic",
            f"--patch={json.dumps(patch)}",
        )
        # The API server judges all of it before any of it is there.
        self.told("preflight", "begun")
        self.kubectl("apply", "--server-side", "--dry-run=server", "--filename=-", stdin=listed)
        self.kubectl(*words, "--dry-run=server")
        if plan_only:
            names = ", ".join(each.name for each in maps)
            text = f"{self.what}: ConfigMaps {names}, then new pods with them; Kubernetes would take both."
            return KubeEnded(text, False, self.folder)
        self.told("stage", "begun")
        self.kubectl("apply", "--server-side", "--filename=-", stdin=listed)
        self.told("activate", "begun")
        self.kubectl(*words)
        self.told("gate", "begun")
        try:
            self._follow()
        except KubernetesError as error:
            self._take_back(there, error)
        return KubeEnded(f"{self.what}: all pods are new and ready.{self._of_helm(there)}", True, self.folder)

    def _follow(self) -> None:
        self.kubectl(
            "rollout",
            "status",
            f"deployment/{self.target.name}",
            f"--timeout={self.timeout:.0f}s",
            timeout=self.timeout + _SLACK,
        )

    def _take_back(self, there: Mapping[str, object], error: KubernetesError) -> None:
        """Raises KubernetesError, with the pods' own reasons, once the old pods alone are there again."""
        reasons, log = self._reasons(there)
        self.told("gate", "failed", error.message, (*reasons, *log) or (error.message,))
        try:
            self.kubectl("rollout", "undo", f"deployment/{self.target.name}")
            self._follow()
            now = "It is taken back; the old pods served all the time."
        except PumiceError as again:
            now = f"TAKING IT BACK FAILED: {again.message}"
        reason = f": {reasons[0]}" if reasons else ""
        raise KubernetesError(
            f"{self.what}: the new pods did not become ready within {self.timeout:g} s{reason}. {now}",
            hint="`pumice explain` reads the lines of a gateway's log that are above.",
        ) from None

    def _reasons(self, there: Mapping[str, object]) -> tuple[list[str], list[str]]:
        """Why pods are not ready, and what the gateway of one of them has to say."""
        reasons: list[str] = []
        log: list[str] = []
        spec = there.get("spec")
        selector = spec.get("selector") if isinstance(spec, dict) else None
        labels = selector.get("matchLabels") if isinstance(selector, dict) else None
        chosen = (
            ",".join(f"{key}={value}" for key, value in labels.items()) if isinstance(labels, dict) else ""
        )
        try:
            pods = self.kubectl.items("pods", f"--selector={chosen}")
            template = spec.get("template") if isinstance(spec, dict) else None
            pod_spec = template.get("spec") if isinstance(template, dict) else None
            container = str(gateway_container(pod_spec if isinstance(pod_spec, dict) else {})["name"])
            for pod in pods:
                why = _why_not_ready(pod)
                if not why:
                    continue
                reasons.append(f"{_name(pod)}: {why}")
                if not log:
                    words = (_name(pod), f"--container={container}", f"--tail={_LOG_LINES}")
                    text = self.kubectl.try_("logs", *words, "--previous")
                    text = text if text.ok and text.output else self.kubectl.try_("logs", *words)
                    log = [f"  {line}" for line in text.output.decode("utf-8", "replace").splitlines()]
        except PumiceError as error:
            reasons.append(error.message)
        return reasons, log[-_LOG_LINES:]

    def _of_helm(self, there: Mapping[str, object]) -> str:
        metadata = there.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        if isinstance(labels, dict) and labels.get("app.kubernetes.io/managed-by") == "Helm":
            return (
                f" The next `helm upgrade` takes it away again unless it is given {self.folder}/values.yaml."
            )
        return ""


def _why_not_ready(pod: Mapping[str, object]) -> str:
    """The reason of a container that waits, died or is not ready; empty for a pod that is well."""
    status = pod.get("status")
    if not isinstance(status, dict):
        return ""
    for each in status.get("containerStatuses") or status.get("initContainerStatuses") or ():
        if not isinstance(each, dict) or each.get("ready"):
            continue
        for when in ("state", "lastState"):
            state = each.get(when)
            for kind in ("waiting", "terminated"):
                told = state.get(kind) if isinstance(state, dict) else None
                if isinstance(told, dict):
                    return " ".join(str(told.get(key, "")) for key in ("reason", "message")).strip()[:300]
        return "not ready"
    conditions = [each for each in status.get("conditions") or () if isinstance(each, dict)]
    bad = [
        each for each in conditions if each.get("type") == "PodScheduled" and each.get("status") == "False"
    ]
    return f"{bad[0].get('reason')} {bad[0].get('message')}"[:300] if bad else ""


class _Operator(_Way):
    """A KongPluginInstallation, and its name where the gateway is described."""

    def __init__(
        self,
        plugin: PluginFiles,
        target: KubeTarget,
        kubectl: Kubectl,
        folder: str,
        tell: Callable[[Event], None],
        timeout: float,
        sleep: Callable[[float], None],
    ) -> None:
        super().__init__(target, kubectl, folder, tell, timeout)
        self._plugin = plugin
        self._sleep = sleep

    def ship(self, image: str, secret: str | None, *, plan_only: bool) -> KubeEnded:
        name, namespace = self._plugin.name, self.target.namespace
        texts = operator_texts(self._plugin, image, namespace=namespace, secret=secret)
        self.write(texts)
        manifest = next(text.text for text in texts if text.name == "kongplugininstallation.yaml").encode()
        assert self.target.kind is not None
        resource = f"{_PLURALS[self.target.kind]}/{self.target.name}"
        there = self.kubectl.json(resource)
        patch = with_plugins(there, self.target.kind, name, namespace)
        self.told("preflight", "begun")
        self.kubectl("apply", "--dry-run=server", "--filename=-", stdin=manifest)
        if plan_only:
            added = f", and {name} in its pluginsToInstall" if patch is not None else ""
            text = f"{self.what}: the installation {name} of {image}{added}; Kubernetes would take it."
            return KubeEnded(text, False, self.folder)
        self.told("stage", "begun")
        self.kubectl("apply", "--filename=-", stdin=manifest)
        self._until(f"kongplugininstallations.{_OPERATOR}/{name}", "Accepted")
        if patch is not None:
            self.told("activate", "begun")
            self._patch(resource, patch)
        self.told("gate", "begun")
        try:
            for plane in self._planes():
                self._until(f"{_PLURALS['dataplane']}/{plane}", "Ready")
        except KubernetesError as error:
            raise self._taken_back(resource, there, patch, error) from None
        return KubeEnded(f"{self.what}: {image} is accepted, its data planes are ready.", True, self.folder)

    def _patch(self, resource: str, patch: Mapping[str, object]) -> None:
        self.kubectl("patch", resource, "--type=merge", f"--patch={json.dumps(patch)}")

    def _planes(self) -> list[str]:
        if self.target.kind == "dataplane":
            return [str(self.target.name)]
        return [_name(each) for each in self.kubectl.items(_PLURALS["dataplane"])]

    def _taken_back(
        self,
        resource: str,
        there: Mapping[str, object],
        patch: Mapping[str, object] | None,
        error: KubernetesError,
    ) -> KubernetesError:
        if patch is None:
            now = "It had this plugin before: apply the installation with the image of before."
        else:
            assert self.target.kind is not None
            listed = names_of_installations(there, self.target.kind)
            before = {"pluginsToInstall": listed or None}
            inner = before if self.target.kind == "dataplane" else {"dataPlaneOptions": before}
            try:
                self._patch(resource, {"spec": inner})
                now = "It is taken out of pluginsToInstall again."
            except PumiceError as again:
                now = f"TAKING IT BACK FAILED: {again.message}"
        return KubernetesError(f"{self.what}: {error.message} {now}", hint=error.hint)

    def _until(self, resource: str, condition: str) -> None:
        """Waits for a condition of the resource as it is now. Raises KubernetesError with what it says."""
        end = time.monotonic() + self.timeout
        told = "it says nothing of itself"
        while True:
            found = self.kubectl.json(resource)
            status, metadata = found.get("status"), found.get("metadata")
            generation = metadata.get("generation", 0) if isinstance(metadata, dict) else 0
            listed = status.get("conditions") if isinstance(status, dict) else None
            for each in listed if isinstance(listed, list) else ():
                if not isinstance(each, dict) or each.get("type") != condition:
                    continue
                told = f"{each.get('reason', '')}: {each.get('message', '')}".strip(": ")
                observed = each.get("observedGeneration", generation)
                current = isinstance(observed, int) and observed >= generation
                if current and each.get("status") == "True":
                    return
                if current and each.get("reason") == "Failed":
                    raise KubernetesError(f"{resource} is not {condition}: {told[:400]}.")
            if time.monotonic() >= end:
                raise KubernetesError(
                    f"{resource} is not {condition} after {self.timeout:g} s: {told[:400]}.",
                    hint="The operator needs --enable-controller-kongplugininstallation.",
                )
            self._sleep(_POLL)
