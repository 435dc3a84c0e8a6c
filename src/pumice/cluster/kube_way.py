"""What shipping to a Deployment and to the operator share."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pumice.base.disk import make_directories, translate, write_atomic
from pumice.base.value import Value
from pumice.cluster.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pumice.cluster.kubectl import Kubectl, KubeTarget
    from pumice.kong.plugin_files import Text

__all__ = ["OPERATOR", "PLURALS", "KubeEnded", "Way", "name_of"]

OPERATOR = "gateway-operator.konghq.com"
PLURALS = {"dataplane": f"dataplanes.{OPERATOR}", "gatewayconfiguration": f"gatewayconfigurations.{OPERATOR}"}


class KubeEnded(Value):
    """What became of it."""

    text: str
    changed: bool
    folder: str
    """Where the manifests lie that were applied, for the user's own repository."""


def name_of(resource: Mapping[str, object]) -> str:
    """The name in the metadata of a resource."""
    metadata = resource.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


class Way:
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
