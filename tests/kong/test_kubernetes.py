"""What a chart makes of the values, rule by rule (Kong contract 4.5), and valid for Kubernetes' own schemas."""

import base64
import json
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pumice.errors import CheckError
from pumice.kong.helm import helm_texts
from pumice.kong.kubernetes import applied, config_maps, documents
from pumice.kong.kustomize import kustomize_texts
from pumice.kong.plugin_files import PluginFiles

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
FILES = {
    "handler.lua": b"return {}\n",
    "migrations/init.lua": b"return {}",
    "schema.lua": b"return '\xff'",
    "deep/er/x.lua": b"return 1 < 2",
}
DEMO = PluginFiles("demo", "1.0.0-1", FILES)
OTHER = PluginFiles("p" * 51, "1.0.0-1", {"handler.lua": b"x", "schema.lua": b"y"})


def chart(values: dict[str, Any], env: dict[str, str] | None = None) -> dict[str, Any]:
    """The Deployment that Kong's chart renders, as the contract has it: nothing here is of the project."""
    volumes, mounts, names = [], [], ["bundled"]
    plugins = values["plugins"]
    for key, source, field in (("configMaps", "configMap", "name"), ("secrets", "secret", "secretName")):
        for entry in plugins.get(key, ()):
            volume = f"kong-plugin-{entry['pluginName']}"
            root = f"/opt/kong/plugins/{entry['pluginName']}"
            names.append(entry["pluginName"])
            volumes.append({"name": volume, source: {field: entry["name"]}})
            mounts.append({"name": volume, "mountPath": root, "readOnly": True})
            for below in entry.get("subdirectories", ()):
                # `path` may be left out for ConfigMaps alone
                path = below["path"] if key == "secrets" else below.get("path", below["name"])
                volumes.append({"name": below["name"], source: {field: below["name"]}})
                mounts.append({"name": below["name"], "mountPath": f"{root}/{path}", "readOnly": True})
    variables = {
        "KONG_PLUGINS": ",".join(dict.fromkeys(names)),
        "KONG_LUA_PACKAGE_PATH": "/opt/?.lua;/opt/?/init.lua;;",
        **{f"KONG_{name.upper()}": value for name, value in (env or {}).items()},
    }
    container = {
        "name": "proxy",
        "image": "kong:3.9",
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "securityContext": {"readOnlyRootFilesystem": True, "runAsUser": 1000},
        "volumeMounts": mounts,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "kong"},
        "spec": {
            "selector": {"matchLabels": {"app": "kong"}},
            "template": {
                "metadata": {"labels": {"app": "kong"}},
                "spec": {"containers": [container], "volumes": volumes},
            },
        },
    }


def read(texts: tuple[Any, ...]) -> dict[str, list[Any]]:
    return {text.name: list(yaml.safe_load_all(text.text)) for text in texts}


@pytest.mark.parametrize("secret", [False, True])
def test_the_rendered_deployment_mounts_every_file_where_kong_looks(secret: bool) -> None:
    """Path by path: /opt/kong/plugins/NAME/…, read only, each from the resource that holds it."""
    found = read(helm_texts([DEMO, OTHER], secret=secret))
    resources = {
        each["metadata"]["name"]: each for each in found["secrets.yaml" if secret else "configmaps.yaml"]
    }
    deployment = chart(found["values.yaml"][0])
    for each in (*resources.values(), deployment):
        kubernetes_validate.validate(each, "1.31", strict=True)
    pod = deployment["spec"]["template"]["spec"]
    (proxy,) = pod["containers"]
    files = {}
    for volume, mount in zip(pod["volumes"], proxy["volumeMounts"], strict=True):
        assert volume["name"] == mount["name"]
        assert LABEL.fullmatch(volume["name"])
        name = volume["secret"]["secretName"] if secret else volume["configMap"]["name"]
        held = resources.pop(name)
        assert held["kind"] == ("Secret" if secret else "ConfigMap")
        assert "namespace" not in held["metadata"]
        plain = {} if secret else {key: text.encode() for key, text in held.get("data", {}).items()}
        packed = held.get("data" if secret else "binaryData", {})
        plain |= {key: base64.b64decode(text) for key, text in packed.items()}
        files |= {f"{mount['mountPath']}/{key}": data for key, data in plain.items()}
    assert resources == {}
    wanted = {f"/opt/kong/plugins/demo/{path}": data for path, data in FILES.items()}
    wanted |= {f"/opt/kong/plugins/{OTHER.name}/{path}": data for path, data in OTHER.files.items()}
    assert wanted == files
    variables = {each["name"]: each["value"] for each in proxy["env"]}
    assert variables["KONG_PLUGINS"] == f"bundled,demo,{OTHER.name}"


@pytest.mark.parametrize("secret", [False, True])
def test_the_chart_ingress_has_the_same_values_under_gateway(secret: bool) -> None:
    found = read(helm_texts([DEMO], secret=secret))
    assert found["values-ingress.yaml"] == [{"gateway": found["values.yaml"][0]}]
    assert list(found["values.yaml"][0]["plugins"]) == ["secrets" if secret else "configMaps"]


def test_a_path_is_named_for_every_subdirectory() -> None:
    """Mandatory for secrets, and for ConfigMaps the default would be the name with its hash."""
    for secret, key in ((False, "configMaps"), (True, "secrets")):
        (entry,) = read(helm_texts([DEMO], secret=secret))["values.yaml"][0]["plugins"][key]
        assert [below["path"] for below in entry["subdirectories"]] == ["deep/er", "migrations"]


def test_values_of_the_user_that_win_over_the_plugins_are_told_of() -> None:
    text = {text.name: text.text for text in helm_texts([DEMO])}["values.yaml"]
    assert "env.plugins wins over that" in text
    assert "env.lua_package_path" in text
    overridden = chart(yaml.safe_load(text), {"plugins": "bundled"})
    (proxy,) = overridden["spec"]["template"]["spec"]["containers"]
    assert {"name": "KONG_PLUGINS", "value": "bundled"} in proxy["env"]


@pytest.mark.parametrize("secret", [False, True])
def test_another_content_is_another_name_since_pods_do_not_start_anew_by_themselves(secret: bool) -> None:
    before = {each.directory: each.name for each in config_maps(DEMO)}
    for path in FILES:
        changed = config_maps(DEMO.replace(files={**FILES, path: b"-- other"}))
        differ = {each.directory for each in changed if each.name != before[each.directory]}
        assert differ == {path.rpartition("/")[0]}
    for each in documents(config_maps(DEMO), "1", secret=secret):
        assert each["immutable"] is True


@pytest.mark.parametrize("secret", [False, True])
def test_a_mebibyte_is_what_one_resource_takes(secret: bool) -> None:
    fits = DEMO.replace(files={"handler.lua": bytes(1), "schema.lua": b"x" * (1048576 - 1)})
    assert helm_texts([fits], secret=secret)
    with pytest.raises(CheckError, match="a ConfigMap takes 1,048,576"):
        helm_texts([fits.replace(files={**fits.files, "x.lua": b"x"})], secret=secret)


def annotation(document: dict[str, Any]) -> int:
    """The size of all annotations with the one that `kubectl apply` makes: Go's JSON escapes three letters."""
    copy = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
    for letter in "<>&":
        copy = copy.replace(letter, f"\\u{ord(letter):04x}")
    own = {**document["metadata"]["annotations"], "kubectl.kubernetes.io/last-applied-configuration": copy}
    return sum(len(key.encode()) + len(value.encode()) for key, value in own.items())


@pytest.mark.parametrize("letter", ["x", "<", "é", "\n"])
@pytest.mark.parametrize("secret", [False, True])
def test_what_does_not_fit_the_annotation_is_applied_by_the_server(letter: str, secret: bool) -> None:
    """262,144 bytes, to the byte."""

    def made(count: int) -> tuple[dict[str, Any], str]:
        plugin = DEMO.replace(files={"handler.lua": (letter * count).encode(), "schema.lua": b""})
        texts = documents(config_maps(plugin), "1.0.0-1", secret=secret)
        return texts[0], applied(texts)

    low, high = 1, 262_144
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if annotation(made(middle)[0]) <= 262_144 else (low, middle)
    assert made(low)[1] == "kubectl apply"
    assert made(high)[1] == "kubectl apply --server-side"


def test_the_way_to_apply_is_told_in_both_forms() -> None:
    large = DEMO.replace(files={**FILES, "big.lua": b"x" * 262_144})
    for plugin, words in ((DEMO, "kubectl apply -"), (large, "kubectl apply --server-side -")):
        assert words + "f configmaps.yaml" in helm_texts([plugin])[1].text
        assert words + "f secrets.yaml" in helm_texts([plugin], secret=True)[1].text
        assert words + "k DIRECTORY" in kustomize_texts([plugin])[0].text


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (DEMO.replace(needs=("the rock lua-resty-jwt",)), "only what lies below kong/plugins is mounted"),
        (DEMO.replace(name="my_plugin"), "volumes are named after the plugin"),
        (DEMO.replace(name="p" * 52), "volumes are named after the plugin"),
        (DEMO.replace(files={**FILES, "a b.lua": b""}), "no key of a ConfigMap"),
    ],
)
@pytest.mark.parametrize("secret", [False, True])
def test_what_the_chart_cannot_mount_is_refused_in_both_forms(
    plugin: PluginFiles, message: str, secret: bool
) -> None:
    for texts in (helm_texts, kustomize_texts):
        with pytest.raises(CheckError, match=message):
            texts([plugin], secret=secret)


def test_names_of_every_length_are_labels_of_their_own() -> None:
    """Names of resources and volumes end at 63 letters, wherever the hash begins."""
    for length in (1, 30, 50, 51):
        for depth in range(1, 30):
            files = {**FILES, f"{'d' * depth}/x.lua": b"", f"{'d' * depth}-/x.lua": b"", "_/x.lua": b""}
            maps = config_maps(PluginFiles("p" * length, "1-1", files))
            names = [each.name for each in maps]
            assert len(set(names)) == len(names)
            assert all(LABEL.fullmatch(each.name) and LABEL.fullmatch(each.volume) for each in maps)
