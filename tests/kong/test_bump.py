"""A version is raised in every place at once, or the whole step is refused."""

from collections.abc import Callable

import pytest

from pumice.errors import CheckError, UsageError
from pumice.kong.bump import Bump, next_version, plan_bump
from pumice.kong.package import Package

Demo = Callable[..., Package]
Changed = Callable[..., str]

HANDLER = "kong/plugins/demo/handler.lua"


def plan(package: Package, step: str = "minor", changelog: str | None = None) -> Bump:
    given = None if changelog is None else ("CHANGELOG.md", changelog.encode())
    return plan_bump(package, step, changelog=given, today="2026-11-23")


def texts(done: Bump) -> dict[str, str]:
    return {change.path: change.new.decode() for change in done.changes}


@pytest.mark.parametrize(
    ("current", "step", "wanted"),
    [
        ("1.2.3", "major", "2.0.0"),
        ("1.2.3", "minor", "1.3.0"),
        ("1.2.3", "patch", "1.2.4"),
        ("0.1", "patch", "0.1.1"),
        ("1.2.9", "patch", "1.2.10"),
        ("1.2.3", "10.0.0", "10.0.0"),
    ],
)
def test_the_next_version(current: str, step: str, wanted: str) -> None:
    assert wanted == next_version(current, step)


@pytest.mark.parametrize("step", ["1.2.3", "1.2.2", "0.9.9", "1.3", "v2.0.0", "02.0.0", "up", "", "1.2.3.4"])
def test_other_steps_are_refused(step: str) -> None:
    with pytest.raises(UsageError):
        next_version("1.2.3", step)


def test_handler_and_rockspec_change_together(demo: Demo) -> None:
    done = plan(demo())
    assert (done.old, done.new) == ("1.0.0", "1.1.0")
    assert [change.path for change in done.changes] == ["demo.rockspec", HANDLER]
    assert 'version = "1.1.0-1"' in texts(done)["demo.rockspec"]
    assert 'VERSION = "1.1.0"' in texts(done)[HANDLER]


def test_a_revision_starts_again(demo: Demo, rockspec_with: Changed) -> None:
    done = plan(demo(rockspec=rockspec_with(("1.0.0-1", "1.0.0-7"))))
    assert 'version = "1.1.0-1"' in texts(done)["demo.rockspec"]


@pytest.mark.parametrize("revision", ['"3"', "3", "'3'"])
def test_a_revision_of_its_own_starts_again(demo: Demo, rockspec_with: Changed, revision: str) -> None:
    spec = rockspec_with(
        (
            'version = "1.0.0-1"',
            f"local v, r = '1.0.0', {revision}\nversion = v .. '-' .. r\n-- 3 and '1.0.0' stay",
        ),
    )
    text = texts(plan(demo(rockspec=spec)))["demo.rockspec"]
    assert "'1.1.0'," in text
    assert "-- 3 and '1.0.0' stay" in text


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ('tag = "1.0.0"', 'tag = "1.1.0"'),
        ('tag = "v1.0.0"', 'tag = "v1.1.0"'),
        ('branch = "1.0.0"', 'branch = "1.1.0"'),
        ('tag = "release-1.0.0"', 'tag = "release-1.1.0"'),
        ('tag = "v0.9.0"', 'tag = "v1.1.0"'),
        ('branch = "master"', 'branch = "master"'),
        ('dir = "demo-1.0.0"', 'dir = "demo-1.1.0"'),
        ('tag = "11.0.0"', 'tag = "1.1.0"'),
    ],
)
def test_a_reference_shaped_like_a_version_moves_with_it(
    demo: Demo, rockspec_with: Changed, source: str, wanted: str
) -> None:
    spec = rockspec_with(('"https://example.com/demo.tar.gz"', f'"git+https://example.com/demo", {source}'))
    assert wanted in texts(plan(demo(rockspec=spec)))["demo.rockspec"]


def test_an_address_with_the_version_moves_with_it(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("demo.tar.gz", "archive/v1.0.0.tar.gz"))
    assert "archive/v1.1.0.tar.gz" in texts(plan(demo(rockspec=spec)))["demo.rockspec"]


def test_a_dependency_of_the_same_number_stays(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("dependencies = {}", 'dependencies = { "inspect >= 1.0.0" }'))
    assert '"inspect >= 1.0.0"' in texts(plan(demo(rockspec=spec)))["demo.rockspec"]


@pytest.mark.parametrize(
    "text",
    [
        '\nversion = "1.0" .. ".0-1"',
        '\nlocal a, b, c = 1, 0, 0 version = a .. "." .. b .. "." .. c .. "-1" description = { maintainer = a .. "." .. b }',
        '\nlocal v = "1.0.0" version = v .. "-1" description = { summary = v }',
    ],
)
def test_a_version_that_no_literal_changes_alone_is_refused(
    demo: Demo, rockspec_with: Changed, text: str
) -> None:
    with pytest.raises(CheckError, match=r"demo\.rockspec:\d+: .* cannot be brought to 1\.1\.0") as raised:
        plan(demo(rockspec=rockspec_with(('version = "1.0.0-1"', text))))
    line, field = raised.value.message.split(":")[1:3]
    written = rockspec_with(('version = "1.0.0-1"', text)).splitlines()
    assert field.split()[0].rpartition(".")[2] in written[int(line) - 1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('local a, b, c = 1, 0, 0 version = a .. "." .. b .. "." .. c .. "-1"', "a, b, c = 1, 1, 0"),
        ('local v = "1.0.0" local r = "2" version = v .. "-" .. r', 'v = "1.1.0" local r = "1"'),
        ('local v = "1.0.0" version = ("%s-%d"):format(v, 1)', 'v = "1.1.0"'),
        ('local w = { 1, 0, 0 } version = (1) .. "." .. (0) .. "." .. 0 .. "-1"', "{ 1, 0, 0 }"),
    ],
)
def test_a_version_made_of_parts_is_raised_where_the_parts_are(
    demo: Demo, rockspec_with: Changed, text: str, wanted: str
) -> None:
    spec = rockspec_with(('version = "1.0.0-1"', text))
    assert wanted in texts(plan(demo(rockspec=spec)))["demo.rockspec"]


def test_a_tag_out_of_the_version_moves_with_it(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(
        ('version = "1.0.0-1"', 'local v = "1.0.0"\nversion = v .. "-1"'),
        ('"https://example.com/demo.tar.gz"', '"git+https://example.com/demo", tag = "v" .. v'),
    )
    done = plan(demo(rockspec=spec))
    assert 'tag = "v" .. v' in texts(done)["demo.rockspec"]
    assert done.notes == ()


@pytest.mark.parametrize("tag", ["0123456789abcdef0123456789abcdef01234567", "stable"])
def test_a_tag_that_stays_behind_is_named(demo: Demo, rockspec_with: Changed, tag: str) -> None:
    spec = rockspec_with(
        ('"https://example.com/demo.tar.gz"', f'"git+https://example.com/demo",\ntag = "{tag}"')
    )
    done = plan(demo(rockspec=spec))
    (note,) = done.notes
    line = 1 + next(at for at, text in enumerate(spec.splitlines()) if text.startswith("tag"))
    assert note.startswith(f"demo.rockspec:{line}: source.tag is '{tag}'")


def test_a_version_without_number_is_refused(demo: Demo, rockspec_with: Changed) -> None:
    with pytest.raises(CheckError, match="no number that could be raised"):
        plan(demo(rockspec=rockspec_with(("1.0.0-1", "scm-1"))))


@pytest.mark.parametrize(
    "text",
    [
        "return { VERSION = '1.0.0', PRIORITY = 5 }",
        "local H = {} H.VERSION = [[1.0.0]] H.PRIORITY = 5 return H",
        "local V = '1.0.0' return { VERSION = V, PRIORITY = 5 }",
        "return { ['VERSION'] = '1.0.0', PRIORITY = 5 }",
        "-- VERSION = '1.0.0'\nlocal no = '1.0.0'\nreturn { VERSION = '1.0.0', PRIORITY = 5, no = no }",
        "return { VERSION = '0.1', PRIORITY = 5 }",
        "local v = '1.0.0' return { VERSION = '' .. v, PRIORITY = 5 }",
    ],
)
def test_a_handlers_version_is_found_however_it_is_written(demo: Demo, text: str) -> None:
    after = texts(plan(demo(handler=text)))[HANDLER]
    assert after.count("1.1.0") == 1
    assert "-- VERSION = '1.1.0'" not in after
    assert "no = '1.1.0'" not in after


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("local a, b, c = 1, 0, 0 return { VERSION = a .. '.' .. b .. '.' .. c, PRIORITY = 5 }", "1, 1, 0"),
        ("return { VERSION = ('%d.%d.%d'):format(1, 0, 0), PRIORITY = 5 }", "(1, 1, 0)"),
        (
            "local w = { 1, 0, 0 } return { VERSION = table.concat({ 1, 0, 0 }, '.'), PRIORITY = 5 }",
            "({ 1, 1",
        ),
    ],
)
def test_a_handlers_version_made_of_parts_is_raised_where_they_are(
    demo: Demo, text: str, wanted: str
) -> None:
    assert wanted in texts(plan(demo(handler=text)))[HANDLER]


def test_a_version_in_a_module_of_the_plugin_is_raised_there(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("} }", '["kong.plugins.demo.meta"] = "kong/plugins/demo/meta.lua" } }'))
    done = plan(
        demo(
            rockspec=spec,
            handler="return { VERSION = require('kong.plugins.demo.meta').version, PRIORITY = 5 }",
            more={"kong/plugins/demo/meta.lua": "return { version = '1.0.0' }"},
        )
    )
    assert texts(done)["kong/plugins/demo/meta.lua"] == "return { version = '1.1.0' }"
    assert HANDLER not in texts(done)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("return { PRIORITY = 5 }", "no VERSION that could be raised"),
        ("\nreturn { PRIORITY = 5, VERSION = '2.0.0' }", r"handler\.lua:2 says .* above 1\.1\.0"),
        (
            "\n\nreturn { PRIORITY = 5, VERSION = '1.0' .. '.0' }",
            r"handler\.lua:3 says VERSION 1\.0\.0, and no literal",
        ),
        (
            "-- VERSION = 1\nlocal M = { PRIORITY = 1 }\nM.VERSION = 7\nreturn M",
            r"handler\.lua:3 has no VERSION",
        ),
        ("error('no')", "does not load"),
    ],
)
def test_a_handler_whose_version_cannot_be_raised_is_refused(demo: Demo, text: str, words: str) -> None:
    with pytest.raises(CheckError, match=words):
        plan(demo(handler=text))


def test_a_handler_that_was_ahead_is_met(demo: Demo) -> None:
    done = plan(demo(handler="return { PRIORITY = 5, VERSION = '1.1.0' }"))
    assert [change.path for change in done.changes] == ["demo.rockspec"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# Changes\n\n## 1.0.0\nFirst.\n", "# Changes\n\n## 1.1.0\n\n## 1.0.0\nFirst.\n"),
        (
            "# Log\n\n## [Unreleased]\n- a\n\n## [1.0.0] - 2025-01-02\n",
            "# Log\n\n## [Unreleased]\n\n## [1.1.0] - 2026-11-23\n- a\n\n## [1.0.0] - 2025-01-02\n",
        ),
        (
            "# Log\n\n## [v1.0.0](https://x/1.0.0) (2025-01-02)\n",
            "# Log\n\n## [v1.1.0] (2026-11-23)\n\n## [v1.0.0](https://x/1.0.0) (2025-01-02)\n",
        ),
        ("# Changes\r\n\r\n## 1.0.0\r\n", "# Changes\r\n\r\n## 1.1.0\r\n\r\n## 1.0.0\r\n"),
        ("# Changes\n", "# Changes\n\n## 1.1.0\n"),
    ],
)
def test_the_changelog_gets_a_heading_of_its_own_shape(demo: Demo, before: str, after: str) -> None:
    assert after == texts(plan(demo(), changelog=before))["CHANGELOG.md"]


def test_a_changelog_that_has_the_version_stays(demo: Demo) -> None:
    assert "CHANGELOG.md" not in texts(plan(demo(), changelog="# Changes\n\n## 1.1.0\nNew.\n"))
