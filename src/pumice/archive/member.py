"""What an archive holds, and how much of it may be: the values that readers and writers share."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import ArchiveError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    Kind = Literal["file", "directory", "symlink"]

__all__ = ["Entry", "Limits", "Member", "refused", "shown"]

MEBIBYTE = 1 << 20


class Limits(Value):
    """How much an archive may hold: judged by the size that it declares first, and by the real one always."""

    member: int = 256 * MEBIBYTE
    total: int = 512 * MEBIBYTE
    count: int = 100_000


class Member(Value):
    """One member of an archive that was read; its name has been validated (`names.NameSet`)."""

    name: str
    """Relative, with `/`, without a trailing one."""
    kind: Kind
    size: int
    """Bytes of a file once unpacked; 0 for everything else."""
    executable: bool
    """A file whose author gave it an x bit."""
    target: str = ""
    """Where a symlink leads, as written; it stays inside the archive's own directory."""


class Entry(Value):
    """One file to be written into an archive; `read` is called once, when its turn has come."""

    name: str
    read: Callable[[], bytes]
    executable: bool = False


def refused(archive: str, reason: str) -> ArchiveError:
    """The error for an archive that is broken or hostile; `archive` is its path."""
    name = archive.rsplit("/", 1)[-1]
    return ArchiveError(
        f"{shown(name)} is refused: {reason}",
        hint="nothing of it is kept; get the file again from its author, or pack it anew",
    )


def shown(name: str) -> str:
    """A name out of an archive as it may be printed: quoted, no control characters, not endless."""
    text = name if name.isascii() and name.isprintable() else ascii(name)[1:-1]
    return f"'{text[:77]}...'" if len(text) > 80 else f"'{text}'"
