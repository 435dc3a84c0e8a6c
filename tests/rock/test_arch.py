"""Archs are named as LuaRocks names them."""

from __future__ import annotations

import subprocess

import pytest

from pumice.rock.arch import accepts, arch_of, machine_arch


@pytest.mark.parametrize(
    ("system", "machine", "arch"),
    [
        ("Linux", "x86_64", "linux-x86_64"),
        ("Linux", "aarch64", "linux-aarch64"),
        ("Linux", "i686", "linux-x86"),
        ("Linux", "armv7l", "linux-arm"),
        ("Linux", "ppc64le", "linux-ppc64le"),
        ("Linux", "riscv64", "linux-riscv64"),
        ("Linux", "s390x", "linux-s390"),
        ("Linux", "loongarch64", "linux-unknown"),
        ("Darwin", "arm64", "macosx-aarch64"),
        ("FreeBSD", "amd64", "freebsd-x86_64"),
        ("SunOS", "i86pc", "solaris-x86"),
        ("CYGWIN_NT-10.0", "x86_64", "cygwin-x86_64"),
        ("Plan9", "amd64", "plan9-x86_64"),
    ],
)
def test_each_machine_has_luarocks_s_name(system: str, machine: str, arch: str) -> None:
    assert arch == arch_of(system, machine)


@pytest.mark.peer
def test_this_machine_has_the_name_that_luarocks_gives_it() -> None:
    shown = subprocess.run(["luarocks", "config", "arch"], capture_output=True, text=True, timeout=60)
    assert shown.stdout.strip() == machine_arch()


def test_a_rock_fits_its_own_machine_and_all_fits_every_one() -> None:
    assert accepts("all", "linux-x86_64")
    assert accepts("linux-x86_64", "linux-x86_64")
    assert not accepts("linux-aarch64", "linux-x86_64")
    assert not accepts("src", "linux-x86_64")
