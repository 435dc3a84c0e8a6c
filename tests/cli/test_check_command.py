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
