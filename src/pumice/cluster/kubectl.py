"""`Kubectl`: the user's own kubectl, which has their credentials, for one context and namespace.

CONTEXT                                     a context of the user's kubeconfig, in its own namespace
kubectl://[CONTEXT@]NAMESPACE               the gateway of a namespace, if there is one
kubectl://[CONTEXT@]NAMESPACE/KIND/NAME     deployment, dataplane or gatewayconfiguration
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.errors import PumiceError, UsageError

if TYPE_CHECKING:
    from pumice.cluster.connection import Answer
    from pumice.cluster.programs import Programs

__all__ = ["KINDS", "KubeTarget", "Kubectl", "KubernetesError", "is_kubernetes", "parse_target"]

KINDS = ("deployment", "dataplane", "gatewayconfiguration")
_SCHEME = "kubectl://"
_CONTEXT = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@:/+-]*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_TIMEOUT = 60.0


class KubernetesError(PumiceError):
    """Kubernetes did not do, or did not take, what was asked."""

    default_hint = "Ask it by hand, with the same context: `kubectl get events`."


class KubeTarget(Value):
    """Where a gateway is."""

    context: str | None
    """None: the current one."""
    namespace: str | None
    """None: that of the context."""
    kind: str | None = None
    """One of `KINDS`; None: it is looked for."""
    name: str | None = None

    def __str__(self) -> str:
        parts = [each for each in (self.namespace, self.kind, self.name) if each]
        return f"{self.context or 'the current context'}{': ' if parts else ''}{'/'.join(parts)}"


def is_kubernetes(text: str) -> bool:
    """Whether `--to` names Kubernetes, and no file."""
    return text.startswith(_SCHEME) or (not text.endswith(".toml") and "/" not in text)


def parse_target(text: str) -> KubeTarget:
    """The target that a text names. Raises UsageError."""
    if not text.startswith(_SCHEME):
        if not _CONTEXT.fullmatch(text):
            raise _refused(text)
        return KubeTarget(text, None)
    context, at, place = text.removeprefix(_SCHEME).rpartition("@")
    parts = place.split("/")
    if (at and not _CONTEXT.fullmatch(context)) or len(parts) not in (1, 3):
        raise _refused(text)
    if not all(_LABEL.fullmatch(part) for part in parts) or (len(parts) == 3 and parts[1] not in KINDS):
        raise _refused(text)
    kind, name = (parts[1], parts[2]) if len(parts) == 3 else (None, None)
    return KubeTarget(context or None, parts[0], kind, name)


def _refused(text: str) -> UsageError:
    return UsageError(
        f"'{text}' names no place in Kubernetes",
        hint=f"--to takes CONTEXT or kubectl://CONTEXT@NAMESPACE/KIND/NAME; KIND is {', '.join(KINDS)}.",
    )


class Kubectl:
    """Runs kubectl; every call raises KubernetesError with kubectl's own words when it fails."""

    def __init__(self, programs: Programs, target: KubeTarget) -> None:
        self._programs = programs
        self._begin = ["kubectl"]
        if target.context is not None:
            self._begin.append(f"--context={target.context}")
        if target.namespace is not None:
            self._begin.append(f"--namespace={target.namespace}")

    def try_(self, *words: str, stdin: bytes = b"", timeout: float = _TIMEOUT) -> Answer:
        """How one call ended."""
        return self._programs.answer_of(
            [*self._begin, *words], who=f"kubectl {words[0]}", stdin=stdin, timeout=timeout
        )

    def __call__(self, *words: str, stdin: bytes = b"", timeout: float = _TIMEOUT) -> str:
        """What one call wrote."""
        answer = self.try_(*words, stdin=stdin, timeout=timeout)
        if not answer.ok:
            raise KubernetesError(f"kubectl {words[0]} failed: {said_by(answer)}")
        return answer.output.decode("utf-8", "replace")

    def json(self, *words: str) -> dict[str, object]:
        """The object that `kubectl get …` gives."""
        text = self("get", *words, "-o", "json")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise KubernetesError(f"kubectl get {words[0]} gave no JSON")
        return found

    def items(self, *words: str) -> list[dict[str, object]]:
        """The objects of a list; none where the cluster does not know their kind."""
        answer = self.try_("get", *words, "-o", "json")
        if not answer.ok:
            said = said_by(answer)
            if "the server doesn't have a resource type" in said:
                return []
            raise KubernetesError(f"kubectl get {words[0]} failed: {said}")
        try:
            found = json.loads(answer.output)
        except (ValueError, RecursionError):
            found = None
        listed = found.get("items") if isinstance(found, dict) else None
        return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def said_by(answer: Answer) -> str:
    """What kubectl said, in one line."""
    text = (answer.errors or answer.output).decode("utf-8", "replace").strip()
    return " ".join(text.split())[-600:] or f"exit code {answer.code}"
