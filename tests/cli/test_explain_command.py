"""`explain`: a log in, its problems out, and exit codes that a script can use."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from pumice.operation.explain import explain_stream

LOG = "noise\nacme plugin is enabled but not installed; no plugin found\n"


def test_a_problem_is_told_with_cause_paths_and_mend(command: Any, tmp_path: Path) -> None:
    (tmp_path / "error.log").write_text(LOG)
    assert command("explain", "error.log", cwd=tmp_path) == 0
    assert "line 2: acme plugin is enabled but not installed" in command.output
    assert "[plugin-not-installed]" in command.output
    assert "        /usr/local/share/lua/5.1/kong/plugins/acme/handler.lua\n" in command.output
    assert "    mend: " in command.output


def test_as_json_it_is_one_object(command: Any, tmp_path: Path) -> None:
    (tmp_path / "error.log").write_text(LOG)
    assert command("explain", "--json", str(tmp_path / "error.log")) == 0
    (item,) = json.loads(command.output)["explanations"]
    assert (item["code"], item["plugin"], item["line"]) == ("plugin-not-installed", "acme", 2)
    assert set(item) == {"code", "line", "text", "plugin", "cause", "looked", "mend"}


@pytest.mark.parametrize("content", [b"", b"all is well\n", bytes(range(256)) * 1000])
def test_nothing_known_is_exit_1(command: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "error.log").write_bytes(content)
    assert command("explain", "error.log", cwd=tmp_path) == 1
    assert "Nothing in it is known" in command.output


def test_a_log_that_is_not_there_is_an_error_with_advice(command: Any, tmp_path: Path) -> None:
    assert command("explain", "error.log", cwd=tmp_path) == 1
    assert "error.log does not exist" in command.output
    assert command("explain", str(tmp_path)) == 1
    assert "is a directory" in command.output


def test_of_a_stream_without_end_the_last_part_counts() -> None:
    stream = io.BytesIO(b"first plugin is in use but not enabled\n" + b"x" * (70 << 20) + LOG.encode())
    assert [item.plugin for item in explain_stream(stream)] == ["acme"]
