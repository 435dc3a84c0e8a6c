"""A gateway in Kubernetes: patches held against the real kubectl; the roll-out with a stand-in for it.

The stand-in answers like an API server with one Deployment or one DataPlane: not seen on the real one.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pumice.cluster.events import Event
from pumice.cluster.kube_patch import deployment_patch, with_plugins
from pumice.cluster.kubectl import Kubectl, KubernetesError, KubeTarget, is_kubernetes, parse_target
from pumice.cluster.kubernetes import KubeEnded, ship_to_kubernetes
from pumice.cluster.programs import Programs
from pumice.errors import CheckError, NotFoundError, PumiceError, UsageError
from pumice.kong.kubernetes import config_maps
from pumice.kong.plugin_files import PluginFiles

ONE = PluginFiles(
    "demo", "1.0.0-1", {"handler.lua": b"return 1", "schema.lua": b"return 1", "sub/x.lua": b"1"}
)
TWO = PluginFiles("demo", "2.0.0-1", {"handler.lua": b"return 2", "schema.lua": b"return 1"})


def deployment(**container: Any) -> dict[str, Any]:
    """As Kong's chart makes one, cut to what matters."""
    proxy = {
        "name": "proxy",
        "image": "kong:3.9",
        "env": [{"name": "KONG_DATABASE", "value": "off"}],
        **container,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "kong", "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "spec": {
            "selector": {"matchLabels": {"app": "kong"}},
            "template": {
                "metadata": {"labels": {"app": "kong"}},
                "spec": {
                    "containers": [{"name": "ingress-controller", "image": "kic"}, proxy],
                    "volumes": [{"name": "kong-prefix", "emptyDir": {}}],
                },
            },
        },
    }


@pytest.fixture
def kubectl_program() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not installed")
    return found


def patched(program: str, there: dict[str, Any], patch: Any, folder: Path) -> dict[str, Any]:
    """What the real kubectl makes of a strategic merge patch; it asks no server."""
    (folder / "d.json").write_text(json.dumps(there))
    ended = subprocess.run(
        [
            program,
            "patch",
            "--local",
            "-f",
            "d.json",
            "--type=strategic",
            "-o",
            "json",
            "-p",
            json.dumps(patch),
        ],
        cwd=folder,
        capture_output=True,
        timeout=60,
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def proxy_of(there: dict[str, Any]) -> dict[str, Any]:
    containers = there["spec"]["template"]["spec"]["containers"]
    return next(each for each in containers if each["name"] == "proxy")


def env_of(there: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in proxy_of(there)["env"]}


@pytest.mark.peer
def test_a_patch_mounts_the_files_and_keeps_everything_else(kubectl_program: str, tmp_path: Path) -> None:
    patch = deployment_patch(deployment(), config_maps(ONE))
    after = patched(kubectl_program, deployment(), patch, tmp_path)
    assert env_of(after) == {
        "KONG_DATABASE": "off",
        "KONG_PLUGINS": "bundled,demo",
        "KONG_LUA_PACKAGE_PATH": "/opt/?.lua;/opt/?/init.lua;;",
    }
    paths = [each["mountPath"] for each in proxy_of(after)["volumeMounts"]]
    assert sorted(paths) == ["/opt/kong/plugins/demo", "/opt/kong/plugins/demo/sub"]
    spec = after["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["containers"]] == ["ingress-controller", "proxy"]
    assert len(spec["volumes"]) == 3
    assert deployment_patch(after, config_maps(ONE)) is None


@pytest.mark.peer
def test_another_version_replaces_the_files_of_the_one_before(kubectl_program: str, tmp_path: Path) -> None:
    first = patched(kubectl_program, deployment(), deployment_patch(deployment(), config_maps(ONE)), tmp_path)
    patch = deployment_patch(first, config_maps(TWO))
    second = patched(kubectl_program, first, patch, tmp_path)
    (mount,) = proxy_of(second)["volumeMounts"]
    assert mount["mountPath"] == "/opt/kong/plugins/demo"
    names = {each["name"]: each.get("configMap") for each in second["spec"]["template"]["spec"]["volumes"]}
    (wanted,) = config_maps(TWO)
    assert names == {"kong-prefix": None, "kong-plugin-demo": {"name": wanted.name}}
    assert env_of(second)["KONG_PLUGINS"] == "bundled,demo"


@pytest.mark.parametrize(
    ("name", "value", "after"),
    [
        ("KONG_PLUGINS", "bundled,other", "bundled,other,demo"),
        ("KONG_PLUGINS", "off", "demo"),
        ("KONG_PLUGINS", " bundled , demo", "bundled,demo"),
        ("KONG_LUA_PACKAGE_PATH", "/x/?.lua;;", "/opt/?.lua;/opt/?/init.lua;/x/?.lua;;"),
        ("KONG_LUA_PACKAGE_PATH", "/opt/?.lua;/opt/?/init.lua;;", "/opt/?.lua;/opt/?/init.lua;;"),
    ],
)
def test_what_a_variable_has_is_kept(name: str, value: str, after: str) -> None:
    patch: Any = deployment_patch(deployment(env=[{"name": name, "value": value}]), config_maps(ONE))
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    assert {each["name"]: each["value"] for each in container["env"]}[name] == after


def test_a_variable_from_a_secret_is_refused() -> None:
    there = deployment(
        env=[{"name": "KONG_PLUGINS", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    )
    with pytest.raises(PumiceError, match="cannot be added to"):
        deployment_patch(there, config_maps(ONE))


def test_a_gateway_that_is_not_the_charts_is_known_when_it_is_alone() -> None:
    there = deployment()
    spec = there["spec"]["template"]["spec"]
    spec["containers"] = [{"name": "gateway"}]
    patch: Any = deployment_patch(there, config_maps(TWO))
    assert patch["spec"]["template"]["spec"]["containers"][0]["name"] == "gateway"
    spec["containers"] = [{"name": "a"}, {"name": "b"}]
    with pytest.raises(PumiceError, match="a, b"):
        deployment_patch(there, config_maps(TWO))


def test_a_list_of_installations_keeps_what_it_had() -> None:
    there = {"spec": {"dataPlaneOptions": {"pluginsToInstall": [{"name": "other"}]}}}
    patch = with_plugins(there, "gatewayconfiguration", "demo", "kong")
    assert patch == {
        "spec": {
            "dataPlaneOptions": {
                "pluginsToInstall": [{"name": "other"}, {"name": "demo", "namespace": "kong"}]
            }
        }
    }
    assert with_plugins(patch or {}, "gatewayconfiguration", "demo", "kong") is None
    assert with_plugins({}, "dataplane", "demo", None) == {"spec": {"pluginsToInstall": [{"name": "demo"}]}}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("prod-eu", KubeTarget("prod-eu", None)),
        ("kubectl://kong", KubeTarget(None, "kong")),
        ("kubectl://prod@kong", KubeTarget("prod", "kong")),
        ("kubectl://a/b@c@kong/deployment/gw", KubeTarget("a/b@c", "kong", "deployment", "gw")),
    ],
)
def test_targets_are_contexts_or_places(text: str, target: KubeTarget) -> None:
    assert is_kubernetes(text)
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text", ["-x", "kubectl://", "kubectl://a/b", "kubectl://a/pod/x", "kubectl://--as=root@a"]
)
def test_other_targets_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


@pytest.mark.parametrize("text", ["cluster.toml", "./prod", "a/b.toml"])
def test_files_are_no_contexts(text: str) -> None:
    assert not is_kubernetes(text)


STAND_IN = r"""
import json, os, sys
folder = os.path.dirname(os.path.abspath(__file__))
state = json.load(open(folder + "/state.json"))
words = [each for each in sys.argv[1:] if not each.startswith(("--context=", "--namespace="))]
given = sys.stdin.read() if "--filename=-" in words else ""
dry = "--dry-run=server" in words
with open(folder + "/calls", "a") as log:
    log.write(json.dumps([words, sys.argv[1:], len(given)]) + "\n")
def end(text="", code=0, error=""):
    json.dump(state, open(folder + "/state.json", "w"))
    sys.stdout.write(text); sys.stderr.write(error); raise SystemExit(code)
if "refuse" in state and words[0] == state["refuse"]:
    end(code=1, error="Error from server (Forbidden): no")
if words[0] == "get":
    what = words[1]
    if what in ("deployments", "pods") or what.count(".") and "/" not in what:
        found = state["lists"].get(what.split(".")[0])
        if found is None:
            end(code=1, error="error: the server doesn't have a resource type \"x\"")
        end(json.dumps({"items": found}))
    kind = what.split("/")[0].split(".")[0]
    if kind == "deployment":
        end(json.dumps(state["deployment"]))
    answers = state["objects"][kind]
    end(json.dumps(answers.pop(0) if len(answers) > 1 else answers[0]))
if words[0] == "patch" and not dry:
    state["patched"] = state.get("patched", 0) + 1
if words[:2] == ["rollout", "undo"]:
    state["undone"] = True
if words[:2] == ["rollout", "status"] and state.get("stuck") and not state.get("undone"):
    end(code=1, error="error: timed out waiting for the condition")
if words[0] == "logs":
    end("line one\ninit_by_lua error: boom\n")
end("done\n")
"""


class StandIn:
    """A kubectl on the PATH whose cluster is a file."""

    def __init__(self, folder: Path, **state: Any) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        program = self.folder / "kubectl"
        program.write_text(f"#!{sys.executable} -S\n{STAND_IN}")
        program.chmod(0o755)
        self.told: list[Event] = []
        self.work = folder / "manifests"
        lists = {"deployments": [deployment()], "pods": [], **state.pop("lists", {})}
        self.write({"deployment": deployment(), "lists": lists, **state})

    def write(self, state: dict[str, Any]) -> None:
        (self.folder / "state.json").write_text(json.dumps(state))

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    @property
    def calls(self) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [" ".join(json.loads(line)[0])[:60] for line in lines]

    def ship(self, plugin: PluginFiles = ONE, target: str = "prod", **named: Any) -> KubeEnded:
        place = parse_target(target)
        programs = Programs({"PATH": str(self.folder)})
        return ship_to_kubernetes(
            [plugin],
            place,
            Kubectl(programs, place),
            str(self.work),
            self.told.append,
            timeout=2.0,
            sleep=lambda seconds: None,
            **named,
        )


def test_a_deployment_is_patched_after_the_server_has_judged_it(tmp_path: Path) -> None:
    cluster = StandIn(tmp_path)
    ended = cluster.ship()
    assert ended.changed
    assert "all pods are new and ready" in ended.text
    assert "helm upgrade" in ended.text
    changing = [call for call in cluster.calls if not call.startswith("get")]
    assert changing[0].startswith("apply --server-side --dry-run=server")
    assert "patch deployment/kong --type=strategic" in changing[1]
    assert changing[2].startswith("apply --server-side --filename=-")
    assert changing[-1].startswith("rollout status deployment/kong --timeout=2s")
    assert sorted(each.name for each in cluster.work.iterdir()) == [
        "configmaps.yaml",
        "values-ingress.yaml",
        "values.yaml",
    ]


def test_the_context_is_named_in_every_call(tmp_path: Path) -> None:
    cluster = StandIn(tmp_path)
    cluster.ship(target="kubectl://prod@kong/deployment/kong")
    for line in (cluster.folder / "calls").read_text().splitlines():
        assert json.loads(line)[1][:2] == ["--context=prod", "--namespace=kong"]


def test_a_plan_changes_nothing(tmp_path: Path) -> None:
    cluster = StandIn(tmp_path)
    assert not cluster.ship(plan_only=True).changed
    assert "patched" not in cluster.state
    assert all(call.startswith("get") or "--dry-run" in call or "patch" in call for call in cluster.calls)


def test_pods_that_do_not_become_ready_are_taken_back_with_their_reasons(tmp_path: Path) -> None:
    pod = {
        "metadata": {"name": "kong-new"},
        "status": {
            "containerStatuses": [
                {"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}
            ]
        },
    }
    cluster = StandIn(tmp_path, stuck=True, lists={"pods": [pod]})
    with pytest.raises(KubernetesError) as caught:
        cluster.ship()
    assert "kong-new: CrashLoopBackOff back-off. It is taken back" in caught.value.message
    assert cluster.state["undone"]
    (event,) = [event for event in cluster.told if event.lines]
    assert any("init_by_lua error: boom" in line for line in event.lines)


@pytest.mark.parametrize("word", ["get", "apply", "patch"])
def test_a_refusal_is_told_in_kubectls_words(tmp_path: Path, word: str) -> None:
    with pytest.raises(KubernetesError, match=f"kubectl {word}.*Forbidden"):
        StandIn(tmp_path, refuse=word).ship()


def test_no_gateway_and_several_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no gateway in prod"):
        StandIn(tmp_path, lists={"deployments": []}).ship()
    two = [deployment(), {"metadata": {"name": "other"}}]
    (tmp_path / "two").mkdir()
    with pytest.raises(UsageError, match="deployment/kong, deployment/other"):
        StandIn(tmp_path / "two", lists={"deployments": two}).ship()


def test_a_plugin_that_cannot_be_mounted_is_refused_before_anything_is_asked_for(tmp_path: Path) -> None:
    cluster = StandIn(tmp_path)
    with pytest.raises(CheckError):
        cluster.ship(ONE.replace(name="under_score"))
    assert all(call.startswith("get") for call in cluster.calls)


def condition(kind: str, status: str, reason: str = "Ready", generation: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"name": "gw", "generation": generation},
        "status": {
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "message": "m", "observedGeneration": 1}
            ]
        },
    }


def operated(tmp_path: Path, *planes: dict[str, Any], accepted: dict[str, Any] | None = None) -> StandIn:
    return StandIn(
        tmp_path,
        lists={"dataplanes": [{"metadata": {"name": "gw"}}]},
        objects={
            "dataplanes": list(planes),
            "kongplugininstallations": [accepted or condition("Accepted", "True")],
        },
    )


def test_the_operator_gets_an_installation_and_is_followed(tmp_path: Path) -> None:
    old = condition("Ready", "True", generation=2)
    cluster = operated(tmp_path, {"metadata": {"name": "gw"}}, old, condition("Ready", "True"))
    ended = cluster.ship(TWO, target="kubectl://prod@kong", image="ghcr.io/me/demo:2.0.0")
    assert "its data planes are ready" in ended.text
    assert cluster.state["patched"] == 1
    assert (cluster.work / "kongplugininstallation.yaml").exists()


def test_the_operator_needs_an_image_and_two_files(tmp_path: Path) -> None:
    cluster = operated(tmp_path, {"metadata": {"name": "gw"}})
    with pytest.raises(UsageError, match="takes a plugin as an image"):
        cluster.ship(TWO)
    with pytest.raises(CheckError):
        cluster.ship(ONE, image="ghcr.io/me/demo:1")


def test_an_installation_that_is_not_accepted_changes_no_gateway(tmp_path: Path) -> None:
    cluster = operated(
        tmp_path, {"metadata": {"name": "gw"}}, accepted=condition("Accepted", "False", reason="Failed")
    )
    with pytest.raises(KubernetesError, match="is not Accepted: Failed: m"):
        cluster.ship(TWO, image="ghcr.io/me/demo:1")
    assert "patched" not in cluster.state


def test_a_data_plane_that_does_not_become_ready_loses_the_plugin_again(tmp_path: Path) -> None:
    cluster = operated(tmp_path, {"metadata": {"name": "gw"}}, condition("Ready", "False", reason="Failed"))
    with pytest.raises(KubernetesError, match="taken out of pluginsToInstall again"):
        cluster.ship(TWO, image="ghcr.io/me/demo:1")
    assert cluster.state["patched"] == 2


def test_without_kubectl_it_says_so(tmp_path: Path) -> None:
    cluster = StandIn(tmp_path)
    (cluster.folder / "kubectl").unlink()
    with pytest.raises(PumiceError, match="kubectl cannot be started"):
        cluster.ship()
