"""What `check --format sarif` prints is SARIF 2.1.0: OASIS's own schema, by a public validator, says so."""

import json
from pathlib import Path
from typing import Any

import pytest
from sarif_kit.validate import validation_errors

from pumice.kong.finding import CODES, Finding, finding
from pumice.kong.sarif import sarif_log
from pumice.kong.silence import Silenced

HOSTILE = "a\x00b\n\udcff <é> 'ü' " + "x" * 5000


def every_finding() -> list[Finding]:
    """One of each code, with and without what is optional."""
    found = [
        finding(code, f"about {code}", kong="said", file="kong/a b/é.lua", line=3, hint="do")
        for code in CODES
    ]
    found += [finding(code, HOSTILE) for code in CODES]
    return [item.replace(targets=("kong@3.4", "operator")) for item in found]


def test_the_validator_can_refuse() -> None:
    assert validation_errors({"version": "2.1.0"})
    assert validation_errors({"version": "2.0.0", "runs": []})


@pytest.mark.parametrize("address", ["plugin", "/a/b c/plugin.rock", ".", HOSTILE])
def test_findings_of_every_code_are_valid(address: str) -> None:
    silenced = [Silenced(item, HOSTILE) for item in every_finding()[:5]]
    log = sarif_log([(address, every_finding(), silenced), (address, (), ())], version="1.2.3")
    assert validation_errors(json.loads(json.dumps(log))) == []


def test_no_finding_is_valid_too() -> None:
    assert validation_errors(json.loads(json.dumps(sarif_log([], version="0")))) == []


def test_the_command_prints_it(project: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    example = project / "examples/kong-plugin-request-stamp"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pumice",
            "check",
            "--format",
            "sarif",
            "--for",
            "kong@2.8,kong@3.9,streaming",
            example,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    log: dict[str, Any] = json.loads(done.stdout)
    assert validation_errors(log) == []
    results = log["runs"][0]["results"]
    assert len(results) > 3
    assert any("It holds for: kong@2.8" in result["message"]["text"] for result in results)
