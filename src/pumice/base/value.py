"""`Value`: frozen, slotted values without the import cost of `dataclasses` and `typing`.

Importing those two costs more than a whole `pumice list` may take (docs/dependencies.md), so the few
lines that Pumice needs of them stand here. Type checkers see an ordinary frozen dataclass.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda decorated: decorated


__all__ = ["Value"]


@dataclass_transform(frozen_default=True)
class _ValueType(type):
    """Turns the annotations of a class body into slots, and its assignments into defaults."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _ValueType:
        own = [field for field in namespace.get("__annotations__", ()) if not field.startswith("_")]
        defaults = {field: namespace.pop(field) for field in own if field in namespace}
        namespace["__slots__"] = tuple(own)
        made = super().__new__(mcs, name, bases, namespace)
        inherited: tuple[str, ...] = getattr(bases[0], "_fields", ()) if bases else ()
        made._fields = inherited + tuple(own)  # type: ignore[attr-defined]
        made._defaults = {**(getattr(bases[0], "_defaults", {}) if bases else {}), **defaults}  # type: ignore[attr-defined]
        return made


class Value(metaclass=_ValueType):
    """A frozen value: annotated fields in order, by position or by name; equal when all fields are.

    Subclasses need `from __future__ import annotations` and may give immutable defaults.
    """

    if TYPE_CHECKING:
        _fields: ClassVar[tuple[str, ...]]
        _defaults: ClassVar[dict[str, Any]]
    else:

        def __init__(self, *args, **named):
            fields = self._fields
            if len(args) > len(fields):
                raise TypeError(f"{type(self).__name__} takes {len(fields)} fields, not {len(args)}")
            put = object.__setattr__
            for field, value in zip(fields, args, strict=False):
                put(self, field, value)
            defaults = self._defaults
            for field in fields[len(args) :]:
                if field in named:
                    put(self, field, named.pop(field))
                elif field in defaults:
                    put(self, field, defaults[field])
                else:
                    raise TypeError(f"{type(self).__name__} lacks the field {field!r}")
            if named:
                raise TypeError(f"{type(self).__name__} has no field {next(iter(named))!r}, or has it twice")

    def __setattr__(self, field: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, field: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, field) == getattr(other, field) for field in self._fields)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, field) for field in self._fields)))

    def __repr__(self) -> str:
        inside = ", ".join(f"{field}={getattr(self, field)!r}" for field in self._fields)
        return f"{type(self).__name__}({inside})"

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), tuple(getattr(self, field) for field in self._fields)

    def replace(self, **changes: Any) -> Self:
        """The same value with some fields changed."""
        return type(self)(
            **{field: changes.pop(field, getattr(self, field)) for field in self._fields}, **changes
        )
