"""The architecture part of a rock's file name (LuaRocks contract 4)."""

from __future__ import annotations

import os

__all__ = ["accepts", "arch_of", "machine_arch"]

_SYSTEMS = {
    "Linux": "linux",
    "Darwin": "macosx",
    "FreeBSD": "freebsd",
    "OpenBSD": "openbsd",
    "NetBSD": "netbsd",
    "DragonFly": "dragonfly",
    "SunOS": "solaris",
    "Haiku": "haiku",
}
_PROCESSORS = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "i86pc": "x86",
    "aarch64": "aarch64",
    "aarch64_be": "aarch64",
    "arm64": "aarch64",
    "ppc": "ppc",
    "ppc64": "ppc64",
    "ppc64le": "ppc64le",
    "s390": "s390",
    "s390x": "s390",
    "sparc": "sparc",
    "sparc64": "sparcv9",
    "sparcv9": "sparcv9",
    "riscv64": "riscv64",
    "ia64": "ia_64",
    "alpha": "alpha",
    "parisc": "hppa",
    "parisc64": "hppa",
}
_PREFIXES = (("arm", "arm"), ("mips", "mips"), ("sh", "superh"))


def arch_of(system: str, machine: str) -> str:
    """The arch, such as `linux-x86_64`, of what `uname -s` and `uname -m` print, in LuaRocks's words."""
    name = _SYSTEMS.get(system, "cygwin" if system.startswith("CYGWIN") else system.lower())
    processor = _PROCESSORS.get(machine, "")
    if not processor and len(machine) == 4 and machine[0] == "i" and machine.endswith("86"):
        processor = "x86"
    for prefix, known in _PREFIXES:
        if not processor and machine.startswith(prefix):
            processor = known
    return f"{name}-{processor or 'unknown'}"


def machine_arch() -> str:
    """The arch of this machine, such as `linux-x86_64`."""
    uname = os.uname()
    return arch_of(uname.sysname, uname.machine)


def accepts(arch: str, machine: str) -> bool:
    """Whether a binary rock of `arch` may be installed on `machine`: its own arch, or `all`."""
    return arch in ("all", machine)
