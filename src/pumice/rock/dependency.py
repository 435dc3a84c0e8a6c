"""`Dependency`: what one dependency string asks for (LuaRocks contract 2.4)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import VersionError
from pumice.rock.constraint import Constraint, format_constraints, matches, parse_constraints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.rock.version import Version

__all__ = ["Dependency", "is_dependency_text", "parse_dependency", "split_namespace"]

_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_LUA_SPACE = " \t\n\v\f\r"


class Dependency(Value):
    """A rock by name, with the conditions on its version."""

    name: str
    """Lower case, without the namespace."""
    namespace: str | None
    constraints: tuple[Constraint, ...]
    text: str
    """As written."""

    @property
    def full_name(self) -> str:
        """`namespace/name`, or the name alone."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def accepts(self, version: Version | str) -> bool:
        """Whether a rock of this version fulfils the constraints; name and namespace are not looked at."""
        return matches(version, self.constraints)

    def __str__(self) -> str:
        written = format_constraints(self.constraints)
        return f"{self.full_name} {written}" if written else self.full_name


_parsed: dict[str, Dependency] = {}
_REMEMBERED = 20_000


def parse_dependency(text: str) -> Dependency:
    """The dependency that `text` writes; what follows a second `/` is dropped, as LuaRocks does.

    Raises VersionError with LuaRocks's words when there is no name, or a constraint does not parse.
    """
    known = _parsed.get(text)
    if known is not None:
        return known
    name_end, start = _name_span(text)
    if name_end == start:
        raise VersionError(
            f"failed to extract dependency name from '{text}'",
            hint="a dependency is a rock's name and constraints, such as 'penlight >= 1.5'",
        )
    rest = text[name_end:].lstrip(_LUA_SPACE)
    slash = rest.find("/")
    if slash >= 0:
        rest = rest[:slash]
    name, namespace = split_namespace(text[start:name_end].lower())
    dependency = Dependency(name, namespace, parse_constraints(rest), text)
    if len(_parsed) >= _REMEMBERED:
        _parsed.clear()
    _parsed[text] = dependency
    return dependency


def is_dependency_text(text: str, *, namespaces: bool = True) -> bool:
    """Whether a rockspec may write `text` as a dependency: the pattern that its format demands.

    Formats before 3.0 know no `namespaces`: no `/` at all, and a name that begins with a letter or digit.
    """
    if not namespaces:
        start = len(text) - len(text.lstrip(_LUA_SPACE))
        return start < len(text) and text[start] in _ALPHANUMERIC and "/" not in text
    name_end, start = _name_span(text)
    return name_end > start and "/" not in text[name_end:]


def split_namespace(name: str) -> tuple[str, str | None]:
    """`("name", "namespace")` of `namespace/name`, `(name, None)` of anything else."""
    namespace, slash, rest = name.partition("/")
    if slash and namespace and rest and "/" not in rest:
        return rest, namespace
    return name, None


def _name_span(text: str) -> tuple[int, int]:
    """(end, start) of the name, namespace included; both the same where there is none.

    LuaRocks's pattern, without back-tracking: a run of name characters with a letter or digit among them, or
    any run, a slash, and a run that begins with a letter or digit.
    """
    end = len(text)
    start = end - len(text.lstrip(_LUA_SPACE))
    place = start
    named = False
    while place < end and text[place] in _NAME_CHARACTERS:
        named = named or text[place] in _ALPHANUMERIC
        place += 1
    if place + 1 < end and text[place] == "/" and text[place + 1] in _ALPHANUMERIC:
        place += 2
        while place < end and text[place] in _NAME_CHARACTERS:
            place += 1
        return place, start
    return (place, start) if named else (start, start)
