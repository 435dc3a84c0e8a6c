"""`pack` into Kubernetes's, the operator's and Konnect's forms, and folded, as whole commands."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLE = Path(__file__).parents[2] / "examples/kong-plugin-request-stamp"
STEM = "kong-plugin-request-stamp-0.1.0-1"
HANDLER = "local lib = require 'lib.a' return { PRIORITY = 1, VERSION = '1.0.0', access = lib.access }"
SCHEMA = "return { name = 'demo', fields = { { config = { type = 'record', fields = {} } } } }"
DEMO = {"lua/kong/plugins/demo/handler.lua": HANDLER, "lua/kong/plugins/demo/schema.lua": SCHEMA}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A copy of the example."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "plugin", ignore=shutil.ignore_patterns(".pumice")))


@pytest.fixture
def pack(command: Any, plugin: Path) -> Callable[..., int]:
    return lambda *words: command("pack", *words, cwd=plugin)


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--format", "helm"), ["configmaps.yaml", "values-ingress.yaml", "values.yaml"]),
        (("--format", "kustomize"), ["configmaps.yaml", "deployment-patch.yaml", "kustomization.yaml"]),
        (("--format", "helm", "--secrets"), ["secrets.yaml", "values-ingress.yaml", "values.yaml"]),
        (
            ("--format", "kustomize", "--secrets"),
            ["deployment-patch.yaml", "kustomization.yaml", "secrets.yaml"],
        ),
        (("--format", "konnect"), ["plugin-schema.json"]),
        (
            ("--format", "konnect", "--single-file"),
            ["custom-plugin.json", "deck.yaml", "plugin-schema.json", "request-stamp.lines.json"],
        ),
        (
            ("--format", "operator", "--single-file", "--image", "r.example/stamp:0.1.0"),
            [
                "dataplane-patch.yaml",
                "gatewayconfiguration-patch.yaml",
                "kongplugininstallation.yaml",
                "request-stamp.lines.json",
            ],
        ),
        (
            ("--single-file",),
            [
                "kong/plugins/request-stamp/handler.lua",
                "kong/plugins/request-stamp/schema.lua",
                "request-stamp.lines.json",
            ],
        ),
    ],
)
def test_the_example_is_written_the_same_every_time(
    pack: Any, command: Any, plugin: Path, words: tuple[str, ...], names: list[str]
) -> None:
    folder = plugin / f"{STEM}.{words[1] if words[0] == '--format' else 'single'}"
    assert pack(*words) == 0, command.output
    assert f"Packed: {folder}\n" in command.output
    before = written(folder)
    assert sorted(before) == names
    shutil.rmtree(folder)
    assert pack(*words) == 0
    assert written(folder) == before


def test_what_was_streamable_before_does_not_stay(pack: Any, command: Any, plugin: Path) -> None:
    assert pack("--format", "konnect", "--single-file") == 0
    assert pack("--format", "konnect") == 0
    assert "cannot be streamed" in command.output
    assert not (plugin / f"{STEM}.konnect/deck.yaml").exists()


def test_the_deck_file_holds_the_folded_plugin(pack: Any, plugin: Path) -> None:
    assert pack("--format", "konnect", "--single-file") == pack("--single-file") == 0
    (entity,) = yaml.safe_load((plugin / f"{STEM}.konnect/deck.yaml").read_text())["custom_plugins"]
    files = plugin / f"{STEM}.single/kong/plugins/request-stamp"
    assert entity["handler"] == (files / "handler.lua").read_text()
    assert entity["schema"] == (files / "schema.lua").read_text()


def test_the_operators_image_holds_the_folded_files(pack: Any, command: Any, plugin: Path) -> None:
    """In one layer, as they are written alone; the unfolded plugin is refused."""
    assert pack("--format", "oci") == 1
    assert pack("--format", "oci", "--single-file") == pack("--single-file") == 0, command.output
    files = plugin / f"{STEM}.single/kong/plugins/request-stamp"
    blobs = [path for path in plugin.rglob("blobs/sha256/*") if path.read_bytes()[:2] == b"\x1f\x8b"]
    assert len(blobs) == 1
    with tarfile.open(blobs[0]) as layer:
        assert layer.getnames() == ["handler.lua", "schema.lua"]
        for name in layer.getnames():
            member = layer.extractfile(name)
            assert member is not None
            assert member.read() == (files / name).read_bytes()


def test_installed_dependencies_are_folded_in_as_their_constraints_want(
    command: Any, make_rock: Any, tmp_path: Path
) -> None:
    """The newest that fits, with what it needs in turn; what the gateway brings is left to it."""
    for version, text in (("1.0-1", "old"), ("1.5-1", "fits"), ("2.0-1", "new")):
        lib = f"local b = require 'lib.b' return {{ access = function() return b .. '{text}' end }}"
        rock = make_rock("lib-a", version, {"lua/lib/a.lua": lib}, ["lib-b"])
        assert command("install", str(rock), "--keep", "--deps-mode=none", f"--tree={tmp_path}/tree") == 0
    rock = make_rock("lib-b", "1.0-1", {"lua/lib/b.lua": "return require('pl.types') and 'b'"}, ["penlight"])
    assert command("install", str(rock), "--deps-mode=none", f"--tree={tmp_path}/tree") == 0
    rock = make_rock("kong-plugin-demo", "1.0.0-1", DEMO, ["lua >= 5.1", "lib-a < 2", "lua-cjson"])
    home = tmp_path / "home"
    assert command("pack", str(rock), "--single-file", f"--tree={tmp_path}/tree") == 0, command.output
    handler = (home / "kong-plugin-demo-1.0.0-1.single/kong/plugins/demo/handler.lua").read_text()
    assert "'fits'" in handler
    assert "'old'" not in handler
    spans = json.loads((home / "kong-plugin-demo-1.0.0-1.single/demo.lines.json").read_text())
    assert [span["module"] for span in spans] == [
        "kong.plugins.demo.handler",
        "lib.a",
        "lib.b",
        "kong.plugins.demo.schema",
    ]


def test_an_error_is_told_at_its_own_line(command: Any, make_rock: Any, tmp_path: Path) -> None:
    """The library fails only where it is part of the handler's file."""
    odd = "\n\nlocal info = debug.getinfo(1, 'S')\nif info.source:find('handler.lua', 1, true) then error('no') end return {}"
    files = {**DEMO, "lua/lib/a.lua": odd}
    rock = make_rock("kong-plugin-demo", "1.0.0-1", files)
    assert command("pack", str(rock), "--single-file") == 1
    assert "demo, folded, does not load: lib/a.lua:4: no" in command.output


def test_a_dependency_that_is_not_at_hand_is_told_by_the_gateways_words(
    command: Any, make_rock: Any, tmp_path: Path
) -> None:
    rock = make_rock("kong-plugin-demo", "1.0.0-1", DEMO, ["lib-a"])
    assert command("pack", str(rock), "--single-file", f"--tree={tmp_path}/tree") == 1
    assert "lib-a is neither installed here nor brought by Kong: nothing of it is folded in" in command.output
    assert "demo does not load: " in command.output
    assert "module 'lib.a' not found" in command.output
    assert not list((tmp_path / "home").glob("*.single"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "tar", "--single-file"), "--single-file does not go with --format tar"),
        (
            ("--format", "image", "--base", "kong:3.9", "--dockerfile", "--single-file"),
            "--single-file is for",
        ),
        (("--format", "oci", "--artifact", "--single-file"), "--single-file is for"),
        (("--format", "konnect", "--secrets"), "--secrets is for --format helm and kustomize"),
        (("--format", "operator", "--single-file"), "missing option '--image'"),
        (("--format", "operator", "--image", "r.example/x:1"), "also needs stamp.lua"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    pack: Any, command: Any, plugin: Path, words: tuple[str, ...], message: str
) -> None:
    before = sorted(plugin.iterdir())
    assert pack(*words) == 1
    assert message in command.output
    assert sorted(plugin.iterdir()) == before


def test_a_schema_of_another_name_is_refused_for_konnect(
    command: Any, make_rock: Any, tmp_path: Path
) -> None:
    files = {**DEMO, "lua/kong/plugins/demo/schema.lua": SCHEMA.replace("'demo'", "'demo2'")}
    rock = make_rock("kong-plugin-demo", "1.0.0-1", {**files, "lua/lib/a.lua": "return {}"})
    assert command("pack", str(rock), "--format", "konnect") == 1
    assert "the schema calls itself 'demo2'" in command.output


def test_a_rock_without_a_plugin_is_told(command: Any, make_rock: Any) -> None:
    assert command("pack", str(make_rock("a", "1.0-1", {"lua/a.lua": ""})), "--format", "helm") == 1
    assert "a 1.0-1 has no plugin for Kong" in command.output


def test_a_rock_of_two_plugins_has_a_directory_for_each(command: Any, make_rock: Any, tmp_path: Path) -> None:
    files = {path: text.replace("lib.a", "pl.types") for path, text in DEMO.items()}
    other = {path.replace("demo", "other"): text.replace("'demo'", "'other'") for path, text in files.items()}
    rock = make_rock("two", "1.0-1", {**files, **other})
    assert command("pack", str(rock), "--format", "operator", "--image", "r.example/x:1") == 1
    assert "an installation is one plugin, and two 1.0-1 has demo, other" in command.output
    assert command("pack", str(rock), "--format", "konnect") == 0
    assert command("pack", str(rock), "--format", "helm") == 0
    home = tmp_path / "home"
    bodies = json.loads((home / "two-1.0-1.konnect/other/custom-plugin.json").read_text())
    assert bodies["name"] == "other"
    values = yaml.safe_load((home / "two-1.0-1.helm/values.yaml").read_text())
    assert [each["pluginName"] for each in values["plugins"]["configMaps"]] == ["demo", "other"]


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("rock", f"{STEM}.all.rock"),
        ("bundle", f"{STEM}.bundle.tar.gz"),
        ("tar", f"{STEM}.tar.gz"),
        ("helm", f"{STEM}.helm"),
        ("konnect", f"{STEM}.konnect"),
    ],
)
@pytest.mark.parametrize("word", [None, "../plugin", f"../plugin/{STEM}.rockspec"])
def test_a_directory_is_packed_wherever_it_is_named(
    command: Any, plugin: Path, form: str, name: str, word: str | None
) -> None:
    here = plugin if word is None else plugin.parent / "elsewhere"
    here.mkdir(exist_ok=True)
    words = () if word is None else (word,)
    assert command("pack", "--format", form, *words, "--offline", cwd=here) == 0, command.output
    assert f"Packed: {here / name}\n" in command.output
    assert (here / name).exists()


def test_a_rockspec_in_a_folder_of_rockspecs_describes_what_lies_above_it(command: Any, plugin: Path) -> None:
    (plugin / "rockspecs").mkdir()
    (plugin / f"{STEM}.rockspec").rename(plugin / "rockspecs" / f"{STEM}.rockspec")
    words = ("pack", "--format", "tar", f"plugin/rockspecs/{STEM}.rockspec")
    assert command(*words, cwd=plugin.parent) == 0, command.output
    assert (plugin.parent / f"{STEM}.tar.gz").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--format", "tar", "--push", "r.example/a:1"), "--push is for --format oci and image"),
        (("--format", "tar", "--secrets"), "--secrets is for --format helm and kustomize"),
        (("--secrets",), "--secrets is for --format helm and kustomize"),
        (("--format", "helm", "--image", "r.example/a:1"), "--image is for --format operator"),
        (("--format", "oci", "--base", "kong:3.9"), "--base is for --format image"),
        (("--format", "image", "--base", "a", "--push", "b", "--artifact"), "--artifact is for --format oci"),
        (("--format", "image", "--base", "kong:3.9\nRUN x", "--dockerfile"), "is no image reference"),
        (("--format", "tar", "./nothing"), "./nothing does not exist"),
        (("--format", "tar", "kong/"), "There is no rockspec in"),
    ],
)
def test_what_a_format_has_no_use_for_is_refused_and_never_ignored(
    pack: Any, command: Any, plugin: Path, words: tuple[str, ...], told: str
) -> None:
    before = written(plugin)
    assert pack(*words) == 1
    assert told in command.output
    assert written(plugin) == before
