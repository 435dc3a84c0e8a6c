"""`Rock`: a rockspec plus its files by section. The one noun of the house: it does not know where it lies."""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.rock.content import Content
    from pumice.rock.rockspec import Rockspec

__all__ = ["Rock", "RockFile"]


class RockFile(Value):
    """One file of a rock, below its section (LuaRocks contract 4 and 5.1)."""

    section: str
    """`lua`, `lib`, `bin`, `conf`, `doc`, another copied directory; `""` for a file beside the rockspec."""
    path: str
    """Relative to the section, with `/`; validated: no `..`, no empty part, not absolute."""
    executable: bool
    """Deployed 0755 rather than 0644, before the umask."""
    md5: str
    """Lower-case hex, as in rock_manifest."""
    size: int
    content: Content

    @property
    def rock_path(self) -> str:
        """The path inside the rock: `lua/a/b.lua`."""
        return f"{self.section}/{self.path}" if self.section else self.path


class Rock(Value):
    """A rock, complete. The rockspec and rock_manifest are not among `files`; they are derived."""

    rockspec: Rockspec
    files: tuple[RockFile, ...]
    """Sorted by section and path; never the rockspec, rock_manifest or rock_namespace."""
    arch: str
    """`all`, or `linux-x86_64` and the like."""
    namespace: str | None = None
    directories: tuple[str, ...] = ()
    """Empty directories, by their path in the rock, sorted; outside of the sections that are deployed."""

    @property
    def name(self) -> str:
        """The lower-case name: directories, manifests and file names use it."""
        return self.rockspec.name

    @property
    def version(self) -> str:
        """Version with revision, as written: `1.0-1`."""
        return self.rockspec.version

    def section(self, name: str) -> tuple[RockFile, ...]:
        """The files of one section, sorted by path."""
        return tuple(file for file in self.files if file.section == name)
