"""The rules that need no sources, on every Kong plugin rockspec of the corpus: counted, and fast."""

import tarfile
import time
from collections import Counter
from pathlib import Path

import pytest

from pumice.errors import PumiceError
from pumice.kong.channel_rules import channel_findings
from pumice.kong.kong_version import Gateway
from pumice.kong.package import Package, package_of_directory
from pumice.kong.package_rules import bundled_findings, name_findings, part_findings
from pumice.kong.plugin import Plugin, find_plugins
from pumice.kong.rock_rules import content_findings, dependency_findings, source_findings
from pumice.kong.targets import CHANNELS, Targets
from pumice.rock.rockspec import load_rockspec

pytestmark = pytest.mark.corpus

Known = list[tuple[Package, tuple[Plugin, ...]]]


@pytest.fixture(scope="module")
def specs(shared: Path) -> dict[str, bytes]:
    """The texts of the rockspecs that speak of Kong's plugins."""
    with tarfile.open(shared / "corpus/rockspecs.tar.xz") as archive:
        texts = {
            member.name: file.read()
            for member in archive
            if member.isfile() and (file := archive.extractfile(member)) is not None
        }
    return {name: text for name, text in texts.items() if b"kong.plugins." in text or b"kong/plugins" in text}


@pytest.fixture(scope="module")
def known(specs: dict[str, bytes]) -> Known:
    """Every rockspec with plugins but the gateway's own."""
    found = []
    for name, text in specs.items():
        try:
            rockspec = load_rockspec(text, name, ("linux", "unix"), check_name=False)
        except PumiceError:
            continue
        package = package_of_directory("/nonexistent", rockspec)
        plugins = find_plugins(package.modules)
        if rockspec.name != "kong" and plugins:
            found.append((package, plugins))
    return found


def test_the_package_rules_find_what_was_counted(specs: dict[str, bytes]) -> None:
    counted, refused = 0, 0
    counts: Counter[str] = Counter()
    began = time.process_time()
    for name, text in specs.items():
        try:
            rockspec = load_rockspec(text, name, ("linux", "unix"), check_name=False)
        except PumiceError:
            refused += 1
            continue
        package = package_of_directory("/nonexistent", rockspec)
        plugins = find_plugins(package.modules)
        if rockspec.name == "kong" or not plugins:
            continue
        counted += 1
        findings = (
            *source_findings(package),
            *dependency_findings(package),
            *content_findings(package),
            *name_findings(package, plugins),
            *bundled_findings(package, plugins),
            *part_findings(package, plugins),
        )
        counts.update({item.code for item in findings})
    # the limit is 5 s
    assert time.process_time() - began < 50
    assert (counted, refused) == (1511, 7)
    assert counts == {
        "source-dead": 759,
        "name-package": 711,
        "source-mutable": 434,
        "dependency-collides": 214,
        "source-private": 214,
        "name-bundled": 89,
        "name-portable": 65,
        "source-drift": 50,
        "module-shadows": 29,
        "lua-excluded": 6,
        "schema-missing": 2,
        "handler-missing": 2,
    }


@pytest.mark.parametrize(
    ("version", "bundled", "collides"),
    [("2.8", 88, 213), ("3.0", 88, 213), ("3.4", 88, 213), ("3.6", 88, 214), ("3.9", 89, 214)],
)
def test_what_a_gateway_brings_depends_on_its_version(
    known: Known, version: str, bundled: int, collides: int
) -> None:
    gateway = Gateway(version)
    counts: Counter[str] = Counter()
    for package, plugins in known:
        findings = (
            *bundled_findings(package, plugins, gateway.bundled),
            *dependency_findings(package, gateway),
        )
        counts.update({item.code for item in findings})
    assert (counts["name-bundled"], counts["dependency-collides"]) == (bundled, collides)


@pytest.mark.parametrize(
    ("channel", "wanted"),
    [
        ("rock", {}),
        ("image", {}),
        ("tar", {"channel-rocks": 543}),
        ("helm", {"channel-needs": 578, "channel-directory": 325, "channel-name": 7}),
        (
            "operator",
            {
                "channel-flag": 1511,
                "channel-modules": 1005,
                "channel-needs": 543,
                "channel-entities": 234,
                "channel-name": 7,
            },
        ),
        ("konnect-hybrid", {"channel-entities": 234, "channel-name": 96}),
        (
            "streaming",
            {
                "channel-flag": 1511,
                "channel-modules": 1005,
                "channel-needs": 543,
                "channel-entities": 234,
                "channel-name": 96,
            },
        ),
    ],
)
def test_every_channel_takes_a_part_of_them(known: Known, channel: str, wanted: dict[str, int]) -> None:
    """Without sources: by their names, modules and dependencies."""
    assert channel in CHANNELS
    counts: Counter[str] = Counter()
    for package, plugins in known:
        targets = Targets(channels=(channel,))
        counts.update({item.code for item in channel_findings(package, plugins, (), targets)})
    assert counts == wanted
