"""Which plugins some modules make up, and what they may be called."""

import tarfile
from pathlib import Path

import pytest

from pumice.errors import PumiceError
from pumice.kong.kong_version import NEWEST
from pumice.kong.plugin import BUNDLED, Plugin, find_plugins, name_problem
from pumice.rock.rockspec import load_rockspec


def names(*modules: str) -> list[str]:
    return [plugin.name for plugin in find_plugins(modules)]


def test_a_plugin_is_what_has_a_handler_or_a_schema() -> None:
    found = find_plugins(
        ["kong.plugins.a.handler", "kong.plugins.a.schema", "kong.plugins.a.util.text", "other"]
    )
    assert found == (
        Plugin("a", ("kong.plugins.a.handler", "kong.plugins.a.schema", "kong.plugins.a.util.text")),
    )
    assert (found[0].handler, found[0].schema) == ("kong.plugins.a.handler", "kong.plugins.a.schema")


def test_a_rock_may_have_several_plugins() -> None:
    assert names("kong.plugins.b.handler", "kong.plugins.a.schema") == ["a", "b"]


def test_a_dot_in_a_name_is_a_directory() -> None:
    assert names("kong.plugins.org.a.handler", "kong.plugins.org.a.schema") == ["org.a"]


def test_a_module_called_handler_below_a_plugin_is_no_plugin() -> None:
    assert names("kong.plugins.a.handler", "kong.plugins.a.v2.handler") == ["a"]


def test_modules_without_handler_and_schema_are_a_plugin_that_lacks_both() -> None:
    assert names("kong.plugins.a.api") == ["a"]


def test_other_modules_are_no_plugin() -> None:
    assert names("kong.tools.mine", "a.handler", "kong.plugins") == []


@pytest.mark.parametrize("name", ["a", "my-plugin", "x2", "a" * 51])
def test_a_name_for_every_channel_is_fine(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("my_plugin", "'my-plugin'"),
        ("MyPlugin", "'myplugin'"),
        ("2fast", "'fast'"),
        ("trailing-", "'trailing'"),
        ("a.b", "'a-b'"),
        ("a/../b", "'a----b'"),
        ("ünï", "'n'"),
        ("---", "'my-plugin'"),
        ("", "acme-audit"),
        ("a" * 52, "shorter"),
        ("rate-limiting", "'acme-rate-limiting'"),
        ("kong-plugin-audit", "'audit'"),
        ("kong.plugins.audit", "'audit'"),
    ],
)
def test_another_name_is_refused_with_a_better_one(name: str, hint: str) -> None:
    problem = name_problem(name)
    assert problem is not None
    assert hint in problem[1]


def test_the_newest_gateway_brings_the_bundled_plugins() -> None:
    assert NEWEST.bundled == BUNDLED
    assert len(BUNDLED) == 45


@pytest.mark.corpus
def test_the_plugins_of_all_public_rockspecs_are_understood(shared: Path) -> None:
    """Nearly all list a handler and a schema for each plugin (Kong contract 3.2)."""
    both = neither = one = several = packages = 0
    with tarfile.open(shared / "corpus" / "rockspecs.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            data = file.read() if file is not None else b""
            if b"kong.plugins" not in data:
                continue
            try:
                spec = load_rockspec(data, member.name, ("linux", "unix"), check_name=False)
            except PumiceError:
                continue
            modules = {str(module) for module in spec.modules}
            plugins = find_plugins(modules)
            if not plugins or spec.name == "kong":
                continue
            packages += 1
            several += len(plugins) > 1
            for plugin in plugins:
                parts = {plugin.handler, plugin.schema} & modules
                both += len(parts) == 2
                one += len(parts) == 1
                neither += not parts
    assert (packages, both, one, neither, several) == (1513, 1518, 0, 2, 7)
