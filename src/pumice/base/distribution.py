"""How one installs a system package here: the words for a hint, nothing is run."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["family", "install_hint"]

_COMMANDS = {
    "debian": "apt-get install {}",
    "alpine": "apk add {}",
    "fedora": "dnf install {}",
    "suse": "zypper install {}",
    "arch": "pacman -S {}",
    "brew": "brew install {}",
}
_FAMILIES = {
    "debian": "debian",
    "ubuntu": "debian",
    "alpine": "alpine",
    "wolfi": "alpine",
    "fedora": "fedora",
    "rhel": "fedora",
    "centos": "fedora",
    "amzn": "fedora",
    "suse": "suse",
    "opensuse": "suse",
    "sles": "suse",
    "arch": "arch",
}
_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")


def family(*, os_release: tuple[str, ...] = _OS_RELEASE, system: str = sys.platform) -> str:
    """The family of package managers here: debian, alpine, fedora, suse, arch, brew, or "" if unknown.

    Read from `os-release` (ID, then ID_LIKE), as freedesktop.org defines it.
    """
    if system == "darwin":
        return "brew"
    for path in os_release:
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                fields = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
            words = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "").replace("'", "")
            for word in words.split():
                found = _FAMILIES.get(word) or _FAMILIES.get(word.split("-")[0])
                if found:
                    return found
    return ""


def install_hint(packages: Mapping[str, str], *, here: str | None = None) -> str:
    """ "Install it: apt-get install X", with the package of this machine's family.

    `packages` maps families to package names. On an unknown machine all of them are listed.
    """
    here = family() if here is None else here
    if here in packages:
        return f"Install it: {_COMMANDS[here].format(packages[here])}"
    known = ", ".join(f"{name} ({where})" for where, name in packages.items())
    return f"Install it with your package manager: {known}."
