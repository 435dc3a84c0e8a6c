"""The scripts that run on nodes: plain shell, and nothing that a node may lack."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import pumice.cluster.node_script as module
from pumice.cluster.address import Address
from pumice.cluster.inventory import Node
from pumice.cluster.node_script import enable_file_of, node_script, unit_of

SCRIPTS = sorted((Path(module.__file__).parent / "node").glob("*.sh"))
# Not in POSIX: -ef and -nt, which dash and busybox know; the rest is a matter of taste or of assembled files.
EXCLUDED = "SC1010,SC2012,SC2015,SC2034,SC2035,SC2153,SC2154,SC2163,SC2174,SC2317,SC3013"
MISSING = (
    "find",
    "grep",
    "sed",
    "awk",
    "ps",
    "curl",
    "gzip",
    "xargs",
    "cmp",
    "diff",
    "which",
    "flock",
    "python",
)
NODE = Node("n1", Address("local"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
class TestEveryScript:
    @pytest.mark.parametrize("shell", ["dash", "busybox sh", "bash --posix"])
    def test_is_understood_by_every_shell(self, script, shell):
        if shutil.which(shell.split()[0]) is None:
            pytest.skip(f"{shell} is not installed")

        subprocess.run([*shell.split(), "-n", script], check=True, capture_output=True)

    def test_asks_for_no_program_that_a_node_may_lack(self, script):
        lines = [line for line in script.read_text().splitlines() if not line.lstrip().startswith("#")]
        words = set(re.findall(r"(?:^|[|&;({`]|\$\()\s*([a-z][a-z0-9_]*)\b", "\n".join(lines), re.MULTILINE))

        assert not words.intersection(MISSING)

    @pytest.mark.peer
    def test_has_nothing_that_shellcheck_warns_of(self, script):
        if shutil.which("shellcheck") is None:
            pytest.skip("shellcheck is not installed")

        done = subprocess.run(
            ["shellcheck", "-s", "sh", "-e", EXCLUDED, script], capture_output=True, text=True
        )

        assert done.stdout == ""


class TestWhatIsGiven:
    @pytest.mark.parametrize(
        "value", ["plain", "", "it's", "$(touch x)", "a\nb", "\\", "`id`", "-rf", "*", "ü\udcff"]
    )
    def test_arrives_as_it_is(self, value):
        script = node_script(given={"WORD": value}) + 'printf %s "$WORD"'

        done = subprocess.run(["sh", "-c", script.encode("utf-8", "surrogateescape")], capture_output=True)

        assert done.stdout == value.encode("utf-8", "surrogateescape")

    def test_the_file_that_enables_is_that_of_the_unit(self):
        assert enable_file_of(NODE) == ""
        assert enable_file_of(NODE.replace(enable="env:/etc/x")) == "/etc/x"
        assert unit_of(NODE.replace(enable="systemd:kong")) == "kong.service"
        assert unit_of(NODE.replace(enable="systemd:kong.target")) == "kong.target"
