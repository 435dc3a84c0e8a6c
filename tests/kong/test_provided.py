"""What a Kong Gateway brings, by version (Kong contract 3.2)."""

import json
import lzma
from pathlib import Path

import pytest

from pumice.errors import UsageError
from pumice.kong.provided import KONG_VERSIONS, provided_by_kong


def test_a_patch_version_brings_what_its_minor_version_brings() -> None:
    assert provided_by_kong("3.9.1") == provided_by_kong("3.9")
    assert provided_by_kong("") == provided_by_kong(KONG_VERSIONS[-1])


def test_the_gateway_itself_and_openresty_s_json_are_among_them() -> None:
    brought = provided_by_kong("2.8")
    assert brought["kong"].startswith("2.8.")
    assert brought["lua-cjson"] == "2.1.0"
    assert brought["penlight"] == "1.12.0"


def test_an_unknown_version_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UsageError) as caught:
        provided_by_kong("9.9")
    assert "3.9" in caught.value.hint


@pytest.mark.corpus
def test_every_pin_is_that_of_the_gateways_own_rockspec(shared: Path) -> None:
    with lzma.open(shared / "corpus/graph.json.xz") as packed:
        kong = json.load(packed)["kong"]
    for version in KONG_VERSIONS:
        brought = provided_by_kong(version)
        for dependency in kong[brought["kong"]]["dependencies"]:
            name, _, constraint = dependency.partition(" == ")
            if constraint:
                assert brought[name] == constraint, (version, dependency)
