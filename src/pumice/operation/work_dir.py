"""`WorkDir`: a private directory for one command, made only if something is put there."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from pumice.base.config import Config

__all__ = ["WorkDir"]


class WorkDir:
    """A context manager; `path` does not exist until `make` or its user makes it, and is gone afterwards."""

    def __init__(self, config: Config, purpose: str) -> None:
        parent = os.path.join(config.cwd, config.environment.get("TMPDIR") or "/tmp")
        if not os.path.isdir(parent):  # as every program does that knows TMPDIR; it is not ours to make
            parent = "/tmp"
        self.path = os.path.join(parent, f"pumice-{purpose}-{os.urandom(8).hex()}")

    def make(self, name: str = "") -> str:
        """The directory, or a new one inside it, readable by this user alone."""
        path = os.path.join(self.path, name) if name else self.path
        if not os.path.isdir(self.path):
            os.mkdir(self.path, 0o700)
        if name:
            os.mkdir(path, 0o700)
        return path

    def __enter__(self) -> WorkDir:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.path.lexists(self.path):
            from pumice.base.disk import remove_tree

            remove_tree(self.path)
