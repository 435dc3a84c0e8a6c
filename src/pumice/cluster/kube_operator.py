"""A plugin by Kong's operator: an installation, and its name where the gateway is described."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from pumice.cluster.kube_patch import names_of_installations, with_plugins
from pumice.cluster.kube_way import OPERATOR, PLURALS, KubeEnded, Way, name_of
from pumice.cluster.kubectl import KubernetesError
from pumice.errors import PumiceError
from pumice.kong.operator import operator_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pumice.cluster.events import Event
    from pumice.cluster.kubectl import Kubectl, KubeTarget
    from pumice.kong.plugin_files import PluginFiles

__all__ = ["OperatorWay"]

_POLL = 1.0


class OperatorWay(Way):
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
        """All of it. Raises KubernetesError once what failed is taken back."""
        name, namespace = self._plugin.name, self.target.namespace
        texts = operator_texts(self._plugin, image, namespace=namespace, secret=secret)
        self.write(texts)
        manifest = next(text.text for text in texts if text.name == "kongplugininstallation.yaml").encode()
        assert self.target.kind is not None
        resource = f"{PLURALS[self.target.kind]}/{self.target.name}"
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
        self._until(f"kongplugininstallations.{OPERATOR}/{name}", "Accepted")
        if patch is not None:
            self.told("activate", "begun")
            self._patch(resource, patch)
        self.told("gate", "begun")
        try:
            for plane in self._planes():
                self._until(f"{PLURALS['dataplane']}/{plane}", "Ready")
        except KubernetesError as error:
            raise self._taken_back(resource, there, patch, error) from None
        return KubeEnded(f"{self.what}: {image} is accepted, its data planes are ready.", True, self.folder)

    def _patch(self, resource: str, patch: Mapping[str, object]) -> None:
        self.kubectl("patch", resource, "--type=merge", f"--patch={json.dumps(patch)}")

    def _planes(self) -> list[str]:
        if self.target.kind == "dataplane":
            return [str(self.target.name)]
        return [name_of(each) for each in self.kubectl.items(PLURALS["dataplane"])]

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
