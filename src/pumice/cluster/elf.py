"""What a shared object or program is for, from its ELF headers: the processor, and the C library it needs."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pumice.base.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Elf", "read_elf"]

_MACHINES = {
    3: "x86",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
}
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRTAB = 1, 5
_LIMIT = 4096


class Elf(Value):
    """An ELF file."""

    processor: str
    """In LuaRocks's words, as in a rock's file name; `unknown` for a rare one."""
    libc: str | None
    """`glibc` or `musl`; None when it needs no C library by name."""
    needed: tuple[str, ...] = ()


def read_elf(data: bytes) -> Elf | None:
    """What the file is for; None if it is no ELF file, or too damaged to tell."""
    if data[:4] != b"\x7fELF" or len(data) < 64:
        return None
    try:
        wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
        machine = struct.unpack_from(order + "H", data, 18)[0]
        processor = _MACHINES.get(machine, "unknown")
        if processor == "ppc64" and order == "<":
            processor = "ppc64le"
        needed = tuple(_needed(data, order, wide=wide))
    except (struct.error, ValueError, IndexError):
        return None
    libc = None
    for name in needed:
        if name.startswith("libc.musl-") or name == "libc.so":
            libc = "musl"
        elif name == "libc.so.6":
            libc = "glibc"
    return Elf(processor, libc, needed)


def _needed(data: bytes, order: str, *, wide: bool) -> Iterator[str]:
    at, size, count = (
        (_read(data, order, "Q", 32), *struct.unpack_from(order + "HH", data, 54))
        if wide
        else (_read(data, order, "I", 28), *struct.unpack_from(order + "HH", data, 42))
    )
    loads: list[tuple[int, int, int]] = []
    dynamic = (0, 0)
    for number in range(min(count, _LIMIT)):
        header = at + number * size
        kind = _read(data, order, "I", header)
        if wide:
            offset, address, length = (_read(data, order, "Q", header + each) for each in (8, 16, 32))
        else:
            offset, address, length = (_read(data, order, "I", header + each) for each in (4, 8, 16))
        if kind == _LOAD:
            loads.append((address, offset, length))
        elif kind == _DYNAMIC:
            dynamic = (offset, length)
    entry, form = (16, "qQ") if wide else (8, "iI")
    names: list[int] = []
    table = None
    for place in range(dynamic[0], dynamic[0] + min(dynamic[1], _LIMIT * entry), entry):
        tag, value = struct.unpack_from(order + form, data, place)
        if tag == 0:
            break
        if tag == _NEEDED:
            names.append(value)
        elif tag == _STRTAB:
            table = next(
                (
                    value - start + offset
                    for start, offset, length in loads
                    if start <= value < start + length
                ),
                None,
            )
    if table is None:
        return
    for name in names:
        end = data.index(b"\0", table + name)
        yield data[table + name : end].decode("utf-8", "replace")


def _read(data: bytes, order: str, form: str, at: int) -> int:
    value: int = struct.unpack_from(order + form, data, at)[0]
    return value
