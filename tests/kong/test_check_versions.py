"""One check for several gateways: what holds for which of them, told once."""

import io
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pumice.kong.check import Report, check
from pumice.kong.finding import Finding
from pumice.kong.manual_tar import package_of_tar
from pumice.kong.package import Package
from pumice.kong.targets import parse_targets

Demo = Callable[..., Package]
Changed = Callable[..., str]

ALL = "kong@>=2.8"
PLAIN = "return { name = 'demo', fields = { { config = { type = 'record', fields = {} } } } }"


def handler(body: str = "", before: str = "") -> str:
    return f'{before}\nlocal D = {{ PRIORITY = 1, VERSION = "1.0.0" }}\n{body}\nreturn D'


def field(definition: str) -> str:
    return f"return {{ name = 'demo', fields = {{ {{ config = {{ type = 'record', fields = {{ {{ a = {definition} }} }} }} }} }} }}"


def on(package: Package, *words: str) -> Report:
    return check(package, targets=parse_targets(words))


def holds(package: Package, *words: str) -> dict[str, tuple[str, ...]]:
    """By code: for which targets."""
    return {item.code: item.targets for item in on(package, *words).findings}


def only(package: Package, *words: str) -> Finding:
    (item,) = on(package, *words).findings
    return item


def test_what_holds_for_all_names_none(demo: Demo) -> None:
    package = demo(handler=handler("function D:acess() end"))
    assert holds(package, "kong@3.4,kong@3.9") == {"handler-phase": ()}
    assert len(on(package, ALL).findings) == 1


def test_a_plain_plugin_is_fine_everywhere(demo: Demo) -> None:
    assert on(demo(schema=PLAIN), ALL, "oss,enterprise").findings == ()


def test_priority_and_version_became_mandatory_with_3(demo: Demo) -> None:
    package = demo(handler="return { access = function() end }")
    assert on(package, "kong@2.8").findings == ()
    assert holds(package, "kong@2.8,kong@3.0,kong@3.9") == {
        "handler-priority": ("kong@3.0", "kong@3.9"),
        "handler-version": ("kong@3.0", "kong@3.9"),
    }


def test_base_plugin_went_with_3(demo: Demo) -> None:
    text = "local B = require 'kong.plugins.base_plugin' local D = B:extend() function D:new() end function D:access() end return D"
    package = demo(handler=text, schema=PLAIN)
    assert holds(package, "kong@2.8") == {}
    item = next(item for item in on(package, "kong@2.8,kong@3.4").findings if item.code == "module-missing")
    assert item.targets == ("kong@3.4",)
    assert "module 'kong.plugins.base_plugin' not found" in item.kong


@pytest.mark.parametrize(
    ("module", "targets"),
    [
        ("kong.singletons", ("kong@3.2", "kong@3.3", "kong@3.9")),
        ("kong.tools.batch_queue", ("kong@3.3", "kong@3.9")),
        ("kong.tools.queue", ("kong@2.8", "kong@3.2")),
        ("kong.tools.http", ("kong@2.8", "kong@3.2", "kong@3.3")),
        ("resty.ada", ("kong@2.8", "kong@3.2", "kong@3.3")),
        ("cassandra", ("kong@3.9",)),
    ],
)
def test_modules_are_missed_where_they_are_not(demo: Demo, module: str, targets: tuple[str, ...]) -> None:
    package = demo(handler=handler(before=f"require '{module}'"), schema=PLAIN)
    assert holds(package, "kong@2.8,kong@3.2,kong@3.3,kong@3.9")["module-missing"] == targets
    lazily = demo(handler=handler(f"function D:access() require '{module}' end"), schema=PLAIN)
    assert holds(lazily, "kong@2.8,kong@3.2,kong@3.3,kong@3.9")["module-removed"] == targets


def test_a_module_that_is_told_says_when_it_came_or_went(demo: Demo) -> None:
    package = demo(handler=handler("function D:access() require 'kong.tools.http' end"), schema=PLAIN)
    item = next(item for item in on(package, "kong@3.4").findings if item.code == "module-removed")
    assert "which came with Kong 3.6" in item.message


@pytest.mark.parametrize(
    ("definition", "targets"),
    [
        ("{ type = 'string', description = 'what it is for' }", ("kong@2.8", "kong@3.0", "kong@3.1")),
        ("{ type = 'string', deprecation = { message = 'x', removal_in_version = '4.0' } }", tuple(f"kong@{v}" for v in ("2.8", "3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6"))),
        ("{ type = 'json', json_schema = { inline = { type = 'object' } } }", tuple(f"kong@{v}" for v in ("2.8", "3.0", "3.1", "3.2", "3.3", "3.4"))),
        ("{ type = 'string', legacy = true }", tuple(f"kong@3.{minor}" for minor in range(10))),
    ],
)  # fmt: skip
def test_attributes_are_refused_where_they_are_not_known(
    demo: Demo, definition: str, targets: tuple[str, ...]
) -> None:
    item = only(demo(schema=field(definition)), ALL)
    assert (item.code, item.targets) == ("schema-field", targets)


def test_shorthands_gave_way_to_shorthand_fields(demo: Demo) -> None:
    text = PLAIN.replace("fields = {} }", "fields = {}, shorthands = { { a = function() end } } }")
    assert only(demo(schema=text), "kong@2.8,kong@3.0").targets == ("kong@3.0",)


def test_translate_backwards_was_there_from_3_6_to_3_8(demo: Demo) -> None:
    shorthand = "{ a = { type = 'string', func = print, translate_backwards = { 'b' } } }"
    text = PLAIN.replace("fields = {} }", f"fields = {{}}, shorthand_fields = {{ {shorthand} }} }}")
    assert only(demo(schema=text), "kong@2.8,kong@3.6,kong@3.8,kong@3.9").targets == ("kong@2.8", "kong@3.9")


@pytest.mark.parametrize(
    ("typedef", "targets"),
    [("paths", ("kong@3.9",)), ("router_paths", ("kong@2.8",)), ("queue", ("kong@2.8",))],
)
def test_typedefs_are_missed_where_they_are_not(demo: Demo, typedef: str, targets: tuple[str, ...]) -> None:
    text = "local t = require 'kong.db.schema.typedefs'\n" + field(f"t.{typedef}")
    item = only(demo(schema=text), "kong@2.8,kong@3.9")
    assert (item.code, item.targets) == ("load-error", targets)
    assert f"schema typedef error: definition {typedef} does not exist" in item.kong


@pytest.mark.parametrize(
    ("beside", "code"),
    [
        ("{ consumer_group = t.no_consumer_group }", "load-error"),
        ("{ ordering = { type = 'string' } }", "schema-field"),
    ],
)
def test_what_enterprise_adds_is_refused_by_the_open_source_one(demo: Demo, beside: str, code: str) -> None:
    text = "local t = require 'kong.db.schema.typedefs'\n" + PLAIN.replace(
        "fields = { {", f"fields = {{ {beside}, {{", 1
    )
    item = only(demo(schema=text), "kong@3.4,kong@3.9,oss,enterprise")
    assert (item.code, item.targets) == (code, ("oss",))


def test_instance_name_came_with_3_2(demo: Demo) -> None:
    text = PLAIN.replace("fields = { {", "fields = { { instance_name = { type = 'string' } }, {", 1)
    item = only(demo(schema=text), "kong@3.1,kong@3.2")
    assert item.targets == ("kong@3.1",)
    assert "instance_name: cannot create a new field" in item.kong


@pytest.mark.parametrize(
    ("phase", "words", "targets"),
    [
        ("configure", "kong@3.4,kong@3.5", ("kong@3.4",)),
        ("configure", "kong@3.4,oss,enterprise", ("oss",)),
        ("ws_handshake", "kong@3.9,oss,enterprise", ("oss",)),
        ("ws_handshake", "kong@3.9", ()),
    ],
)
def test_phases_that_are_never_called(demo: Demo, phase: str, words: str, targets: tuple[str, ...]) -> None:
    item = only(demo(handler=handler(f"function D:{phase}() end")), words)
    assert (item.code, item.targets, item.severity) == ("handler-phase-version", targets, "warning")


def test_daos_by_name_went_with_3(demo: Demo, rockspec_with: Changed) -> None:
    listed = '["kong.plugins.demo.daos"] = "kong/plugins/demo/daos.lua" } }'
    entity = "{ name = 'd', primary_key = { 'id' }, fields = { { id = { type = 'string' } } } }"
    package = demo(
        schema=PLAIN,
        rockspec=rockspec_with(("} }", listed)),
        more={"kong/plugins/demo/daos.lua": f"return {{ d = {entity} }}"},
    )
    found = holds(package, "kong@2.8,kong@3.0")
    assert found["daos-shape"] == ("kong@3.0",)


def test_bundled_names_grow(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("kong.plugins.demo.", "kong.plugins.redirect."))
    package = demo(rockspec=spec, schema=PLAIN.replace("demo", "redirect"))
    assert holds(package, "kong@3.8,kong@3.9")["name-bundled"] == ("kong@3.9",)


def test_dependencies_are_held_against_each_versions_own(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("dependencies = {}", 'dependencies = { "lua-resty-session ~> 3" }'))
    found = on(demo(rockspec=spec, schema=PLAIN), "kong@2.8,kong@3.1,kong@3.2,kong@3.9").findings
    assert [(item.code, item.targets) for item in found] == [
        ("dependency-collides", ("kong@3.2",)),
        ("dependency-collides", ("kong@3.9",)),
    ]
    assert "(4.0.3)" in found[0].message
    assert "(4.0.5)" in found[1].message


def test_the_version_that_the_plugin_asks_for_is_the_one_checked(demo: Demo) -> None:
    text = handler(before="if kong.version_num < 3009000 then error('needs 3.9') end")
    item = only(demo(handler=text, schema=PLAIN), "kong@3.8,kong@3.9")
    assert (item.code, item.targets) == ("load-error", ("kong@3.8",))


def test_enterprise_may_have_modules_of_its_own(demo: Demo) -> None:
    package = demo(handler=handler(before="require 'kong.enterprise_edition.utils'"), schema=PLAIN)
    assert holds(package, "kong@3.9,enterprise") == {"module-assumed": (), "module-internal": ()}
    assert holds(package, "kong@3.9")["module-missing"] == ()


def test_what_hangs_is_not_waited_for_in_every_gateway(demo: Demo) -> None:
    began = time.monotonic()
    report = check(demo(handler="while true do end"), seconds=3.0, targets=parse_targets([ALL]))
    assert time.monotonic() - began < 60
    (item,) = report.findings
    assert (item.code, item.targets) == ("load-limit", ())


# ------------------------------------------------------------------------------------------- read, not run


@pytest.mark.parametrize(
    "body",
    [
        "function D:access() count = 1 end",
        "function D:access()\n  local function inner() count = 1 end\n  inner() end",
        "D.log = function() count = (count or 0) + 1 end",
        "function D:access() function helper() end end",
    ],
)
def test_a_global_written_in_a_phase_is_a_warning(demo: Demo, body: str) -> None:
    item = only(demo(handler=handler(body)))
    assert (item.code, item.severity, item.file) == (
        "code-global",
        "warning",
        "kong/plugins/demo/handler.lua",
    )
    assert item.line in (3, 4)
    assert "which may lead to race conditions" in item.kong


@pytest.mark.parametrize(
    "body",
    [
        "function D:access(conf) conf = 1 end",
        "local count function D:access() count = 1 end",
        "function D:access() local count = 1 count = 2 end",
        "function D:access() self.count = 1 kong.ctx.plugin.count = 1 ngx.ctx.count = 1 end",
        "function D:access() for count = 1, 2 do end end",
        "function D:access() local _ = count end",
    ],
)
def test_what_is_no_global_is_fine(demo: Demo, body: str) -> None:
    assert check(demo(handler=handler(body))).findings == ()


def test_a_global_of_a_helper_module_is_found_at_its_line(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("} }", '["kong.plugins.demo.x"] = "kong/plugins/demo/x.lua" } }'))
    more = {"kong/plugins/demo/x.lua": "local M = {}\nfunction M.f()\n  state = 1\nend\nreturn M"}
    item = only(demo(rockspec=spec, more=more))
    assert (item.file, item.line) == ("kong/plugins/demo/x.lua", 3)


@pytest.mark.parametrize(
    "phase", ["access", "rewrite", "header_filter", "body_filter", "log", "preread", "response"]
)
def test_opening_a_file_for_a_request_is_a_warning(demo: Demo, phase: str) -> None:
    item = only(demo(handler=handler(f"function D:{phase}() io.open('/x') end")))
    assert (item.code, item.line) == ("code-blocking", 3)


@pytest.mark.parametrize("phase", ["init_worker", "configure", "helper"])
def test_opening_a_file_before_requests_is_fine(demo: Demo, phase: str) -> None:
    assert check(demo(handler=handler(f"function D:{phase}() io.open('/x') end"))).findings == ()


@pytest.mark.parametrize("module", ["resty.jwt", "lib.of.nobody"])
def test_a_module_that_nobody_has_is_found_before_a_request_does(
    demo: Demo, rockspec_with: Changed, module: str
) -> None:
    package = demo(handler=handler(f"function D:access() require '{module}' end"))
    item = only(package)
    assert (item.code, item.line, item.kong) == ("module-absent", 3, f"module '{module}' not found")
    assert only(package, ALL).targets == ()
    spec = rockspec_with(("dependencies = {}", 'dependencies = { "lua-resty-jwt" }'))
    assert (
        check(demo(handler=handler(f"function D:access() require '{module}' end"), rockspec=spec)).findings
        == ()
    )


@pytest.mark.parametrize(
    "line",
    [
        "require 'cjson'",
        "require 'resty.http'",
        "require 'string'",
        "require 'ffi'",
        "pcall(require, 'nobody')",
        "require 'pl.utils'",
    ],
)
def test_a_module_that_somebody_has_is_fine(demo: Demo, line: str) -> None:
    assert check(demo(handler=handler(f"function D:access() {line} end"))).findings == ()


def test_a_module_that_is_missed_at_load_is_told_once(demo: Demo) -> None:
    assert only(demo(handler=handler(before="require 'resty.jwt'"))).code == "module-missing"


# ------------------------------------------------------------------------------------------- what else ships


def test_a_secret_in_a_copied_directory_is_found(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("} }", '}, copy_directories = { "docs" } }'))
    key = "-----BEGIN RSA PRIVATE " + "KEY-----"
    package = demo(rockspec=spec, more={"docs/a/b.txt": f"x\n{key}\n", "docs/plain.md": "fine"})
    item = only(package)
    assert (item.code, item.file, item.line) == ("secret-shipped", "docs/a/b.txt", 2)


def test_a_secret_anywhere_in_a_tar_is_found(tmp_path: Path) -> None:
    files = {
        "kong/plugins/demo/handler.lua": handler(),
        "kong/plugins/demo/schema.lua": PLAIN,
        "doc/notes.txt": "x\nAKIA" + "ABCDEFGHIJKLMNOP",
    }
    with tarfile.open(tmp_path / "demo.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    item = only(package_of_tar(str(tmp_path / "demo.tar.gz"), ("linux", "unix")))
    assert (item.code, item.file, item.line) == ("secret-shipped", "doc/notes.txt", 2)


def test_what_does_not_ship_is_not_looked_into(demo: Demo) -> None:
    assert check(demo(more={"notes/key.pem": "-----BEGIN RSA PRIVATE " + "KEY-----"})).findings == ()
