"""A plugin on a Deployment of Kong: ConfigMaps and a patch, followed, and taken back when it fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pumice.cluster.kube_patch import deployment_patch, gateway_container
from pumice.cluster.kube_way import KubeEnded, Way, name_of
from pumice.cluster.kubectl import KubernetesError
from pumice.errors import PumiceError
from pumice.kong.helm import helm_texts
from pumice.kong.kubernetes import config_maps, documents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pumice.cluster.events import Event
    from pumice.cluster.kubectl import Kubectl, KubeTarget
    from pumice.kong.plugin_files import PluginFiles

__all__ = ["DeploymentWay"]

_SLACK = 15.0
_LOG_LINES = 20


class DeploymentWay(Way):
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
        """All of it. Raises KubernetesError once what failed is taken back."""
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
                reasons.append(f"{name_of(pod)}: {why}")
                if not log:
                    words = (name_of(pod), f"--container={container}", f"--tail={_LOG_LINES}")
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
