"""Names in archives: which are refused, alone and together.

The rule is the same for zip and tar, for reading and writing: every name must mean the same file to every
tool on every machine, below the directory that is unpacked into. So: relative, `/` only, no `.`, `..` or
empty part, no control characters, no drive letters or Windows device names, no two members that one file
system or another would take for one, and nothing beneath a file or a symlink.
"""

from __future__ import annotations

from pumice.archive.member import refused, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.archive.member import Kind

__all__ = ["NameSet", "name_problem"]

LONGEST_PART = 255
LONGEST_NAME = 1024
DEEPEST = 100

# Not AUX: real rocks have modules of that name (lua-resty-openssl, on which Kong itself depends).
_DEVICES = frozenset(
    ["CON", "PRN", "NUL", "CLOCK$", "CONIN$", "CONOUT$"]
    + [f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"]
)


def name_problem(name: str) -> str | None:
    """Why a member may not have this name, or None; `name` comes without a trailing `/`."""
    if not name:
        return "a member without a name"
    if name[0] == "/":
        return f"the member {shown(name)} has an absolute path"
    if "\\" in name:
        return f"the member {shown(name)} has a backslash in its name"
    if not name.isprintable() and _has_control(name):
        return f"the member {shown(name)} has a control character in its name"
    ascii_only = name.isascii()
    if len(name if ascii_only else name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
        return f"the member {shown(name)} has a path of more than {LONGEST_NAME} bytes"
    parts = name.split("/")
    if len(parts) > DEEPEST:
        return f"the member {shown(name)} lies more than {DEEPEST} directories deep"
    for part in parts:
        if part == "..":
            return f"the member {shown(name)} leads outside with '..'"
        if not part.strip(". "):
            return f"the member {shown(name)} has an empty part or '.' in its path"
        if part[1:2] == ":" and part[0].isascii() and part[0].isalpha():
            return f"the member {shown(name)} names a drive"
        if part.split(".", 1)[0].rstrip().upper() in _DEVICES:
            return f"the member {shown(name)} is a device on Windows"
        if len(part) > LONGEST_PART or (
            not ascii_only and len(part.encode("utf-8", "surrogateescape")) > LONGEST_PART
        ):
            return f"the member {shown(name)} has a part of more than {LONGEST_PART} bytes"
    return None


def _has_control(name: str) -> bool:
    """Whether a control character or line separator is in it; undecodable bytes and odd spaces are not."""
    return any(char < " " or "\x7f" <= char < "\xa0" or char in "\u2028\u2029" for char in name)


def _folded(name: str) -> str:
    """The name to a file system that knows no case, composes letters, and drops final dots and spaces."""
    if name.isascii():
        folded = name.lower()
    else:
        from unicodedata import normalize

        folded = normalize("NFC", normalize("NFC", name).casefold())
    if "./" in folded or " /" in folded or folded[-1] in ". ":
        folded = "/".join(part.rstrip(". ") for part in folded.split("/"))
    return folded


class NameSet:
    """The members of one archive, judged together while they are added; every refusal is an ArchiveError."""

    __slots__ = ("_archive", "_by_fold", "_declared", "_kinds")

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._kinds: dict[str, Kind] = {}
        self._declared: set[str] = set()
        self._by_fold: dict[str, str] = {}

    def add(self, name: str, kind: Kind) -> None:
        """One more member; refuses bad names, duplicates, collisions, and what lies beneath no directory."""
        problem = name_problem(name)
        if problem:
            raise refused(self._archive, problem)
        if name in self._declared:
            raise refused(self._archive, f"it has two members named {shown(name)}")
        self._declared.add(name)
        self._enter(name, kind)
        parent = name.rpartition("/")[0]
        while parent and self._kinds.get(parent) != "directory":
            self._enter(parent, "directory")
            parent = parent.rpartition("/")[0]

    def _enter(self, name: str, kind: Kind) -> None:
        known = self._kinds.setdefault(name, kind)
        if known != kind:
            raise refused(self._archive, f"its member {shown(name)} is a directory and something else, too")
        first = self._by_fold.setdefault(_folded(name), name)
        # Directories that differ by case only may be merged: nothing in them can take another's place.
        if first != name and not kind == self._kinds[first] == "directory":
            raise refused(
                self._archive,
                f"its members {shown(first)} and {shown(name)} are one where case or accents do not count",
            )

    def check_links(self, links: Mapping[str, str]) -> None:
        """Refuses symlinks (name: target) that lead outside, or through another symlink of the archive."""
        folded = {_folded(name) for name in links}
        for name, target in links.items():
            if not target or target[0] == "/" or "\\" in target or _has_control(target) or target[1:2] == ":":
                raise refused(self._archive, f"the symlink {shown(name)} leads to {shown(target)}")
            if len(target.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
                raise refused(self._archive, f"the symlink {shown(name)} leads too far")
            here = name.split("/")[:-1]
            for part in target.split("/"):
                # A path through another link would not be where its text says.
                if here and _folded("/".join(here)) in folded:
                    raise refused(self._archive, f"the symlink {shown(name)} leads through another symlink")
                if part == "..":
                    if not here:
                        raise refused(
                            self._archive, f"the symlink {shown(name)} leads outside, to {shown(target)}"
                        )
                    here.pop()
                elif part not in ("", "."):
                    here.append(part)
