"""The archive of Kong's manual: laid out as a node wants it, told how to install, read back by the check."""

import hashlib
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pumice.errors import ArchiveError, RockspecError
from pumice.kong.check import check
from pumice.kong.manual_tar import install_text, manual_tar_name, package_of_tar, write_manual_tar
from pumice.rock.content import Content
from pumice.rock.rock import Rock, RockFile
from pumice.rock.rockspec import load_rockspec

PLATFORMS = ("linux", "unix")
HANDLER = "return { PRIORITY = 1, VERSION = '1.0.0', access = function() end }"
SCHEMA = "return { name = 'demo', fields = { { config = { type = 'record', fields = {} } } } }"
ROCKSPEC = """
package = "kong-plugin-demo"
version = "1.0.0-1"
source = { url = "https://example.com/demo.tar.gz" }
description = { summary = "A demonstration" }
dependencies = { "lua >= 5.1"%s }
build = { type = "builtin", modules = {
  ["kong.plugins.demo.handler"] = "kong/plugins/demo/handler.lua",
  ["kong.plugins.demo.schema"] = "kong/plugins/demo/schema.lua",
} }
"""
FILES = {
    "lua/kong/plugins/demo/handler.lua": HANDLER,
    "lua/kong/plugins/demo/schema.lua": SCHEMA,
    "lua/demo/util.lua": "return 1",
    "doc/README.md": "# Demo\n",
    "doc/more/x.md": "x",
}


def rock(files: Mapping[str, str] = FILES, *, dependencies: str = "") -> Rock:
    """A built rock of these files."""
    made = []
    for path, text in sorted(files.items()):
        section, _, rest = path.partition("/")
        data = text.encode()
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        made.append(RockFile(section, rest, section == "bin", digest, len(data), Content.of_bytes(data)))
    text = (ROCKSPEC % dependencies).encode()
    return Rock(load_rockspec(text, "kong-plugin-demo-1.0.0-1.rockspec", PLATFORMS), tuple(made), "all")


def written(tmp_path: Path, made: Rock) -> Path:
    path = tmp_path / manual_tar_name(made)
    write_manual_tar(made, str(path))
    return path


def test_the_layout_is_the_manuals(tmp_path: Path) -> None:
    path = written(tmp_path, rock())
    assert path.name == "kong-plugin-demo-1.0.0-1.tar.gz"
    with tarfile.open(path) as archive:
        assert archive.getnames() == [
            "kong-plugin-demo-1.0.0-1/INSTALL.txt",
            "kong-plugin-demo-1.0.0-1/README.md",
            "kong-plugin-demo-1.0.0-1/demo/util.lua",
            "kong-plugin-demo-1.0.0-1/doc/more/x.md",
            "kong-plugin-demo-1.0.0-1/kong-plugin-demo-1.0.0-1.rockspec",
            "kong-plugin-demo-1.0.0-1/kong/plugins/demo/handler.lua",
            "kong-plugin-demo-1.0.0-1/kong/plugins/demo/schema.lua",
        ]


def test_the_same_rock_gives_the_same_bytes(tmp_path: Path) -> None:
    first = written(tmp_path, rock()).read_bytes()
    assert written(tmp_path, rock(dict(reversed(FILES.items())))).read_bytes() == first


@pytest.mark.peer
def test_real_tar_unpacks_it_and_luajit_finds_the_plugin_by_the_path_that_install_txt_names(
    tmp_path: Path, luajit: Callable[..., str]
) -> None:
    path = written(tmp_path, rock())
    subprocess.run(["tar", "-xzf", path, "-C", tmp_path], check=True, timeout=60)
    line = next(line for line in install_text(rock()).splitlines() if "lua_package_path = " in line)
    search = line.split(" = ")[1].replace("/usr/local/custom", str(tmp_path))
    printed = luajit(
        "package.path = arg[1]:gsub(';;', '') local version = require('kong.plugins.demo.handler').VERSION "
        "print(version, require 'demo.util')",
        search,
    )
    assert printed.split() == ["1.0.0", "1"]


def test_install_txt_is_about_this_very_plugin() -> None:
    text = install_text(rock())
    place = "/usr/local/custom/kong-plugin-demo-1.0.0-1"
    assert text.startswith("kong-plugin-demo 1.0.0-1\nA demonstration\n")
    for line in (
        "sudo tar -xzf kong-plugin-demo-1.0.0-1.tar.gz -C /usr/local/custom",
        f"lua_package_path = {place}/?.lua;{place}/?/init.lua;;",
        f'KONG_LUA_PACKAGE_PATH="{place}/?.lua;{place}/?/init.lua;;"',
        "plugins = bundled,demo",
        'KONG_PLUGINS="bundled,demo"',
        "kong prepare -c /etc/kong/kong.conf",
        "kong reload -c /etc/kong/kong.conf",
        "curl -s http://localhost:8001/schemas/plugins/demo",
    ):
        assert f"     {line}\n" in text
    assert "cpath" not in text
    assert "migrations" not in text
    assert "needs these rocks" not in text


def test_install_txt_tells_what_else_is_needed() -> None:
    more = {"lib/demo/fast.so": "x", "lua/kong/plugins/demo/migrations/init.lua": "return {}"}
    text = install_text(rock({**FILES, **more}, dependencies=', "lua-resty-jwt >= 0.2"'))
    place = "/usr/local/custom/kong-plugin-demo-1.0.0-1"
    assert f"     lua_package_cpath = {place}/lib/?.so;;\n" in text
    assert "     kong migrations up -c /etc/kong/kong.conf\n" in text
    assert "     lua-resty-jwt >= 0.2\n" in text


def test_what_was_written_is_read_back_without_a_fault(tmp_path: Path) -> None:
    package = package_of_tar(str(written(tmp_path, rock())), PLATFORMS)
    assert package.rockspec is not None
    assert dict(package.modules) == {
        "demo.util": "demo/util.lua",
        "kong.plugins.demo.handler": "kong/plugins/demo/handler.lua",
        "kong.plugins.demo.schema": "kong/plugins/demo/schema.lua",
    }
    assert check(package).findings == ()


def test_a_module_that_its_rockspec_lists_and_the_archive_lacks_is_missing(tmp_path: Path) -> None:
    files = {path: text for path, text in FILES.items() if not path.endswith("schema.lua")}
    report = check(package_of_tar(str(written(tmp_path, rock(files))), PLATFORMS))
    assert [(item.code, item.file) for item in report.findings] == [
        ("file-missing", "kong/plugins/demo/schema.lua"),
        ("schema-missing", "kong-plugin-demo-1.0.0-1.rockspec"),
    ]


@pytest.mark.parametrize("top", ["", "./", "my-plugin/", "a-b_c/"])
def test_anybodys_archive_of_that_layout_is_read(tmp_path: Path, top: str) -> None:
    source = tmp_path / "source"
    for name, text in (("handler", HANDLER), ("schema", SCHEMA)):
        file = source / top / "kong/plugins/demo" / f"{name}.lua"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        inside = source / top
        if top == "":
            archive.add(inside / "kong", arcname="kong")
        else:
            archive.add(inside, arcname=top.rstrip("/"))
    report = check(package_of_tar(str(tmp_path / "x.tar.gz"), PLATFORMS))
    assert report.findings == ()
    assert [facts.name for facts in report.plugins] == ["demo"]


def test_a_broken_archive_and_a_broken_rockspec_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ArchiveError):
        package_of_tar(str(tmp_path / "x.tar.gz"), PLATFORMS)
    (tmp_path / "x-1.0-1.rockspec").write_text("package = 5")
    with tarfile.open(tmp_path / "y.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "x-1.0-1.rockspec", arcname="x/x-1.0-1.rockspec")
    with pytest.raises(RockspecError):
        package_of_tar(str(tmp_path / "y.tar.gz"), PLATFORMS)
