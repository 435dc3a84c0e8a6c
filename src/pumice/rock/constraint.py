"""`Constraint`: one condition on a version, as it stands in a dependency (LuaRocks contract 2.4, 3.2)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import VersionError
from pumice.rock.version import Version, parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Constraint", "format_constraints", "matches", "parse_constraints"]

_OPERATORS = {
    "": "==",
    "=": "==",
    "==": "==",
    "~=": "~=",
    "!=": "~=",
    "<": "<",
    ">": ">",
    "<=": "<=",
    ">=": ">=",
    "~>": "~>",
}
_VERSION_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
_OPERATOR_CHARACTERS = "<>=~!"
_LUA_SPACE = " \t\n\v\f\r"
_HINT = "a constraint is one of == ~= < > <= >= ~> and a version, such as '>= 1.0, < 2.0'"


class Constraint(Value):
    """An operator and a version. Equal to those written alike, but for how `op` is spelt."""

    op: str
    """`==`, `~=`, `<`, `>`, `<=`, `>=` or `~>`."""
    version: Version
    no_upgrade: bool = False
    """A leading `@`; LuaRocks stores it, and nothing follows from it."""

    def accepts(self, version: Version) -> bool:
        """Whether `version` fulfils this constraint in LuaRocks's order."""
        op = self.op
        if op == ">=":
            return not version < self.version
        if op == "<":
            return version < self.version
        if op == "==":
            return version == self.version
        if op == "~>":
            return version.starts_with(self.version)
        if op == ">":
            return self.version < version
        if op == "<=":
            return not self.version < version
        return version != self.version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constraint):
            return NotImplemented
        return (self.op, self.version.text, self.no_upgrade) == (
            other.op,
            other.version.text,
            other.no_upgrade,
        )

    def __hash__(self) -> int:
        return hash((self.op, self.version.text, self.no_upgrade))

    def __str__(self) -> str:
        return self.version.text if self.op == "==" else f"{self.op} {self.version.text}"


_parsed: dict[str, tuple[Constraint, ...]] = {"": ()}
_REMEMBERED = 20_000


def parse_constraints(text: str) -> tuple[Constraint, ...]:
    """The constraints of `text`, divided by commas or blanks, all of which must hold.

    Raises VersionError with LuaRocks's words when an operator or version is not one.
    """
    known = _parsed.get(text)
    if known is not None:
        return known
    constraints: list[Constraint] = []
    place, end = 0, len(text)
    while place < end:
        start = place
        no_upgrade = text[place] == "@"
        if no_upgrade:
            place += 1
        op_start = place
        while place < end and text[place] in _OPERATOR_CHARACTERS:
            place += 1
        op = text[op_start:place]
        while place < end and text[place] in _LUA_SPACE:
            place += 1
        version_start = place
        while place < end and text[place] in _VERSION_CHARACTERS:
            place += 1
        known_op = _OPERATORS.get(op)
        if known_op is None or place == version_start:
            # Without a version LuaRocks's pattern captures no operator either, and so it says 'nil'.
            shown = "nil" if place == version_start else op
            raise VersionError(
                f"Failed to parse constraint '{text}' with error: "
                f"Encountered bad constraint operator: '{shown}' in '{text[start:]}'",
                hint=_HINT,
            )
        constraints.append(Constraint(known_op, parse_version(text[version_start:place]), no_upgrade))
        while place < end and (text[place] in _LUA_SPACE or text[place] == ","):
            place += 1
    if len(_parsed) >= _REMEMBERED:
        _parsed.clear()
    result = _parsed[text] = tuple(constraints)
    return result


def matches(version: Version | str, constraints: Iterable[Constraint]) -> bool:
    """Whether `version` fulfils every one of `constraints`; without any it does."""
    if isinstance(version, str):
        version = parse_version(version)
    return all(constraint.accepts(version) for constraint in constraints)


def format_constraints(constraints: Iterable[Constraint]) -> str:
    """The constraints as LuaRocks prints them: `1.0, >= 2.0`."""
    return ", ".join([str(constraint) for constraint in constraints])
