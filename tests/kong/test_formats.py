"""SARIF and JUnit hold what the findings say, in the shape that their readers want."""

import json
import xml.etree.ElementTree as ET
from typing import Any

from pumice.kong.finding import finding
from pumice.kong.junit import junit_xml
from pumice.kong.sarif import sarif_log
from pumice.kong.silence import Silenced

ERROR = finding("lua-syntax", 'a <b> & "c"', kong="K\x1b", file="x y/ä.lua", line=3, hint="h")
WARNING = finding("name-package", "w", file="a.rockspec")
NOTE = finding("module-assumed", "n")


def log() -> dict[str, Any]:
    """A log as its reader gets it."""
    made = sarif_log(
        [("dir", [ERROR, NOTE, ERROR], [Silenced(WARNING, "because")]), ("b.rock", [NOTE], [])],
        version="1.2.3",
    )
    return dict(json.loads(json.dumps(made)))


def test_sarif_has_the_structure_of_its_schema() -> None:
    made = log()
    assert set(made) == {"$schema", "version", "runs"}
    assert made["version"] == "2.1.0"
    assert made["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = made["runs"]
    assert set(run) == {"tool", "results", "columnKind"}
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    driver = run["tool"]["driver"]
    assert set(driver) == {"name", "version", "rules"}
    assert len({rule["id"] for rule in driver["rules"]}) == len(driver["rules"])
    for rule in driver["rules"]:
        assert set(rule) == {"id", "shortDescription", "help", "defaultConfiguration"}
        assert set(rule["shortDescription"]) == set(rule["help"]) == {"text"}
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
    for result in run["results"]:
        assert set(result) - {"suppressions"} == {"ruleId", "ruleIndex", "level", "message", "locations"}
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert isinstance(result["message"]["text"], str)
        for location in result["locations"]:
            place = location["physicalLocation"]
            assert set(place) - {"region"} == {"artifactLocation"}
            assert place.get("region", {"startLine": 1})["startLine"] >= 1
        for suppression in result.get("suppressions", []):
            assert suppression["kind"] in ("inSource", "external")


def test_sarif_holds_every_finding() -> None:
    results = log()["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == [
        "lua-syntax",
        "module-assumed",
        "lua-syntax",
        "name-package",
        "module-assumed",
    ]
    place = results[0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "dir/x%20y/%C3%A4.lua"}, "region": {"startLine": 3}}
    assert results[3]["suppressions"] == [{"kind": "external", "justification": "because"}]
    assert results[4]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "b.rock"


def test_sarif_without_findings_is_a_log_too() -> None:
    (run,) = log_of_nothing()["runs"]
    assert run["results"] == []


def log_of_nothing() -> dict[str, Any]:
    return sarif_log([("dir", [], [])], version="1")


def test_junit_has_a_case_for_each_finding_and_fails_for_errors() -> None:
    root = ET.fromstring(junit_xml([("dir", [ERROR, WARNING, NOTE]), ("b", [])]).encode())
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "4", "1")
    first, second = root.findall("testsuite")
    assert [case.get("name") for case in first] == [
        "lua-syntax x y/ä.lua:3",
        "name-package a.rockspec",
        "module-assumed dir",
    ]
    (failure,) = first.iter("failure")
    assert (failure.get("message"), failure.get("type")) == ('a <b> & "c"', "lua-syntax")
    assert "Kong says: K?\nWhat to do: h" in str(failure.text)
    assert len(list(first.iter("system-out"))) == 2
    assert [list(case) for case in second] == [[]]


def test_junit_is_strict_when_asked() -> None:
    root = ET.fromstring(junit_xml([("dir", [WARNING, NOTE])], strict=True).encode())
    assert root.get("failures") == "1"
