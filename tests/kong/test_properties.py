"""What holds for any input."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pumice.kong.check import check
from pumice.kong.finding import CODES
from pumice.kong.handler_rules import cleaned_version
from pumice.kong.package import Package, PackageFile
from pumice.kong.plugin import find_plugins, name_problem
from pumice.kong.requires import required_modules
from pumice.kong.scaffold import scaffold
from pumice.rock.content import Content

LUA_BITS = st.sampled_from(
    [
        b"require",
        b'"a.b"',
        b"'c'",
        b"(",
        b")",
        b"..",
        b".",
        b":",
        b"--",
        b"[[",
        b"]]",
        b"[=[",
        b"]=]",
        b"\n",
        b" ",
        b"\\",
        b'"',
    ]
)
WORDS = st.sampled_from(["kong", "plugins", "a", "b", "handler", "schema", "util"])


@given(st.one_of(st.binary(), st.lists(LUA_BITS).map(b"".join)))
def test_any_bytes_have_requirements_on_lines_that_exist(source: bytes) -> None:
    for requirement in required_modules(source):
        assert 1 <= requirement.line <= source.count(b"\n") + 1


@given(st.lists(st.lists(WORDS, min_size=1, max_size=6).map(".".join)))
def test_each_module_of_a_plugin_belongs_to_exactly_one(modules: list[str]) -> None:
    plugins = find_plugins(modules)
    owned = [module for plugin in plugins for module in plugin.modules]
    assert sorted(owned) == sorted({module for module in modules if module.startswith("kong.plugins.")})


@given(st.text(alphabet="0123456789.vx-", max_size=12))
def test_a_version_that_kong_reads_is_up_to_three_numbers_and_stays_itself(text: str) -> None:
    cleaned = cleaned_version(text)
    if cleaned is None:
        return
    assert re.fullmatch(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){0,2}", cleaned)
    assert cleaned_version(cleaned) == cleaned


@settings(max_examples=50)
@given(st.text(alphabet="abc-_0A.", max_size=55))
def test_a_name_is_refused_or_makes_a_project_inside_its_own_directory(name: str) -> None:
    if name_problem(name) is not None:
        return
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,49}[a-z0-9])?", name)
    assert f"kong/plugins/{name}/handler.lua" in scaffold(name)


@pytest.fixture(scope="module")
def plugin(project: Path) -> dict[str, bytes]:
    """The example's modules."""
    folder = project / "examples/kong-plugin-request-stamp/kong/plugins/request-stamp"
    return {file.stem: file.read_bytes() for file in folder.iterdir()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["handler", "schema", "stamp"]),
    st.integers(0, 10_000),
    st.integers(0, 200),
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"end", b"(", b"nil", b"{", b"}", b'"', b"[[", b"os.exit(0)"]),
    ),
)
def test_a_mutated_plugin_gets_a_verdict(
    plugin: dict[str, bytes], part: str, at: int, length: int, instead: bytes
) -> None:
    text = plugin[part]
    at %= len(text)
    parts = {**plugin, part: text[:at] + instead + text[at + length :]}
    modules = {f"kong.plugins.request-stamp.{name}": f"{name}.lua" for name in parts}
    files = {
        f"{name}.lua": PackageFile(f"{name}.lua", Content.of_bytes(data)) for name, data in parts.items()
    }
    report = check(Package("tar", None, (), modules, frozenset(), files), seconds=5.0)
    assert {item.code for item in report.findings} <= set(CODES)
    assert [facts.name for facts in report.plugins] == ["request-stamp"]
