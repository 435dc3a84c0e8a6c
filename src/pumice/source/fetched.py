"""`FetchedSource`: the sources of a rock, here."""

from __future__ import annotations

from pumice.base.value import Value

__all__ = ["FetchedSource"]


class FetchedSource(Value):
    """What a source URL gave. Everything lies below the directory that the caller named."""

    dir: str | None
    """The source directory to build in; None if the archive was not to be unpacked."""
    archive_path: str | None
    """The file that came, as it came; None for a checkout."""
    checkout_dir: str | None
    """The whole checkout (`dir` may be deeper), or the copied directory; None for a file."""
    commit: str | None
    """The commit that was checked out, in full, where version control has such a thing."""
