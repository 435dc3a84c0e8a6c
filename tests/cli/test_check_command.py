"""`check` as people, code hosts and CI read it."""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/kong-plugin-request-stamp"
HANDLER = "kong/plugins/request-stamp/handler.lua"


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """The example with a VERSION that is not the rockspec's (a warning)."""
    ignored = shutil.ignore_patterns(".pumice")
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "plugin", ignore=ignored))
    handler = folder / HANDLER
    handler.write_text(handler.read_text().replace('VERSION = "0.1.0"', 'VERSION = "9.0.0"'))
    return folder


def silence(plugin: Path, entry: str) -> None:
    (plugin / "pumice.toml").write_text(f"[check]\nsilence = [{entry}]\n")


def test_the_source_line_is_shown(command: Any, plugin: Path) -> None:
    assert command("check", str(plugin)) == 0
    assert f"{HANDLER}:13: warning: " in command.output
    assert '\n    13 |   VERSION = "9.0.0",\n' in command.output
    assert command("check", "--strict", str(plugin)) == 1


@pytest.mark.parametrize("words", [("--json",), ("--format", "json"), ("--format=json",)])
def test_json_is_one_object_for_each_argument(command: Any, plugin: Path, words: tuple[str, ...]) -> None:
    assert command("check", *words, str(plugin), str(plugin)) == 0
    first, _ = (json.loads(line) for line in command.output.splitlines())
    assert (first["file"], first["ok"], first["silenced"]) == (str(plugin), True, [])
    assert [item["code"] for item in first["findings"]] == ["version-drift"]


def test_sarif_names_the_file_below_the_argument(command: Any, plugin: Path) -> None:
    assert command("check", "--format", "sarif", "plugin", cwd=plugin.parent) == 0
    (result,) = json.loads(command.output)["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == f"plugin/{HANDLER}"
    assert command("check", "--format", "sarif", cwd=plugin) == 0
    assert f'"uri": "{HANDLER}"' in command.output


def test_junit_fails_as_the_exit_code_does(command: Any, plugin: Path) -> None:
    for words, code in (((), 0), (("--strict",), 1)):
        assert command("check", "--format", "junit", *words, str(plugin)) == code
        assert ET.fromstring(command.output).get("failures") == str(code)


@pytest.mark.parametrize("form", ["json", "sarif", "junit"])
def test_what_cannot_be_read_is_a_finding_of_every_format(command: Any, plugin: Path, form: str) -> None:
    assert command("check", "--format", form, str(plugin / "nowhere"), str(plugin)) == 1
    assert "unreadable" in command.output
    assert "version-drift" in command.output


def test_a_silenced_finding_is_counted_not_told(command: Any, plugin: Path) -> None:
    silence(plugin, '{ code = "version-drift", reason = "by hand" }')
    assert command("check", "--strict", str(plugin)) == 0
    assert "[version-drift]" not in command.output
    assert "1 silenced" in command.output
    assert command("check", "--json", str(next(plugin.glob("*.rockspec")))) == 0
    (item,) = json.loads(command.output)["silenced"]
    assert (item["code"], item["reason"]) == ("version-drift", "by hand")


def test_a_silence_without_a_reason_is_told_with_what_it_would_hide(command: Any, plugin: Path) -> None:
    silence(plugin, '{ code = "version-drift" }')
    assert command("check", "--strict", str(plugin)) == 1
    assert "[version-drift]" in command.output
    assert "pumice.toml:2: warning: " in command.output


def test_a_silence_that_meets_nothing_is_told(command: Any, plugin: Path) -> None:
    silence(plugin, '{ code = "lua-syntax", reason = "x" }')
    assert command("check", str(plugin)) == 0
    assert "[silence-unused]" in command.output


def test_targets_are_named_in_text_and_json(command: Any, plugin: Path) -> None:
    words = ("--for", "kong@2.8,kong@3.9", "--for", "operator")
    assert command("check", *words, str(plugin)) == 1
    assert "(for kong@2.8) [schema-field]" in command.output
    assert "(for operator) [channel-modules]" in command.output
    assert "\nrequest-stamp  operator  no     metadata.name of the KongPluginInstallation" in command.output
    assert command("check", "--json", *words, str(plugin)) == 1
    told = json.loads(command.output)
    by_code = {item["code"]: item["for"] for item in told["findings"]}
    assert by_code["version-drift"] == []
    assert by_code["schema-field"] == ["kong@2.8"]
    assert by_code["channel-modules"] == ["operator"]
    assert told["channels"] == [
        {
            "plugin": "request-stamp",
            "channel": "operator",
            "ok": False,
            "name_from": "metadata.name of the KongPluginInstallation",
            "restart": "none: the operator rolls the pods",
        }
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--for", "kong@3.9"), 0),
        (("--for", "kong@>=3.5,rock,tar,image,helm,konnect-hybrid"), 0),
        (("--for", "kong@2.8"), 1),
        (("--for", "streaming"), 1),
        (("--for", "nonsense"), 1),
        (("--for", "kong@1.5"), 1),
    ],
)
def test_the_exit_code_is_about_the_targets(
    command: Any, plugin: Path, words: tuple[str, ...], code: int
) -> None:
    assert command("check", *words, str(plugin)) == code


def test_a_finding_of_a_channel_can_be_silenced(command: Any, plugin: Path) -> None:
    silence(plugin, '{ code = "channel-modules", reason = "folded by CI" }')
    command("check", "--for", "operator", str(plugin))
    assert "[channel-modules]" not in command.output
    assert "1 silenced" in command.output


def test_junit_and_sarif_say_for_which_targets(command: Any, plugin: Path) -> None:
    for form in ("junit", "sarif"):
        assert command("check", "--format", form, "--for", "kong@2.8,kong@3.9", str(plugin)) == 1
        assert "It holds for: kong@2.8" in command.output


def test_rocks_and_tars_are_checked_for_channels_too(command: Any, plugin: Path, tmp_path: Path) -> None:
    tree = f"--tree={tmp_path}/tree"
    for words in (("make", tree), ("pack", tree), ("pack", "--format", "tar", tree)):
        rest = () if words[0] == "make" else ("kong-plugin-request-stamp",)
        assert command(*words, *rest, cwd=plugin) == 0, command.output
    for suffix in (".rock", ".tar.gz"):
        (artefact,) = plugin.glob(f"*{suffix}")
        assert command("check", "--json", "--for", "operator", str(artefact)) == 1
        codes = [item["code"] for item in json.loads(command.output)["findings"]]
        assert "channel-modules" in codes


def test_an_argument_that_cannot_be_read_does_not_keep_the_others_from_being_checked(
    command: Any, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert command("check", "nothing", "empty", "also-nothing", cwd=tmp_path) == 1
    for told in (
        "nothing does not exist",
        f"There is no rockspec in {tmp_path / 'empty'}",
        "also-nothing does",
    ):
        assert told in command.output


def test_a_project_names_its_targets(command: Any, plugin: Path) -> None:
    settings = plugin / "pumice.toml"
    for text, targets in (('["kong@2.8", "kong@3.9"]', ["kong@2.8"]), ('"kong@2.8,kong@3.9"', ["kong@2.8"])):
        settings.write_text(f"[check]\nfor = {text}\n")
        assert command("check", "--json", str(plugin)) == 1
        found = {item["code"]: item["for"] for item in json.loads(command.output)["findings"]}
        assert found["schema-field"] == targets
    # what is named on the command line counts
    assert command("check", "--for", "kong@3.9", str(plugin)) == 0
    settings.write_text('[check]\nfor = ["kong@1.0"]\n')
    assert command("check", str(plugin)) == 1
    assert "Kong 1.0 is not known" in command.output
    settings.write_text("[check\n")
    assert command("check", str(plugin)) == 1
    assert "[silence-invalid]" in command.output


def test_a_bundle_is_judged_like_the_rock_in_it(command: Any, project: Path, tmp_path: Path) -> None:
    """The modules lie in a tree there, and are the plugin's all the same."""
    source = str(project / "examples" / "kong-plugin-request-stamp")
    assert command("pack", "--format", "bundle", source, "--offline", cwd=tmp_path) == 0, command.output
    (packed,) = tmp_path.glob("*.bundle.tar.gz")
    assert command("check", "--strict", str(packed), cwd=tmp_path) == 0, command.output
    assert "request-stamp  0.1.0    100010    access, header_filter, log" in command.output
    assert command("check", "--for", "operator", str(packed), cwd=tmp_path) == 1
    assert "[channel-modules]" in command.output


def test_modules_without_a_rockspec_are_judged_as_they_lie(
    command: Any, project: Path, tmp_path: Path
) -> None:
    """What --single-file writes, and what is mounted or copied by hand."""
    source = str(project / "examples" / "kong-plugin-request-stamp")
    assert command("pack", "--single-file", source, cwd=tmp_path) == 0, command.output
    (folder,) = tmp_path.glob("*.single")
    assert command("check", "--for", "operator,streaming,rock", folder.name, cwd=tmp_path) == 0, (
        command.output
    )
    assert "request-stamp  0.1.0    100010    access, header_filter, log" in command.output
    assert " no " not in command.output
    assert command("schema", folder.name, cwd=tmp_path) == 0
    handler = folder / "kong/plugins/request-stamp/handler.lua"
    handler.write_text("return {}")
    assert command("check", folder.name, cwd=tmp_path) == 1
    assert "[handler-priority]" in command.output
    assert command("bump", "minor", folder.name, cwd=tmp_path) == 1
    assert "rockspec" in command.output
