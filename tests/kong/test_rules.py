"""Rules that read code and rockspec: each with what breaks it, and the same without the fault."""

from collections.abc import Callable

import pytest

from pumice.kong.check import check
from pumice.kong.finding import Finding
from pumice.kong.package import Package

Demo = Callable[..., Package]
Changed = Callable[..., str]

HANDLER = "kong/plugins/demo/handler.lua"


def handler(body: str, before: str = "") -> str:
    return f'{before}\nlocal D = {{ PRIORITY = 1, VERSION = "1.0.0" }}\n{body}\nreturn D'


def found(package: Package) -> list[Finding]:
    return list(check(package).findings)


def codes(package: Package) -> list[str]:
    return [item.code for item in found(package)]


# ------------------------------------------------------------------------------------------- the handler


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("acess", "access"),
        ("Access", "access"),
        ("header_fliter", "header_filter"),
        ("headerFilter", "header_filter"),
        ("body_filters", "body_filter"),
        ("init_workers", "init_worker"),
        ("rewite", "rewrite"),
        ("LOG", "log"),
        ("certficate", "certificate"),
    ],
)
def test_a_misspelt_phase_is_a_warning(demo: Demo, name: str, phase: str) -> None:
    (item,) = found(demo(handler=handler(f"function D:{name}() end")))
    assert (item.code, item.severity, item.file, item.line) == ("handler-phase", "warning", HANDLER, 3)
    assert f"'{phase}'" in item.hint


@pytest.mark.parametrize("name", ["execute", "do_access", "_access", "logger", "get", "process"])
def test_a_function_of_another_name_is_fine(demo: Demo, name: str) -> None:
    assert found(demo(handler=handler(f"function D:access() end function D:{name}() end"))) == []


def test_a_near_name_beside_the_phase_itself_is_fine(demo: Demo) -> None:
    assert found(demo(handler=handler("function D:access() end function D:acces() end"))) == []


@pytest.mark.parametrize("name", ["new", "extend", "super"])
def test_what_base_plugin_wanted_is_a_warning(demo: Demo, name: str) -> None:
    assert codes(demo(handler=handler(f"function D:{name}() end"))) == ["handler-leftover"]


@pytest.mark.parametrize(
    "line", ["ngx.timer.at(0, function() end)", "ngx.socket.tcp():connect('x', 1)", "ngx.req.get_headers()"]
)
def test_what_is_not_there_while_a_node_starts_is_an_error(demo: Demo, line: str) -> None:
    assert codes(demo(handler=handler("", line))) == ["load-error"]
    assert found(demo(handler=handler(f"function D:access() {line} end"))) == []


@pytest.mark.parametrize("line", ["count = 0", "function helper() end", "_G.count = 1", "module('demo.x')"])
def test_a_global_made_at_load_is_a_warning(demo: Demo, line: str) -> None:
    (item,) = found(demo(handler=handler("", f"local before\n{line}")))
    assert (item.code, item.severity, item.file) == ("load-global", "warning", HANDLER)
    assert "which may lead to race conditions" in item.kong


def test_a_global_is_told_with_the_line_that_makes_it(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("} }", '["kong.plugins.demo.x"] = "kong/plugins/demo/x.lua" } }'))
    more = {"kong/plugins/demo/x.lua": "\n\nstate = {}\nreturn {}"}
    (item,) = found(demo(rockspec=spec, handler=handler("", "require 'kong.plugins.demo.x'"), more=more))
    assert (item.file, item.line) == ("kong/plugins/demo/x.lua", 3)


def test_locals_are_fine(demo: Demo) -> None:
    assert found(demo(handler=handler("function D:access() end", "local count = 0"))) == []


# ------------------------------------------------------------------------------------------- the code


@pytest.mark.parametrize(
    "line",
    [
        "os.execute('ls')",
        "io.popen('ls')",
        "for l in io.lines('x') do end",
        "require 'socket'",
        "local h = require('socket.http')",
        "require 'ssl.https'",
    ],
)
def test_what_blocks_a_worker_is_a_warning(demo: Demo, line: str) -> None:
    (item,) = found(demo(handler=handler(f"function D:access()\n  {line}\nend")))
    assert (item.code, item.severity, item.file, item.line) == ("code-blocking", "warning", HANDLER, 4)


@pytest.mark.parametrize(
    "line",
    [
        "os.time()",
        "-- os.execute('ls')",
        "local s = 'os.execute()'",
        "self.os.execute('ls')",
        "ngx.socket.tcp()",
        "require 'resty.http'",
        "require 'socket.url'",
    ],
)
def test_what_does_not_block_is_fine(demo: Demo, line: str) -> None:
    assert found(demo(handler=handler(f"function D:access()\n  {line}\nend"))) == []


def test_a_blocking_call_at_load_is_told_once(demo: Demo) -> None:
    assert codes(demo(handler=handler("", "os.execute('ls')"))) == ["load-effect"]


@pytest.mark.parametrize("module", ["kong.singletons", "kong.tools.responses", "kong.dao.errors"])
def test_a_module_that_kong_took_away_is_told_where_it_is_required(demo: Demo, module: str) -> None:
    (item,) = found(demo(handler=handler(f"function D:access()\n  require '{module}'\nend")))
    assert (item.code, item.kong, item.line) == ("module-removed", f"module '{module}' not found", 4)
    assert codes(demo(handler=handler("", f"require '{module}'"))) == ["module-missing"]


@pytest.mark.parametrize("module", ["kong.tools.utils", "kong.db.dao", "kong.plugins.jwt.jwt_parser"])
def test_a_module_of_kongs_own_is_a_warning(demo: Demo, module: str) -> None:
    assert codes(demo(handler=handler(f"function D:access()\n  require '{module}'\nend"))) == [
        "module-internal"
    ]


def test_modules_that_plugins_are_told_to_use_are_fine(demo: Demo) -> None:
    text = "local t, e = require 'kong.db.schema.typedefs', require 'kong.api.endpoints'"
    assert found(demo(handler=handler("", text))) == []


# ------------------------------------------------------------------------------------------- the source

URL = '"https://example.com/demo.tar.gz"'


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ('"git://github.com/x/demo.git", tag = "1.0.0"', ["source-dead"]),
        ('"git://example.com/demo.git", tag = "v1.0.0"', ["source-dead"]),
        ('"git+https://github.com/x/demo.git"', ["source-mutable"]),
        ('"git+https://github.com/x/demo.git", branch = "master"', ["source-mutable"]),
        ('"git+https://github.com/x/demo.git", tag = "0.9.0"', ["source-drift"]),
        ('"git+ssh://git@github.com/x/demo.git", tag = "1.0.0"', ["source-private"]),
        ('"file:///home/x/demo.tar.gz"', ["source-private"]),
        ('"."', ["source-private"]),
        ('"git+https://github.com/x/demo.git", tag = "v1.0.0"', []),
        ('"git+https://github.com/x/demo.git", branch = "1.0.0"', []),
        ('"git+https://github.com/x/demo.git", tag = "release"', []),
        (URL, []),
    ],
)
def test_a_source_can_be_fetched_and_stays_the_same(
    demo: Demo, rockspec_with: Changed, source: str, wanted: list[str]
) -> None:
    items = found(demo(rockspec=rockspec_with((URL, source))))
    assert wanted == [item.code for item in items]
    assert all(item.file == "demo.rockspec" and item.line == 4 and not item.is_error for item in items)


def test_a_version_in_development_needs_no_tag(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with((URL, '"git+https://github.com/x/demo.git"'), ("1.0.0-1", "scm-1"))
    assert "source-mutable" not in codes(demo(rockspec=spec))


# ------------------------------------------------------------------------------------------- dependencies


@pytest.mark.parametrize(
    ("dependency", "wanted"),
    [
        ("lua >= 5.2", ["lua-excluded"]),
        ("lua ~> 5.3", ["lua-excluded"]),
        ("lua >= 5.1", []),
        ("lua ~> 5.1", []),
        ("lua-resty-http == 0.15", ["dependency-collides"]),
        ("lua-resty-http >= 0.15", []),
        ("inspect < 3", ["dependency-collides"]),
        ("classic", []),
    ],
)
def test_dependencies_go_with_what_kong_brings(
    demo: Demo, rockspec_with: Changed, dependency: str, wanted: list[str]
) -> None:
    items = found(demo(rockspec=rockspec_with(("dependencies = {}", f'dependencies = {{ "{dependency}" }}'))))
    assert wanted == [item.code for item in items]
    assert [item.line for item in items] == [5] * len(items)


# ------------------------------------------------------------------------------------------- contents


def test_a_module_in_kongs_own_place_is_a_warning(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("} }", '["kong.tools.mine"] = "mine.lua" } }'))
    items = found(demo(rockspec=spec, more={"mine.lua": "return {}"}))
    assert [(item.code, item.file) for item in items] == [("module-shadows", "mine.lua")]
    spec = rockspec_with(("} }", '["demo.mine"] = "mine.lua" } }'))
    assert found(demo(rockspec=spec)) == []


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE " + "KEY-----",
        "-----BEGIN PRIVATE " + "KEY-----",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a1" * 18,
        "kpat_" + "a1" * 20,
    ],
)
def test_a_secret_that_would_ship_is_a_warning(demo: Demo, text: str) -> None:
    (item,) = found(demo(handler=handler(f"-- {text}")))
    assert (item.code, item.file, item.line) == ("secret-shipped", HANDLER, 3)
    assert text not in item.message


def test_a_file_of_secrets_is_a_warning(demo: Demo, rockspec_with: Changed) -> None:
    spec = rockspec_with(("} }", '}, install = { conf = { ".env" } } }'))
    assert codes(demo(rockspec=spec, more={".env": "X=1"})) == ["secret-shipped"]


@pytest.mark.parametrize("text", ["-- AKIA", "-- BEGIN PRIVATE KEY", "-- ghp_short", "-- a public key"])
def test_what_is_no_secret_is_fine(demo: Demo, text: str) -> None:
    assert found(demo(handler=handler(text))) == []


def test_more_than_the_operator_takes_is_a_warning(demo: Demo) -> None:
    assert codes(demo(handler=handler("-- " + "x" * (1 << 20)))) == ["size-channel"]
    assert codes(demo(handler=handler("-- " + "x" * (1 << 19)))) == []
