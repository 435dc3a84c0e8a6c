"""What a child tells of the modules that it loaded, read as coming from a stranger.

Plugin code runs in the child (`sandbox`), and a C module among it may write whatever it likes: what is not
exactly a report is none.
"""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Effect", "Job", "Loaded", "Member", "Opaque", "Outcome", "Required", "Write", "read_answer"]


class Job(Value):
    """One module to load, and what it is: `handler`, `schema`, `data` or `module`.

    A `scan` only reads it, a `call` calls a function of what it gives; `known` asks whether anybody has it.
    """

    kind: str
    module: str
    path: tuple[object, ...] = ()
    """Of a `call`: the keys that lead to the function in the module's value."""
    arguments: tuple[object, ...] = ()
    """Of a `call`, as `schema_functions` writes them."""


class Effect(Value):
    """Something that the code tried to do to the world while it loaded; it was refused."""

    call: str
    detail: str
    file: str | None
    line: int | None


class Required(Value):
    """A module that was asked for, where, and who had it: package, library, gateway, assumed or missing."""

    module: str
    origin: str
    path: str | None
    """The file that it was loaded from (package, library)."""
    file: str | None
    line: int | None


class Write(Value):
    """A name that a function makes global, found in its compiled code."""

    name: str
    line: int


class Member(Value):
    """A value in the handler: its Lua type, its text, and for a number whether it is a finite integer."""

    type: str
    text: str
    integral: bool = False


class Loaded(Value):
    """What became of one job."""

    job: Job
    error: str | None
    """Lua's message when the module failed to load."""
    type: str
    """The Lua type of what `require` gave (of the error, when it failed)."""
    value: object
    """A schema or data: its tables as dicts (arrays have keys 1…n), what is no data as `Opaque`."""
    priority: Member | None
    version: Member | None
    functions: tuple[str, ...]
    """A handler's function-valued members, sorted."""
    effects: tuple[Effect, ...]
    requires: tuple[Required, ...]
    globals: tuple[str, ...] = ()
    """Names that the code made global while it loaded, sorted."""
    writes: tuple[Write, ...] = ()
    """Of a `scan`: what its functions make global when they run."""
    values: tuple[object, ...] = ()
    """Of a `call`: what the function gave."""
    touched: str = ""
    """Of a `call`: what it asked that the stand-ins do not have; its values tell nothing then."""


class Opaque(Value):
    """A Lua value that is no data: `function`, `userdata`, `inert` (a stand-in), `cycle`, `more` (cut)."""

    kind: str
    name: str = ""
    """Of a function: the typedef whose validator it is."""
    path: tuple[object, ...] = ()
    """Of a function: the keys that lead to it. Where it lies makes it no other function."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not Opaque:
            return NotImplemented
        return (self.kind, self.name) == (other.kind, other.name)

    def __hash__(self) -> int:
        return hash((self.kind, self.name))


class Outcome(Value):
    """The jobs that came to an end, in order; and why the next one did not, if so."""

    loaded: tuple[Loaded, ...]
    failure: str | None
    """`time`, `memory`, or how the child died; the job after the last of `loaded` was running."""


def read_answer(answer: bytes, jobs: Sequence[Job]) -> tuple[Loaded, ...]:
    """The reports of the jobs that ended; anything else ends the list (a C module may write)."""
    import json

    loaded: list[Loaded] = []
    for job, line in zip(jobs, answer.split(b"\n"), strict=False):
        try:
            report = json.loads(line)
            loaded.append(_loaded(job, report))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            break
    return tuple(loaded)


def _loaded(job: Job, report: dict[str, object]) -> Loaded:
    value = report.get("value")
    handler = value if job.kind == "handler" and isinstance(value, dict) else {}
    functions = handler.get("functions", [])
    return Loaded(
        job=job,
        error=None if report["ok"] is True else _string(report.get("error")),
        type=_string(report["type"]),
        value=_lua_value(value) if job.kind in ("schema", "data") or value is False else None,
        priority=_member(handler.get("priority")),
        version=_member(handler.get("version")),
        functions=tuple(sorted(_string(name) for name in functions)),
        effects=tuple(
            Effect(_string(item["call"]), _string(item.get("detail", "")), *_where(item))
            for item in _records(report["effects"])
        ),
        requires=tuple(
            Required(
                _string(item["module"]),
                _string(item["from"]),
                _string(item["path"]) if "path" in item else None,
                *_where(item),
            )
            for item in _records(report["requires"])
        ),
        globals=tuple(sorted(_string(name) for name in _names(report.get("globals", [])))),
        writes=tuple(
            Write(_string(item["name"]), _integer(item["line"]))
            for item in _records(report.get("writes", []))
        ),
        values=tuple(_lua_value(item) for item in _names(report.get("values", []))),
        touched=_string(report.get("touched", "")),
    )


def _records(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TypeError("a list of records was expected")
    return value


def _names(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list of names was expected")
    return value


def _string(value: object) -> str:
    """A Lua string: its bytes came as code points below 256."""
    if not isinstance(value, str):
        raise TypeError("a string was expected")
    return value.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a number was expected")
    return value


def _where(item: dict[str, object]) -> tuple[str | None, int | None]:
    file, line = item.get("file"), item.get("line")
    return (_string(file) if file is not None else None, line if isinstance(line, int) else None)


def _member(value: object) -> Member | None:
    if not isinstance(value, dict):
        return None
    return Member(_string(value["type"]), _string(value["text"]), value.get("integral") is True)


def _lua_value(value: object, path: tuple[object, ...] = ()) -> object:
    """A dumped Lua value as Python data: see `Loaded.value`."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, dict):
        return value
    entries = value.get("t")
    if not isinstance(entries, list):
        kind = _string(value["$"])
        return Opaque(kind, _string(value.get("name", "")), path if kind == "function" else ())
    table: dict[object, object] = {}
    for entry, item in entries:
        key = _lua_key(entry)
        table[key] = _lua_value(item, (*path, key))
    return table


def _lua_key(key: object) -> object:
    """A key of a dumped table; tables cannot be keys here, and `true` must not be taken for 1."""
    value = _lua_value(key)
    if isinstance(value, bool):
        return Opaque("boolean")
    return Opaque("table") if isinstance(value, dict) else value
