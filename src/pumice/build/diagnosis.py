"""What a failed compiler or linker wants: its output becomes a hint with the package to install."""

from __future__ import annotations

import re

from pumice.base.distribution import install_hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.process import Finished

__all__ = ["explain", "library_hint", "tool_hint"]

_FAMILIES = ("debian", "alpine", "fedora", "brew")
_TOOLS = {
    "gcc": ("build-essential", "build-base", "gcc make", "gcc"),
    "cc": ("build-essential", "build-base", "gcc make", "gcc"),
    "clang": ("clang", "clang", "clang", "llvm"),
    "g++": ("build-essential", "build-base", "gcc-c++", "gcc"),
    "c++": ("build-essential", "build-base", "gcc-c++", "gcc"),
    "ld": ("binutils", "binutils", "binutils", "binutils"),
    "make": ("make", "make", "make", "make"),
    "cmake": ("cmake", "cmake", "cmake", "cmake"),
    "git": ("git", "git", "git", "git"),
    "hg": ("mercurial", "mercurial", "mercurial", "mercurial"),
    "svn": ("subversion", "subversion", "subversion", "subversion"),
    "cvs": ("cvs", "cvs", "cvs", "cvs"),
    "patch": ("patch", "patch", "patch", "gpatch"),
    "pkg-config": ("pkgconf", "pkgconf", "pkgconf", "pkgconf"),
}
_LIBRARIES = {
    "c": ("libc6-dev", "musl-dev", "glibc-devel", "gcc"),
    "openssl": ("libssl-dev", "openssl-dev", "openssl-devel", "openssl"),
    "z": ("zlib1g-dev", "zlib-dev", "zlib-devel", "zlib"),
    "bz2": ("libbz2-dev", "bzip2-dev", "bzip2-devel", "bzip2"),
    "lzma": ("liblzma-dev", "xz-dev", "xz-devel", "xz"),
    "zstd": ("libzstd-dev", "zstd-dev", "libzstd-devel", "zstd"),
    "yaml": ("libyaml-dev", "yaml-dev", "libyaml-devel", "libyaml"),
    "expat": ("libexpat1-dev", "expat-dev", "expat-devel", "expat"),
    "sqlite3": ("libsqlite3-dev", "sqlite-dev", "sqlite-devel", "sqlite"),
    "curl": ("libcurl4-openssl-dev", "curl-dev", "libcurl-devel", "curl"),
    "pcre": ("libpcre3-dev", "pcre-dev", "pcre-devel", "pcre"),
    "pcre2": ("libpcre2-dev", "pcre2-dev", "pcre2-devel", "pcre2"),
    "event": ("libevent-dev", "libevent-dev", "libevent-devel", "libevent"),
    "ev": ("libev-dev", "libev-dev", "libev-devel", "libev"),
    "uv": ("libuv1-dev", "libuv-dev", "libuv-devel", "libuv"),
    "mysql": ("default-libmysqlclient-dev", "mariadb-connector-c-dev", "mariadb-connector-c-devel", "mysql"),
    "pq": ("libpq-dev", "libpq-dev", "libpq-devel", "libpq"),
    "odbc": ("unixodbc-dev", "unixodbc-dev", "unixODBC-devel", "unixodbc"),
    "readline": ("libreadline-dev", "readline-dev", "readline-devel", "readline"),
    "ncurses": ("libncurses-dev", "ncurses-dev", "ncurses-devel", "ncurses"),
    "uuid": ("uuid-dev", "util-linux-dev", "libuuid-devel", "ossp-uuid"),
    "gd": ("libgd-dev", "gd-dev", "gd-devel", "gd"),
    "icu": ("libicu-dev", "icu-dev", "libicu-devel", "icu4c"),
    "xml2": ("libxml2-dev", "libxml2-dev", "libxml2-devel", "libxml2"),
    "zmq": ("libzmq3-dev", "zeromq-dev", "zeromq-devel", "zeromq"),
    "sodium": ("libsodium-dev", "libsodium-dev", "libsodium-devel", "libsodium"),
    "ffi": ("libffi-dev", "libffi-dev", "libffi-devel", "libffi"),
    "lmdb": ("liblmdb-dev", "lmdb-dev", "lmdb-devel", "lmdb"),
    "hiredis": ("libhiredis-dev", "hiredis-dev", "hiredis-devel", "hiredis"),
    "ldap": ("libldap-dev", "openldap-dev", "openldap-devel", "openldap"),
    "maxminddb": ("libmaxminddb-dev", "libmaxminddb-dev", "libmaxminddb-devel", "libmaxminddb"),
    "magic": ("libmagic-dev", "file-dev", "file-devel", "libmagic"),
    "gmp": ("libgmp-dev", "gmp-dev", "gmp-devel", "gmp"),
    "idn2": ("libidn2-dev", "libidn2-dev", "libidn2-devel", "libidn2"),
    "jansson": ("libjansson-dev", "jansson-dev", "jansson-devel", "jansson"),
    "protobuf": ("libprotobuf-dev", "protobuf-dev", "protobuf-devel", "protobuf"),
}
_OTHER_NAMES = {
    "crypto": "openssl",
    "ssl": "openssl",
    "zlib": "z",
    "sqlite": "sqlite3",
    "libyaml": "yaml",
    "mysqlclient": "mysql",
    "mariadb": "mysql",
    "postgres": "pq",
    "pgsql": "pq",
    "postgresql": "pq",
    "libpq": "pq",
    "libevent": "event",
    "libev": "ev",
    "libuv": "uv",
    "bzip2": "bz2",
    "xz": "lzma",
    "libxml": "xml2",
    "libxml2": "xml2",
    "zeromq": "zmq",
    "libzmq": "zmq",
    "libcurl": "curl",
    "curses": "ncurses",
    "pcre2_8": "pcre2",
    "libsodium": "sodium",
    "libffi": "ffi",
    "m": "c",
    "dl": "c",
    "rt": "c",
    "pthread": "c",
    "libgd": "gd",
    "libldap": "ldap",
}
_HEADERS = {
    "openssl/": "openssl",
    "zlib.h": "z",
    "bzlib.h": "bz2",
    "yaml.h": "yaml",
    "expat.h": "expat",
    "sqlite3.h": "sqlite3",
    "curl/": "curl",
    "pcre.h": "pcre",
    "pcre2.h": "pcre2",
    "event.h": "event",
    "event2/": "event",
    "ev.h": "ev",
    "uv.h": "uv",
    "mysql.h": "mysql",
    "mysql/": "mysql",
    "libpq-fe.h": "pq",
    "sql.h": "odbc",
    "sqlext.h": "odbc",
    "readline/": "readline",
    "ncurses.h": "ncurses",
    "curses.h": "ncurses",
    "uuid/": "uuid",
    "zmq.h": "zmq",
    "sodium.h": "sodium",
    "ffi.h": "ffi",
    "lmdb.h": "lmdb",
    "stdio.h": "c",
    "stdlib.h": "c",
    "string.h": "c",
    "stddef.h": "c",
    "limits.h": "c",
    "assert.h": "c",
}


def tool_hint(program: str) -> str:
    """How to install a program."""
    packages = _TOOLS.get(program)
    if packages is None:
        return f"Install {program}, or add its directory to PATH."
    return install_hint(dict(zip(_FAMILIES, packages, strict=True)))


def library_hint(*names: str) -> str:
    """How to install the first library known by one of the names (of a dependency, library, header)."""
    for name in names:
        known = name.lower().split("/")[-1].removesuffix(".h")
        known = _OTHER_NAMES.get(known, known)
        known = known if known in _LIBRARIES else known.removeprefix("lib")
        if known not in _LIBRARIES:
            known = next((library for start, library in _HEADERS.items() if name.startswith(start)), "")
        if known:
            return install_hint(dict(zip(_FAMILIES, _LIBRARIES[known], strict=True)))
    return ""


def explain(finished: Finished) -> str:
    """What to do about a program that failed: what it missed, and the package that has it."""
    output = finished.output
    missing = re.search(r"(?:^|: )(\S+): (?:command )?not found\s*$", output, re.MULTILINE)
    if finished.returncode == 127 and missing:
        return f"{missing[1]} is not there. {tool_hint(missing[1].rsplit('/', 1)[-1])}"
    header = re.search(
        r"(?:fatal )?error: '?([^\s:']+\.(?:h|hpp))'?(?:: No such file| file not found)", output
    )
    if header:
        package = library_hint(header[1])
        return f"The header {header[1]} is not there. " + (
            package or "Install the development package that has it, or pass NAME_INCDIR=directory."
        )
    library = re.search(
        r"(?:cannot find|library not found for|unable to find library) -l(?::lib)?([^\s:]+)", output
    )
    if library:
        package = library_hint(library[1])
        return f"The library {library[1]} is not there. " + (
            package or "Install the development package that has it, or pass NAME_LIBDIR=directory."
        )
    return "See the messages above."
