"""Servers in every form that LuaRocks takes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import ConfigError, UsageError
from pumice.index.servers import Mirror, servers_of


@pytest.mark.parametrize(
    ("text", "base", "is_local"),
    [
        ("https://luarocks.org", "https://luarocks.org", False),
        ("https://host/path/", "https://host/path", False),
        ("HTTP://host", "http://host", False),
        ("file:///srv/rocks/", "/srv/rocks", True),
        ("file://localhost/srv/rocks", "/srv/rocks", True),
        ("/srv/rocks/", "/srv/rocks", True),
        ("rocks", "/here/rocks", True),
        ("../rocks", "/rocks", True),
        ('"/srv/rocks"', "/srv/rocks", True),
        ("https://user:secret@host", "https://user:secret@host", False),
        ("FTP://user:secret@host/rocks/", "ftp://user:secret@host/rocks", False),
    ],
)
def test_a_server_is_a_url_or_a_directory(text: str, base: str, is_local: bool) -> None:
    assert Mirror.of(text, "/here") == Mirror(base, is_local)


def test_a_protocol_that_is_not_served_is_told() -> None:
    with pytest.raises(ConfigError, match="protocol gopher is not supported"):
        Mirror.of("gopher://user:secret@host/rocks", "/")


def test_credentials_are_never_shown() -> None:
    assert Mirror.of("https://user:secret@host/x", "/").shown == "https://host/x"


def test_urls_of_files() -> None:
    mirror = Mirror.of("https://host/rocks/", "/")
    assert mirror.rock_url("foo", "1.0-1", "rockspec") == "https://host/rocks/foo-1.0-1.rockspec"
    assert mirror.rock_url("foo", "1.0-1", "all") == "https://host/rocks/foo-1.0-1.all.rock"
    assert mirror.rock_url("foo", "1.0-1", "src") == "https://host/rocks/foo-1.0-1.src.rock"


def test_mirrors_and_namespaces(ask: Any) -> None:
    servers = servers_of(ask.config(("https://a", "https://b"), "/c"))
    assert [[mirror.base for mirror in server.mirrors] for server in servers] == [
        ["https://a", "https://b"],
        ["/c"],
    ]
    spaced = servers[0].for_namespace("user")
    assert [mirror.base for mirror in spaced.mirrors] == [
        "https://a/manifests/user",
        "https://b/manifests/user",
    ]
    assert servers[0].for_namespace(None) is servers[0]


@pytest.mark.parametrize("namespace", ["", "..", "a/b", "a?b", "a#b", "a\nb", "%2e%2e"])
def test_a_namespace_leads_nowhere_else(ask: Any, namespace: str) -> None:
    with pytest.raises(UsageError):
        servers_of(ask.config("https://a"))[0].for_namespace(namespace)


@pytest.mark.peer
def test_results_name_servers_as_luarocks_does(tmp_path: Path) -> None:
    urls = [
        "http://host//a/",
        "http://host/a/../b",
        "http://host/./a/b",
        "http://host:80",
        "http://host/a//b/",
    ]
    program = tmp_path / "ask.lua"
    program.write_text('for i = 1, #arg do print(require("luarocks.dir").normalize(arg[i])) end')
    done = subprocess.run(["lua5.1", str(program), *urls], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [Mirror.of(url, "/").shown for url in urls]
