"""ConfigMaps and values: valid for Kubernetes, and rendered as the chart does they are the plugin again."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pumice.errors import CheckError
from pumice.kong.helm import helm_texts
from pumice.kong.kubernetes import config_maps
from pumice.kong.plugin_files import PluginFiles

KUBERNETES = "1.31"
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
FILES = {
    "handler.lua": b"local m = require 'kong.plugins.demo.migrations' return { VERSION = '1.0.0', m = m }\n",
    "migrations/000_base.lua": b"return {}",
    "migrations/init.lua": b"return { '000_base' }",
    "schema.lua": b"return { name = 'demo' }",
    "strategies/postgres/My_Daos.lua": b"return '\xff'",
}
DEMO = PluginFiles("demo", "1.0.0-1", FILES)


def read(plugins: list[PluginFiles]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The ConfigMaps by name, and the values."""
    texts = {text.name: text.text for text in helm_texts(plugins)}
    maps = {each["metadata"]["name"]: each for each in yaml.safe_load_all(texts["configmaps.yaml"])}
    values = yaml.safe_load(texts["values.yaml"])
    assert {"gateway": values} == yaml.safe_load(texts["values-ingress.yaml"])
    return maps, values


def rendered(values: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The chart's volumes: name, ConfigMap, mount path (section 4.5 of the contract, in Python)."""
    volumes = []
    for entry in values["plugins"]["configMaps"]:
        root = f"/opt/kong/plugins/{entry['pluginName']}"
        volumes.append((f"kong-plugin-{entry['pluginName']}", entry["name"], root))
        for below in entry.get("subdirectories", ()):
            volumes.append((below["name"], below["name"], f"{root}/{below.get('path', below['name'])}"))
    return volumes


def test_every_config_map_is_valid_and_named_with_a_label() -> None:
    maps, _ = read([DEMO])
    assert len(maps) == 3
    for name, each in maps.items():
        kubernetes_validate.validate(each, KUBERNETES, strict=True)
        assert LABEL.fullmatch(name)


@pytest.mark.peer
def test_mounted_as_the_chart_does_it_is_the_plugin_again(tmp_path: Path, luajit: Callable[..., str]) -> None:
    import base64

    maps, values = read([DEMO])
    volumes = rendered(values)
    assert all(LABEL.fullmatch(volume) for volume, _, _ in volumes)
    assert len({volume for volume, _, _ in volumes}) == len(volumes)
    for _, name, path in volumes:
        folder = tmp_path / path.removeprefix("/")
        folder.mkdir(parents=True)
        for key, text in maps[name].get("data", {}).items():
            (folder / key).write_bytes(text.encode())
        for key, text in maps[name].get("binaryData", {}).items():
            (folder / key).write_bytes(base64.b64decode(text))
    root = tmp_path / "opt/kong/plugins/demo"
    assert {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.lua")} == FILES
    search = "/opt/?.lua;/opt/?/init.lua".replace("/opt", f"{tmp_path}/opt")
    assert (
        luajit("package.path = arg[1] print(require('kong.plugins.demo.handler').m[1])", search)
        == "000_base\n"
    )


def test_another_content_is_another_name_and_the_same_content_the_same() -> None:
    before = {each.directory: each.name for each in config_maps(DEMO)}
    changed = {**FILES, "migrations/init.lua": b"return {}"}
    after = {each.directory: each.name for each in config_maps(PluginFiles("demo", "1.0.0-2", changed))}
    assert [key for key in before if before[key] != after[key]] == ["migrations"]
    assert helm_texts([DEMO]) == helm_texts([DEMO])


def test_long_names_stay_labels_and_apart() -> None:
    files = {**FILES, **{f"{'deep/' * 20}{end}/x.lua": b"" for end in ("a_b", "a-b", "Ä")}}
    maps = config_maps(PluginFiles("p" * 51, "1-1", files))
    assert len({each.name for each in maps}) == len(maps)
    assert all(LABEL.fullmatch(each.name) and LABEL.fullmatch(each.volume) for each in maps)


def test_several_plugins_stand_side_by_side() -> None:
    maps, values = read([DEMO, PluginFiles("other", "1.0.0-1", {"handler.lua": b"x", "schema.lua": b"y"})])
    assert [entry["pluginName"] for entry in values["plugins"]["configMaps"]] == ["demo", "other"]
    assert len(maps) == 4


def test_a_directory_of_exactly_the_limit_is_taken_and_a_byte_more_is_refused() -> None:
    fits = {"handler.lua": bytes(1), "schema.lua": b"x" * (1048576 - 1)}
    assert len(config_maps(PluginFiles("demo", "1-1", fits))) == 1
    with pytest.raises(CheckError, match="demo has 1,048,577 bytes, and a ConfigMap takes 1,048,576"):
        config_maps(PluginFiles("demo", "1-1", {**fits, "x.lua": b"x"}))


@pytest.mark.parametrize("name", ["my_plugin", "Demo", "a.b", "p" * 52, "-a", "a-", ""])
def test_a_name_that_makes_no_volume_is_refused(name: str) -> None:
    with pytest.raises(CheckError, match="volumes are named after the plugin"):
        helm_texts([PluginFiles(name, "1-1", FILES)])


def test_what_lies_elsewhere_and_odd_file_names_are_refused() -> None:
    with pytest.raises(CheckError, match=r"demo needs the rock lua-resty-jwt, and only") as caught:
        helm_texts([PluginFiles("demo", "1-1", FILES, ("the rock lua-resty-jwt",))])
    assert "--single-file" in caught.value.hint
    with pytest.raises(CheckError, match="no file of its own directory"):
        helm_texts([PluginFiles("demo", "1-1", {"handler/init.lua": b"", "schema/init.lua": b""})])
    with pytest.raises(CheckError, match="is no key of a ConfigMap"):
        helm_texts([PluginFiles("demo", "1-1", {"handler.lua": b"", "a b.lua": b""})])
