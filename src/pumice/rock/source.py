"""`Source`: where a rockspec says its sources are (LuaRocks contract 2.6)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.rock.filename import base_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.lua.data import LuaTable

__all__ = ["BASIC_PROTOCOLS", "Source", "source_of", "split_url"]

BASIC_PROTOCOLS = ("http", "https", "ftp", "file")
"""Protocols that bring one file, which is unpacked; every other one is some version control."""


class Source(Value):
    """The `source` of a rockspec, after platform overrides and with LuaRocks's defaults."""

    url: str
    """As written."""
    protocol: str
    """What stands before `://`; `file` for a plain path."""
    pathname: str
    """What stands after it."""
    file: str | None
    """The name of the file that comes; None with version control unless written."""
    dir: str | None
    """Where the sources lie in what comes: `dir`, else `module`; None when it is to be found out."""
    dir_set: bool
    """Whether `dir` itself was written."""
    md5: str | None
    tag: str | None
    branch: str | None
    module: str | None

    @property
    def is_basic(self) -> bool:
        """Whether one file comes, rather than a checkout."""
        return self.protocol in BASIC_PROTOCOLS

    @property
    def fetch_url(self) -> str:
        """The URL to ask: GitHub does not speak `git://` any more, so that becomes `git+https://`."""
        if self.url.startswith(("git://github.com/", "git://www.github.com/")):
            return "git+https://" + self.url[len("git://") :]
        return self.url

    @property
    def checkout_name(self) -> str:
        """The directory of a checkout: `module`, else the last part of the URL without `.git`."""
        if self.module is not None:
            return self.module
        return base_name(self.url).removesuffix(".git")

    @property
    def reference(self) -> str | None:
        """What to check out: the tag, else the branch, else whatever the repository offers."""
        return self.tag if self.tag is not None else self.branch


def split_url(url: str) -> tuple[str, str]:
    """(protocol, rest) of a URL; quotes around it are dropped, and a plain path counts as `file`."""
    if url and url[0] == url[-1] and url[0] in "\"'":
        url = url[1:-1]
    protocol, colon, rest = url.partition(":")
    if colon and rest.startswith("//"):
        return protocol, rest[2:]
    return "file", url


def source_of(table: LuaTable) -> Source:
    """The source that a checked `source` table, with its overrides applied, describes."""

    def text(field: str) -> str | None:
        value = table.get(field)
        return value if isinstance(value, str) else None

    url = text("url") or ""
    protocol, pathname = split_url(url)
    file = text("file")
    if file is None and protocol in BASIC_PROTOCOLS:
        file = base_name(url)
    # The older names win where both are given, as in LuaRocks.
    tag = text("cvs_tag") or text("tag")
    module = text("cvs_module") or text("module")
    directory = text("dir")
    return Source(
        url,
        protocol,
        pathname,
        file,
        directory if directory is not None else module,
        directory is not None,
        text("md5"),
        tag,
        text("branch"),
        module,
    )
