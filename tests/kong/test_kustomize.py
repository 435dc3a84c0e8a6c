"""The component, built by the real kustomize in kubectl into a Deployment as the chart makes it."""

import shutil
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pumice.kong.kustomize import kustomize_texts
from pumice.kong.plugin_files import PluginFiles

DEMO = PluginFiles(
    "demo",
    "1.0.0-1",
    {"handler.lua": b"return {\n}\n", "migrations/init.lua": b"return {}", "schema.lua": b"x"},
)
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "kong-kong", "labels": {"app.kubernetes.io/component": "app"}},
    "spec": {
        "selector": {"matchLabels": {"app": "kong"}},
        "template": {
            "metadata": {"labels": {"app": "kong"}},
            "spec": {
                "containers": [
                    {"name": "ingress-controller", "image": "c"},
                    {
                        "name": "proxy",
                        "image": "kong:3.9",
                        "env": [{"name": "KONG_PLUGINS", "value": "bundled"}, {"name": "A", "value": "b"}],
                        "volumeMounts": [{"name": "prefix", "mountPath": "/kong_prefix/"}],
                    },
                ],
                "volumes": [{"name": "prefix", "emptyDir": {}}],
            },
        },
    },
}


@pytest.fixture(params=[False, True], ids=["ConfigMap", "Secret"])
def kind(request: pytest.FixtureRequest) -> str:
    """What holds the files."""
    return "Secret" if request.param else "ConfigMap"


@pytest.fixture
def built(tmp_path: Path, kind: str) -> list[dict[str, Any]]:
    """What the real kustomize makes of a Deployment and the component."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("no kubectl here")
    component = tmp_path / "component"
    component.mkdir()
    for text in kustomize_texts([DEMO], secret=kind == "Secret"):
        (component / text.name).write_text(text.text)
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(DEPLOYMENT))
    (tmp_path / "kustomization.yaml").write_text("resources: [deployment.yaml]\ncomponents: [component]\n")
    done = subprocess.run([program, "kustomize", tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.peer
def test_the_deployment_gets_volumes_mounts_and_environment(built: list[dict[str, Any]], kind: str) -> None:
    for each in built:
        kubernetes_validate.validate(each, "1.31", strict=True)
    maps = [each for each in built if each["kind"] == kind]
    (deployment,) = [each for each in built if each["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    controller, proxy = sorted(pod["containers"], key=lambda each: str(each["name"]))
    assert controller == {"name": "ingress-controller", "image": "c"}
    assert {"name": "prefix", "emptyDir": {}} in pod["volumes"]
    held = {}
    for each in pod["volumes"]:
        if "emptyDir" not in each:
            held[each["name"]] = (
                each["secret"]["secretName"] if kind == "Secret" else each["configMap"]["name"]
            )
    assert sorted(held.values()) == sorted(each["metadata"]["name"] for each in maps)
    mounted = {
        each["mountPath"]: held[each["name"]] for each in proxy["volumeMounts"] if each["name"] in held
    }
    assert sorted(mounted) == ["/opt/kong/plugins/demo", "/opt/kong/plugins/demo/migrations"]
    data = {each["metadata"]["name"]: each["data"] for each in maps}
    if kind == "Secret":
        data = {
            name: {key: b64decode(text).decode() for key, text in each.items()} for name, each in data.items()
        }
    assert data[mounted["/opt/kong/plugins/demo"]] == {"handler.lua": "return {\n}\n", "schema.lua": "x"}
    assert data[mounted["/opt/kong/plugins/demo/migrations"]] == {"init.lua": "return {}"}
    environment = {each["name"]: each["value"] for each in proxy["env"]}
    assert environment == {
        "KONG_PLUGINS": "bundled,demo",
        "KONG_LUA_PACKAGE_PATH": "/opt/?.lua;/opt/?/init.lua;;",
        "A": "b",
    }


def test_the_same_plugin_gives_the_same_texts() -> None:
    assert kustomize_texts([DEMO]) == kustomize_texts([DEMO])
