"""What the index of a directory told before: versions whose files are the same need not be read again."""

from __future__ import annotations

from pumice.errors import DataError, PumiceError
from pumice.index.record import HEAD_FILE, facts_told, json_object, parse_head, record_path
from pumice.index.texts import Release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pumice.index.release import File

__all__ = ["Previous"]


class Previous:
    """The sparse records of a directory as they are now; asked in the order of names."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._template: str | None = None
        self._name = ""
        self._versions: dict[str, Any] = {}
        data = _contents(f"{directory}/{HEAD_FILE}")
        if data is not None:
            try:
                self._template = parse_head(data, directory).records
            except DataError:  # of another time or hand: everything is read anew
                pass

    def release(self, name: str, version: str, files: tuple[File, ...]) -> Release | None:
        """The version as it was told, if it had exactly these files and could be read."""
        if name != self._name:
            self._name, self._versions = name, self._told(name)
        told = self._versions.get(version)
        if not isinstance(told, dict) or "problem" in told:
            return None
        if told.get("files") != {file.arch: {"sha256": file.sha256, "size": file.size} for file in files}:
            return None
        what = f"the record of {name}"
        try:
            overrides = {
                platform: facts_told(told, [platform], what) for platform in told.get("overrides", {})
            }
            return Release(name, version, files, facts_told(told, (), what), overrides)
        except PumiceError:
            return None

    def _told(self, name: str) -> dict[str, Any]:
        if self._template is None:
            return {}
        data = _contents(f"{self._directory}/{record_path(self._template, name)}")
        if data is None:
            return {}
        try:
            versions = json_object(data, name).get("versions")
        except DataError:
            return {}
        return versions if isinstance(versions, dict) else {}


def _contents(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
