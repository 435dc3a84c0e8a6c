"""`operator`: the resources that make Kong's operator fetch a plugin from a registry (Kong contract 4.6)."""

from __future__ import annotations

import re

from pumice.errors import CheckError, UsageError
from pumice.kong.plugin_files import Text, two_files
from pumice.kong.yaml_writer import yaml_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.kong.plugin_files import PluginFiles

__all__ = ["operator_texts"]

_SIZE_LIMIT = 1 << 20
_BLOCK = 512
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_IMAGE = re.compile(
    r"(?P<path>[a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+)"
    r"(:(?P<tag>\w[\w.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?\Z",
    re.ASCII,
)


def operator_texts(
    plugin: PluginFiles, image: str, *, namespace: str | None = None, secret: str | None = None
) -> tuple[Text, ...]:
    """The `KongPluginInstallation`, and the patches that make a gateway use it.

    `image`: where the plugin's image will be (`pack --format oci` makes it), with a tag or digest that never
    moves: the operator fetches an image once. `namespace`: where the installation lives; `secret`: the name
    of the pull secret there. The resource is named as the plugin, since the operator takes its name for the
    plugin's. Raises CheckError for a plugin that the operator refuses, UsageError for the words given.
    """
    handler, schema = two_files(plugin, "the operator")
    if not _LABEL.match(plugin.name) or len(plugin.name) > 51:
        raise CheckError(
            f"'{plugin.name}' is no name of a Kubernetes resource and volume, which are named as the plugin",
            hint="Rename the plugin: at most 51 lower-case letters, digits and '-' between them.",
        )
    size = sum(_BLOCK + -(-len(data) // _BLOCK) * _BLOCK for data in (handler, schema))
    if size > _SIZE_LIMIT:
        raise CheckError(
            f"{plugin.name} has {size:,} bytes as a tar, and the operator reads {_SIZE_LIMIT:,}: plugin size "
            "limit of 1.00 MiB exceeded",
            hint="Ship it as an image on top of the gateway's.",
        )
    _check_image(image)
    for word, what in ((namespace, "namespace"), (secret, "secret")):
        if word is not None and not _LABEL.match(word):
            raise UsageError(
                f"'{word}' is no name of a {what}", hint="Lower-case letters, digits and '-' between them."
            )
    where = {"namespace": namespace} if namespace is not None else {}
    pull = {"imagePullSecretRef": {"kind": "Secret", "name": secret, **where}} if secret is not None else {}
    installation = {
        "apiVersion": "gateway-operator.konghq.com/v1alpha1",
        "kind": "KongPluginInstallation",
        "metadata": {"name": plugin.name, **where},
        "spec": {"image": image, **pull},
    }
    wanted = {"pluginsToInstall": [{"name": plugin.name, **where}]}
    in_namespace = f" -n {namespace}" if namespace is not None else ""
    return (
        Text(
            "kongplugininstallation.yaml",
            yaml_text(
                installation,
                comment=f"{plugin.name} {plugin.version}, after its image is in the registry:\n"
                f"  kubectl apply -f kongplugininstallation.yaml\n"
                f"  kubectl get kongplugininstallation {plugin.name}{in_namespace} -o yaml\n"
                "says in the condition Accepted whether the operator took it. The operator needs\n"
                "--enable-controller-kongplugininstallation.",
            ),
        ),
        Text("dataplane-patch.yaml", _patch("dataplane", {"spec": wanted})),
        Text(
            "gatewayconfiguration-patch.yaml",
            _patch("gatewayconfiguration", {"spec": {"dataPlaneOptions": wanted}}),
        ),
    )


def _patch(kind: str, body: dict[str, object]) -> str:
    return yaml_text(
        body,
        comment=f"  kubectl patch {kind} NAME --type merge --patch-file {kind}-patch.yaml\n"
        "The list replaces the one that is there: add the plugins that are installed already.",
    )


def _check_image(image: str) -> None:
    found = _IMAGE.match(image)
    if found is None:
        raise UsageError(
            f"'{image}' is no reference to an image",
            hint="--image takes REGISTRY/PATH:TAG or REGISTRY/PATH@sha256:DIGEST.",
        )
    if found["digest"] is None and found["tag"] in (None, "latest"):
        raise UsageError(
            f"'{image}' names no version, and the operator does not fetch an image that moved",
            hint="Give --image a tag that stays, such as the plugin's version, or a digest.",
        )
