"""What content is made for: a node's Lua, machine and C library, and the rocks that its gateway brings."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.cluster.elf import read_elf
from pumice.errors import DataError, UsageError
from pumice.kong.provided import provided_by_kong
from pumice.rock.arch import arch_of, machine_arch

if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.cluster.facts import NodeFacts
    from pumice.rock.rock import Rock

__all__ = ["LUA", "Target", "config_for", "refuse_unfit", "target_of"]

LUA = "5.1"
"""A gateway runs OpenResty's LuaJIT."""
_LUAJIT = "2.1.0-1"
_TRIPLETS = {
    "x86_64": "x86_64-linux-{libc}",
    "aarch64": "aarch64-linux-{libc}",
    "x86": "i686-linux-{libc}",
    "arm": "arm-linux-{libc}eabihf",
    "ppc64le": "powerpc64le-linux-{libc}",
    "s390": "s390x-linux-{libc}",
    "riscv64": "riscv64-linux-{libc}",
}


class Target(Value):
    """Nodes of one target get the same content."""

    arch: str
    """As in the file name of a rock: `linux-x86_64`."""
    libc: str | None
    kong: str | None
    """The gateway's minor version, such as `3.9`; None: not known."""

    @property
    def shown(self) -> str:
        """For people: `linux-aarch64 with musl`."""
        return f"{self.arch} with {self.libc}" if self.libc else self.arch


def target_of(facts: NodeFacts) -> Target:
    """The target of a node. Raises DataError for a node whose gateway runs another Lua."""
    if facts.lua is not None and facts.lua != LUA:
        raise DataError(
            f"{facts.node}: its gateway runs Lua {facts.lua}, and rocks of Lua {LUA} would be sent",
            hint="A Kong Gateway runs LuaJIT; look at what the node really runs.",
        )
    minor = ".".join((facts.kong_version or "").split(".")[:2])
    return Target(arch_of(facts.system, facts.arch), facts.libc, minor or None)


def config_for(target: Target, config: Config) -> tuple[Config, str | None]:
    """The settings with which to solve and build for a target, and the cross-compiler if one is taken."""
    provided = {**_brought(target), "luajit": _LUAJIT, "luabitop": _LUAJIT, **config.rocks_provided}
    config = config.replace(
        lua_version=LUA,
        arch=target.arch,
        rocks_provided=provided,
        deps_mode="one",
        platforms=("linux", "unix"),
        lib_extension="so",
    )
    if _is_this_machine(target):
        return config, None
    compiler = _cross_compiler(target, config)
    if compiler is None:
        return config, None
    prefix = compiler.removesuffix("gcc")
    tools = {"CC": compiler, "LD": compiler}
    for variable, tool in (("AR", "ar"), ("RANLIB", "ranlib"), ("STRIP", "strip")):
        if shutil.which(prefix + tool, path=config.environment.get("PATH")):
            tools[variable] = prefix + tool
    return config.replace(variables={**config.variables, **tools}), compiler


def refuse_unfit(rock: Rock, target: Target, compiler: str | None) -> None:
    """Raises DataError for a rock with a file that the target cannot run: before anything is sent."""
    for file in rock.files:
        if file.section not in ("lib", "bin"):
            continue
        elf = read_elf(file.content.read())
        if elf is None:
            continue
        processor = target.arch.partition("-")[2]
        if elf.processor == processor and (None in (elf.libc, target.libc) or elf.libc == target.libc):
            continue
        built = f"{elf.processor} with {elf.libc}" if elf.libc else elf.processor
        hint = (
            f"Its build did not use {compiler}: install a rock that was built there."
            if compiler
            else f"Install a cross-compiler ({_triplet(target)}-gcc) here and ship its sources, or pack the "
            "rock on such a machine and ship that file."
        )
        raise DataError(
            f"{rock.name} {rock.version}: {file.rock_path} is for {built}, and not for {target.shown}",
            hint=hint,
        )


def _brought(target: Target) -> dict[str, str]:
    try:
        return provided_by_kong(target.kong or "newest")
    except UsageError:
        return provided_by_kong("newest")


def _is_this_machine(target: Target) -> bool:
    return target.arch == machine_arch() and target.libc in (None, _own_libc())


def _own_libc() -> str:
    try:
        return "glibc" if os.confstr("CS_GNU_LIBC_VERSION") else "musl"
    except (ValueError, OSError):
        return "musl"


def _triplet(target: Target) -> str:
    processor = target.arch.partition("-")[2]
    libc = "musl" if target.libc == "musl" else "gnu"
    return _TRIPLETS.get(processor, f"{processor}-linux-{{libc}}").format(libc=libc)


def _cross_compiler(target: Target, config: Config) -> str | None:
    path = config.environment.get("PATH")
    names = [f"{_triplet(target)}-gcc"]
    if target.libc == "musl" and target.arch == machine_arch():
        names.append("musl-gcc")
    return next((name for name in names if shutil.which(name, path=path)), None)
