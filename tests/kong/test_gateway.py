"""A deployed plugin is loaded from its tree as a gateway would."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pumice.kong.gateway import PluginReport, verify_plugins

Write = Callable[[Mapping[str, str]], Path]

HANDLER = (
    "local H = { PRIORITY = 7, VERSION = '2.0.0' } function H:access() end function H:log() end return H"
)
SCHEMA = "return { name = 'demo', fields = { { config = { type = 'record', fields = {} } } } }"
MODULES = ("kong.plugins.demo.handler", "kong.plugins.demo.schema")


@pytest.fixture
def tree(write: Write) -> Callable[..., tuple[str, str]]:
    """A tree's Lua and C directories with plugin `demo`, but for what is given instead."""

    def tree(handler: str | None = HANDLER, schema: str | None = SCHEMA, **more: str) -> tuple[str, str]:
        files = {"kong/plugins/demo/handler.lua": handler, "kong/plugins/demo/schema.lua": schema}
        files |= {f"{name.replace('__', '/')}.lua": text for name, text in more.items()}
        root = write({f"share/{path}": text for path, text in files.items() if text is not None})
        return str(root / "share"), str(root / "lib")

    return tree


def one(place: tuple[str, str], *more: str, **options: float) -> PluginReport:
    """The report of plugin demo, with these modules of its rock besides."""
    (report,) = verify_plugins(*place, [*MODULES, *more], **options)  # type: ignore[arg-type]
    return report


def test_a_plugin_that_loads_is_reported(tree: Callable[..., tuple[str, str]]) -> None:
    place = tree()
    report = one(place)
    assert report == PluginReport(
        name="demo",
        version="2.0.0",
        priority="7",
        phases=("access", "log"),
        modules=MODULES,
        files=(f"{place[0]}/kong/plugins/demo/handler.lua", f"{place[0]}/kong/plugins/demo/schema.lua"),
        digest=report.digest,
        error=None,
    )
    assert report.ok


def test_the_digest_is_of_names_and_bytes_and_of_nothing_else(
    tree: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    place = tree()
    first = one(place).digest
    moved = tmp_path / "elsewhere"
    shutil.copytree(place[0], moved / "share")
    assert one((str(moved / "share"), str(moved / "lib"))).digest == first
    (moved / "share/kong/plugins/demo/handler.lua").write_text(HANDLER + " ")
    assert one((str(moved / "share"), str(moved / "lib"))).digest != first
    lines = "".join(
        f"kong/plugins/demo/{name}.lua\0{hashlib.sha256(text.encode()).hexdigest()}\n"
        for name, text in (("handler", HANDLER), ("schema", SCHEMA))
    )
    assert first == hashlib.sha256(lines.encode()).hexdigest()


def test_every_other_module_of_the_rock_is_loaded_too(tree: Callable[..., tuple[str, str]]) -> None:
    place = tree(
        kong__plugins__demo__late="return ngx.var.uri",
        demo__util="return require 'demo.init'",
        demo__init="return 1",
    )
    report = one(place, "kong.plugins.demo.late", "demo.util")
    assert report.error is None
    assert report.modules == (*MODULES, "kong.plugins.demo.late", "demo.util")
    assert f"{place[0]}/demo/init.lua" in report.files


def test_a_node_may_have_modules_of_enterprise_but_none_that_went(
    tree: Callable[..., tuple[str, str]],
) -> None:
    assert one(tree(handler=f"require 'kong.enterprise_edition.utils' {HANDLER}")).error is None
    report = one(tree(handler=f"require 'kong.singletons' {HANDLER}"))
    assert "module 'kong.singletons' not found" in (report.error or "")


def test_an_init_file_is_found_by_the_directorys_name(tree: Callable[..., tuple[str, str]]) -> None:
    report = one(tree(handler="return require 'demo'", demo__init=HANDLER), "demo")
    assert (report.error, report.version) == (None, "2.0.0")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"handler": None}, "demo plugin is enabled but not installed; no plugin found"),
        ({"schema": None}, "no configuration schema found for plugin: demo"),
        ({"handler": "x x"}, "error loading module 'kong.plugins.demo.handler': "),
        ({"handler": "require 'not.here'"}, "module 'not.here' not found"),
        ({"handler": "return { VERSION = '1.0.0' }"}, 'not a valid integer number, got: "nil"'),
        ({"handler": "return { PRIORITY = 1 }"}, 'VERSION field does not follow the "x.y.z" format'),
        ({"handler": "return nil"}, "attempt to index local 'handler'"),
        ({"schema": "return { fields = {} }"}, "name: field required for entity check"),
        ({"schema": "return 5"}, "expected an input table"),
        ({"handler": "os.exit(0)"}, "os.exit"),
        ({"handler": f"pcall(os.exit, 0) {HANDLER}"}, "os.exit"),
    ],
)
def test_what_a_gateway_refuses_is_the_error(
    tree: Callable[..., tuple[str, str]], change: dict[str, str | None], error: str
) -> None:
    report = one(tree(**change))
    assert not report.ok
    assert report.error is not None
    assert error in report.error
    assert report.hint


def test_a_module_of_the_rock_that_the_tree_lacks_is_an_error(tree: Callable[..., tuple[str, str]]) -> None:
    report = one(tree(), "demo.gone")
    assert report.error is not None
    assert "module 'demo.gone' not found" in report.error


def test_nothing_but_the_tree_and_the_stand_ins_is_searched(
    tree: Callable[..., tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stray.lua").write_text("return {}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUA_PATH", f"{tmp_path}/?.lua;;")
    report = one(tree(handler=f"require 'stray' {HANDLER}"))
    assert report.error is not None
    assert "module 'stray' not found" in report.error


def test_a_schema_that_is_named_otherwise_is_fine_for_kong(tree: Callable[..., tuple[str, str]]) -> None:
    assert one(tree(schema=SCHEMA.replace("'demo'", "'other'"))).ok


def test_what_hangs_is_an_error_in_bounded_time(tree: Callable[..., tuple[str, str]]) -> None:
    began = time.monotonic()
    report = one(tree(schema="while true do end"), seconds=0.5)
    assert time.monotonic() - began < 5
    assert report.error == "kong.plugins.demo.schema: takes longer than 0.5 s to load"
    assert report.version == "2.0.0"


def test_a_rock_without_a_plugin_has_no_report(tree: Callable[..., tuple[str, str]]) -> None:
    assert verify_plugins(*tree(), ["demo.util"]) == ()


C_MODULE = """
#include <lua.h>
int luaopen_demo_fast(lua_State *L) { lua_pushnumber(L, 42); return 1; }
int luaopen_demo_bad(lua_State *L) { return *(volatile int *)0; }
"""


@pytest.mark.peer
def test_c_modules_are_loaded_as_they_are_and_a_crash_is_told(
    tree: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "lib/demo").mkdir(parents=True)
    (tmp_path / "demo.c").write_text(C_MODULE)
    includes = next(
        path for path in ("/usr/include/luajit-2.1", "/usr/include/lua5.1") if Path(path).is_dir()
    )
    library = tmp_path / "lib/demo/fast.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f"-I{includes}", "-o", library, tmp_path / "demo.c"],
        check=True,
        timeout=60,
    )
    shutil.copy(library, tmp_path / "lib/demo/bad.so")
    place = tree(handler=f"assert(require 'demo.fast' == 42) {HANDLER}")
    report = one(place, "demo.fast")
    assert report.error is None
    assert str(library) in report.files
    crashed = one(place, "demo.bad")
    assert crashed.error == "demo.bad: it crashed the process (SIGSEGV)"
