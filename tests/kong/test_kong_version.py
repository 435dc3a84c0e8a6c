"""What is known of each version of Kong: from public lists where they are, and nothing where they are not."""

import tarfile
from pathlib import Path

import pytest

from pumice.kong.kong_version import ENTERPRISE_VERSIONS, NEWEST, Gateway
from pumice.kong.provided import KONG_VERSIONS
from pumice.lua.data import evaluate


@pytest.mark.corpus
def test_the_table_of_modules_is_what_the_gateways_own_rockspecs_list(shared: Path) -> None:
    newest = (
        "2.8.1",
        "3.0.0",
        "3.1.0",
        "3.2.2",
        "3.3.0",
        "3.4.2",
        "3.5.0",
        "3.6.1",
        "3.7.1",
        "3.8.0",
        "3.9.0",
    )
    texts = {}
    with tarfile.open(shared / "corpus/rockspecs.tar.xz") as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if name in {f"kong-{version}-0.rockspec" for version in newest}:
                file = archive.extractfile(member)
                assert file is not None
                texts[name.removeprefix("kong-").removesuffix("-0.rockspec")] = file.read()
    assert sorted(texts) == sorted(newest)
    for version, text in texts.items():
        build = evaluate(text, version).globals["build"]
        assert isinstance(build, dict)
        modules = build["modules"]
        assert isinstance(modules, dict)
        listed = {
            str(name).removesuffix(".init")
            for name in modules
            if (name == "kong" or str(name).startswith("kong.")) and ".migrations" not in str(name)
        }
        known = Gateway(version.rpartition(".")[0]).modules
        # 3.1 alone lacks two modules that came back
        back = (
            {"kong.clustering.control_plane", "kong.clustering.data_plane"} if version == "3.1.0" else set()
        )
        assert known - back == listed, version


def test_every_version_brings_rocks_modules_and_plugins() -> None:
    for version in KONG_VERSIONS:
        assert Gateway(version).bundled
    assert (len(Gateway("2.8").bundled), len(NEWEST.bundled)) == (36, 45)
    assert ENTERPRISE_VERSIONS[: len(KONG_VERSIONS)] == KONG_VERSIONS
    assert Gateway("3.15", "enterprise").bundled == NEWEST.bundled


@pytest.mark.parametrize(
    ("module", "version", "has", "when"),
    [
        ("kong.plugins.base_plugin", "2.8", True, ""),
        ("kong.plugins.base_plugin", "3.0", False, "went with Kong 3.0"),
        ("kong.singletons", "3.9", False, "went with Kong 3.0"),
        ("kong.tools.responses", "2.8", False, "went before Kong 2.8"),
        ("kong.dao.errors", "3.9", False, "went before Kong 2.8"),
        ("kong.tools.utils", "2.8", True, ""),
        ("kong.tools.utils", "3.9", True, ""),
        ("kong.tools.http", "3.5", False, "came with Kong 3.6"),
        ("kong.tools.http", "3.6", True, ""),
        ("kong.tools.batch_queue", "3.2", True, ""),
        ("kong.tools.batch_queue", "3.3", False, "went with Kong 3.3"),
        ("kong.tools.queue", "3.2", False, "came with Kong 3.3"),
        ("kong.api.init", "3.9", True, ""),
        ("kong.nonsense", "3.9", False, ""),
    ],
)
def test_modules_come_and_go(module: str, version: str, has: bool, when: str) -> None:
    assert Gateway(version).has_module(module) is has
    if not has:
        assert Gateway(version).when(module) == when


def test_what_enterprise_has_of_its_own_is_not_known() -> None:
    enterprise = Gateway("3.4", "enterprise")
    assert enterprise.has_module("kong.enterprise_edition.utils") is None
    assert enterprise.has_module("kong.singletons") is False
    assert Gateway("3.12", "enterprise").has_module("kong.tools.channel") is None
    assert Gateway("3.4").has_module("kong.enterprise_edition.utils") is False
    assert enterprise.has_entity("consumer_groups") is None
    assert Gateway("3.4").has_entity("consumer_groups") is False


@pytest.mark.parametrize(
    ("attribute", "without", "unknown", "has"),
    [
        ("description", ("2.8", "3.0", "3.1"), ("3.2", "3.4"), ("3.5", "3.9")),
        ("examples", ("2.8",), ("3.0", "3.6"), ("3.7", "3.9")),
        ("json_schema", ("2.8", "3.4"), (), ("3.5", "3.9")),
        ("deprecation", ("2.8", "3.6"), (), ("3.7", "3.9")),
        ("translate_backwards", ("2.8", "3.9"), ("3.0", "3.5"), ("3.6", "3.8")),
        ("shorthands", ("3.0", "3.9"), (), ("2.8",)),
        ("legacy", ("3.0", "3.9"), (), ("2.8",)),
        ("transient", ("2.8",), ("3.0", "3.8"), ("3.9",)),
        ("required", (), (), ("2.8", "3.9")),
    ],
)
def test_attributes_come_and_go_as_far_as_known(
    attribute: str, without: tuple[str, ...], unknown: tuple[str, ...], has: tuple[str, ...]
) -> None:
    for versions, expected in ((without, False), (unknown, None), (has, True)):
        for version in versions:
            assert Gateway(version).has_attribute(attribute) is expected, version


def test_of_later_enterprise_versions_nothing_is_known_to_have_gone() -> None:
    assert Gateway("3.12", "enterprise").has_attribute("translate_backwards") is None
    assert Gateway("3.12", "enterprise").has_attribute("deprecation") is True


@pytest.mark.parametrize(
    ("typedef", "without", "unknown", "has"),
    [
        ("paths", ("3.3", "3.9"), ("3.0", "3.2"), ("2.8",)),
        ("router_path", ("2.8",), ("3.0", "3.5"), ("3.6", "3.9")),
        ("queue", ("2.8", "3.2"), ("3.3",), ("3.6", "3.9")),
        ("propagation", ("2.8", "3.6"), ("3.7",), ("3.9",)),
        ("no_consumer_group", ("3.9",), (), ()),
        ("port", (), (), ("2.8", "3.9")),
    ],
)
def test_typedefs_come_and_go_as_far_as_known(
    typedef: str, without: tuple[str, ...], unknown: tuple[str, ...], has: tuple[str, ...]
) -> None:
    for versions, expected in ((without, False), (unknown, None), (has, True)):
        for version in versions:
            assert Gateway(version).has_typedef(typedef) is expected, version
    assert Gateway("3.9", "enterprise").has_typedef("no_consumer_group") is True


@pytest.mark.parametrize(
    ("field", "gateway", "has"),
    [
        ("instance_name", Gateway("3.1"), False),
        ("instance_name", Gateway("3.2"), True),
        ("consumer_group", Gateway("3.9"), False),
        ("consumer_group", Gateway("3.4", "enterprise"), True),
        ("ordering", Gateway("3.9"), False),
        ("ordering", Gateway("3.9", "enterprise"), True),
    ],
)
def test_the_plugin_entity_grows(field: str, gateway: Gateway, has: bool) -> None:
    assert gateway.has_parent_field(field) is has


@pytest.mark.parametrize(
    ("phase", "gateway", "called"),
    [
        ("configure", Gateway("3.4"), False),
        ("configure", Gateway("3.5"), True),
        ("configure", Gateway("3.4", "enterprise"), True),
        ("configure", Gateway("3.3", "enterprise"), False),
        ("ws_handshake", NEWEST, False),
        ("ws_close", Gateway("3.4", "enterprise"), True),
        ("access", Gateway("2.8"), True),
        ("response", Gateway("2.8"), True),
    ],
)
def test_phases_are_called_by_those_that_know_them(phase: str, gateway: Gateway, called: bool) -> None:
    assert gateway.calls_phase(phase) is called


def test_libraries_follow_the_dependencies_of_the_version() -> None:
    assert set(Gateway("2.8").absent_libraries) == {
        "resty.ada",
        "resty.aws",
        "resty.gcp",
        "resty.ljsonschema",
        "resty.snappy",
        "resty.timerng",
    }
    assert set(NEWEST.absent_libraries) == {"cassandra", "resty.mlcache"}
