"""The operator's resources, by the rules of the contract's section 4.6; not seen on a running operator."""

from typing import Any

import pytest
import yaml

from pumice.errors import CheckError, UsageError
from pumice.kong.operator import operator_texts
from pumice.kong.plugin_files import PluginFiles

FILES = {"handler.lua": b"return {}", "schema.lua": b"return {}"}
DEMO = PluginFiles("demo", "1.0.0-1", FILES)
DIGEST = "@sha256:" + "0" * 64


def read(image: str = "registry.example.com/acme/demo:1.0.0-1", **given: str) -> dict[str, Any]:
    return {text.name: yaml.safe_load(text.text) for text in operator_texts(DEMO, image, **given)}


def test_the_installation_is_named_as_the_plugin() -> None:
    assert read() == {
        "kongplugininstallation.yaml": {
            "apiVersion": "gateway-operator.konghq.com/v1alpha1",
            "kind": "KongPluginInstallation",
            "metadata": {"name": "demo"},
            "spec": {"image": "registry.example.com/acme/demo:1.0.0-1"},
        },
        "dataplane-patch.yaml": {"spec": {"pluginsToInstall": [{"name": "demo"}]}},
        "gatewayconfiguration-patch.yaml": {
            "spec": {"dataPlaneOptions": {"pluginsToInstall": [{"name": "demo"}]}}
        },
    }


def test_a_namespace_and_a_secret_are_named_wherever_they_are_needed() -> None:
    texts = read(namespace="gateways", secret="registry-login")
    installation = texts["kongplugininstallation.yaml"]
    assert installation["metadata"] == {"name": "demo", "namespace": "gateways"}
    assert installation["spec"]["imagePullSecretRef"] == {
        "kind": "Secret",
        "name": "registry-login",
        "namespace": "gateways",
    }
    wanted = [{"name": "demo", "namespace": "gateways"}]
    assert texts["dataplane-patch.yaml"]["spec"]["pluginsToInstall"] == wanted


@pytest.mark.parametrize(
    "image", ["r.example/demo:1", f"r.example:5000/a/b{DIGEST}", f"r.example/a:latest{DIGEST}"]
)
def test_references_that_stay_are_taken(image: str) -> None:
    assert read(image)["kongplugininstallation.yaml"]["spec"]["image"] == image


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("r.example/demo", "names no version"),
        ("r.example/demo:latest", "names no version"),
        ("oci://r.example/demo:1", "no reference"),
        ("r.example/Demo:1", "no reference"),
        ("r.example/demo:1\n", "no reference"),
        ("r.example/demo@sha256:12", "no reference"),
        ("demo", "no reference"),
        ("", "no reference"),
    ],
)
def test_others_are_refused(image: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        operator_texts(DEMO, image)


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (PluginFiles("demo", "1-1", {**FILES, "util.lua": b""}), "also needs util.lua"),
        (PluginFiles("demo", "1-1", {**FILES, "daos.lua": b""}), "Kong loads daos.lua of demo by its name"),
        (PluginFiles("demo", "1-1", FILES, ("the module a.b",)), "also needs the module a.b"),
        (PluginFiles("demo", "1-1", {"handler.lua": b""}), "demo has handler.lua"),
        (PluginFiles("my_plugin", "1-1", FILES), "no name of a Kubernetes resource"),
        (PluginFiles("demo", "1-1", {**FILES, "schema.lua": bytes(1 << 20)}), "plugin size limit of 1.00 MiB"),
    ],
)  # fmt: skip
def test_what_the_operator_refuses_is_refused(plugin: PluginFiles, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        operator_texts(plugin, "r.example/demo:1")
