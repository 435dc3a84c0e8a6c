"""What LuaRocks's settings are where no file says anything (contract 2.5, 2.7, 7.5, 7.7)."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

__all__ = ["SERVERS", "array", "default_settings", "default_variables"]

SERVERS = (
    (
        "https://luarocks.org",
        "https://raw.githubusercontent.com/rocks-moonscript-org/moonrocks-mirror/master/",
        "https://loadk.com/luarocks/",
    ),
)
"""LuaRocks's public server and its mirrors."""

_TOOLS = {
    "MAKE": "make",
    "CC": "gcc",
    "LD": "gcc",
    "AR": "ar",
    "RANLIB": "ranlib",
    "CMAKE": "cmake",
    "CVS": "cvs",
    "GIT": "git",
    "SSCM": "sscm",
    "SVN": "svn",
    "HG": "hg",
    "GPG": "gpg",
    "RSYNC": "rsync",
    "SCP": "scp",
    "WGET": "wget",
    "CURL": "curl",
    "ZIP": "zip",
    "UNZIP": "unzip -n",
    "GUNZIP": "gunzip",
    "BUNZIP2": "bunzip2",
    "TAR": "tar",
    "MD5SUM": "md5sum",
    "OPENSSL": "openssl",
    "MD5": "md5",
    "PWD": "pwd",
    "MKDIR": "mkdir",
    "RMDIR": "rmdir",
    "CP": "cp",
    "LN": "ln",
    "LS": "ls",
    "RM": "rm",
    "FIND": "find",
    "CHMOD": "chmod",
    "ICACLS": "icacls",
    "TEST": "test",
    "MKTEMP": "mktemp",
    "TOUCH": "touch",
    "SEVENZ": "7z",
    "RSYNCFLAGS": "--exclude=.git -Oavz",
    "CURLNOCERTFLAG": "",
    "WGETNOCERTFLAG": "",
}
_MULTIARCH = {
    "x86_64": "x86_64-linux-gnu",
    "aarch64": "aarch64-linux-gnu",
    "x86": "i386-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "riscv64": "riscv64-linux-gnu",
    "ppc64le": "powerpc64le-linux-gnu",
    "s390": "s390x-linux-gnu",
}


def default_variables(platforms: Collection[str], environment: Mapping[str, str]) -> dict[str, str]:
    """`variables.*`: tools and flags, the environment's where it names them."""
    found = dict(_TOOLS)
    libflag = "-shared"
    if "bsd" in platforms:
        found["MAKE"] = "gmake"
        found["CC"] = "cc"
    if "solaris" in platforms:
        found["MAKE"] = "gmake"
    if "macosx" in platforms:
        found["MAKE"] = "make"
        libflag = "-bundle -undefined dynamic_lookup -all_load"
    for tool in ("MAKE", "CC", "AR", "RANLIB"):
        found[tool] = environment.get(tool) or found[tool]
    found["LD"] = found["CC"]
    flags = environment.get("CFLAGS") or "-O2"
    found["CFLAGS"] = flags if "-fPIC" in flags else f"{flags} -fPIC"
    found["LDFLAGS"] = environment.get("LDFLAGS", "")
    found["LIBFLAG"] = libflag
    return found


def default_settings(lua_version: str, platforms: Collection[str], processor: str) -> dict[str, Any]:
    """Every other setting that a file may fill in part, as tables with Lua's keys."""
    library_dirs = ["lib64", "lib"]
    if "linux" in platforms:
        # What `gcc -print-multiarch` would say, without starting it.
        multiarch = _MULTIARCH.get(processor)
        if multiarch and os.path.isdir(f"/usr/lib/{multiarch}"):
            library_dirs.insert(0, f"lib/{multiarch}")
    else:
        library_dirs = ["lib"]
    below = {"bin": "bin", "lib": array(*library_dirs), "include": "include"}
    external = "dylib" if "macosx" in platforms else "so"
    shared = (f"lib?.{external}",) if external == "dylib" else ("lib?.so", "lib?.so.*")
    return {
        "lua_modules_path": f"/share/lua/{lua_version}",
        "lib_modules_path": f"/lib/lua/{lua_version}",
        "rocks_subdir": f"/lib/luarocks/rocks-{lua_version}",
        "external_deps_dirs": array("/usr/local", "/usr", "/"),
        "external_deps_subdirs": below,
        "runtime_external_deps_subdirs": below,
        "external_deps_patterns": {
            "bin": array("?"),
            "lib": array("lib?.a", *shared),
            "include": array("?.h"),
        },
        "runtime_external_deps_patterns": {
            "bin": array("?"),
            "lib": array(*shared),
            "include": array("?.h"),
        },
        "gcc_rpath": not {"freebsd", "openbsd"} & set(platforms),
        "link_lua_explicitly": "cygwin" in platforms,
    }


def array(*values: str) -> dict[int, str]:
    """A Lua array as a table with its keys."""
    return dict(enumerate(values, 1))
