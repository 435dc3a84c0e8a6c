"""The fields that a rockspec may have, by format, and LuaRocks's words for others (contract 2.2)."""

from __future__ import annotations

from pumice.rock.dependency import is_dependency_text
from pumice.rock.version import parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pumice.lua.data import LuaTable, LuaValue

__all__ = ["FORMATS", "check_rockspec_table"]

FORMATS = ("1.0", "1.1", "3.0", "3.1")
"""Every rockspec format there is, oldest first."""

_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.")


class _Field:
    """What one field may hold: a string, a boolean, or a table of other fields."""

    __slots__ = ("accepts", "expected", "fields", "kind", "mandatory", "more", "others")

    def __init__(
        self,
        kind: str = "table",
        *,
        mandatory: bool = False,
        accepts: Callable[[str], bool] | None = None,
        expected: str = "",
        fields: Mapping[str, _Field] | None = None,
        others: _Field | None = None,
        more: bool = False,
    ) -> None:
        self.kind = kind
        self.mandatory = mandatory
        self.accepts = accepts
        """Strings only: whether the text is a valid one; `expected` is how LuaRocks names those."""
        self.expected = expected
        self.fields = fields or {}
        """Tables only: the known fields; `others` is the shape of every other one, `more` lets any be."""
        self.others = others
        self.more = more


_STRING = _Field("string")
_ANY_TABLE = _Field(more=True)
_STRINGS = _Field(others=_STRING)


def _with_platforms(
    fields: Mapping[str, _Field] | None = None,
    *,
    mandatory: bool = False,
    others: _Field | None = None,
    more: bool = False,
) -> _Field:
    """A table whose `platforms` field maps names to tables of its own shape, mandatory fields included."""
    inner = fields or {}
    platforms = _Field(others=_Field(fields=inner, others=others, more=more))
    return _Field(mandatory=mandatory, fields={**inner, "platforms": platforms}, others=others, more=more)


def _is_rock_version(text: str) -> bool:
    upstream, dash, revision = text.partition("-")
    return bool(
        dash and upstream and _WORD.issuperset(upstream) and revision.isdigit() and revision.isascii()
    )


def _dependencies(namespaces: bool) -> _Field:
    def accepts(text: str) -> bool:
        return is_dependency_text(text, namespaces=namespaces)

    return _with_platforms(others=_Field("string", accepts=accepts, expected="a valid dependency string"))


def _strings(*names: str) -> dict[str, _Field]:
    return dict.fromkeys(names, _STRING)


def _make_schema(rockspec_format: str) -> _Field:
    modern = FORMATS.index(rockspec_format) >= FORMATS.index("3.0")
    description = _strings("summary", "detailed", "homepage", "license", "maintainer")
    if modern:
        description["labels"] = _STRINGS
        description["issues_url"] = _STRING
    source = {
        "url": _Field("string", mandatory=True),
        **_strings("md5", "file", "dir", "tag", "branch", "module", "cvs_tag", "cvs_module"),
    }
    build = {
        "type": _STRING,
        "install": _Field(fields=dict.fromkeys(("lua", "lib", "conf", "bin"), _ANY_TABLE)),
        "copy_directories": _STRINGS,
    }
    fields = {
        "rockspec_format": _STRING,
        "package": _Field("string", mandatory=True),
        "version": _Field("string", mandatory=True, accepts=_is_rock_version, expected="'[%w.]+-[%d]+'"),
        "description": _Field(fields=description),
        "dependencies": _dependencies(namespaces=modern),
        "supported_platforms": _STRINGS,
        "external_dependencies": _with_platforms(
            others=_Field(fields=_strings("program", "header", "library"))
        ),
        "source": _with_platforms(source, mandatory=True),
        "build": _with_platforms(build, mandatory=not modern, more=True),
        "hooks": _with_platforms(_strings("post_install")),
    }
    if rockspec_format != "1.0":
        fields["deploy"] = _Field(fields={"wrap_bin_scripts": _Field("boolean")})
    if modern:
        fields["build_dependencies"] = _dependencies(namespaces=True)
        fields["test_dependencies"] = _dependencies(namespaces=True)
        fields["test"] = _with_platforms(_strings("type"), more=True)
    return _Field(fields=fields)


_schemas: dict[str, _Field] = {}


def check_rockspec_table(
    table: LuaTable, undefined: Iterable[str] = (), *, accept_unknown_fields: bool = False
) -> str | None:
    """None if LuaRocks accepts the globals of a rockspec, else why not, in its words.

    `undefined` are the names that were read but never set: none may be but a field's. Nothing is changed.
    """
    rockspec_format = table.get("rockspec_format", "1.0")
    if not isinstance(rockspec_format, str):
        return f"Type mismatch on field rockspec_format: expected a string, got {_type(rockspec_format)}"
    if parse_version(FORMATS[-1]) < parse_version(rockspec_format):
        return f"Rockspec format {rockspec_format} is not supported, please upgrade LuaRocks."
    names = tuple(undefined)
    problem = _check_format(rockspec_format, table, names, accept_unknown_fields)
    if problem is None:
        return None
    if rockspec_format in FORMATS:
        for later in FORMATS[FORMATS.index(rockspec_format) + 1 :]:
            if _check_format(later, table, names, accept_unknown_fields) is None:
                return (
                    f"{problem} (using rockspec format {rockspec_format} -- "
                    f"adding 'rockspec_format = \"{later}\"' to the rockspec will fix this)"
                )
    return f"{problem} (using rockspec format {rockspec_format})"


def _check_format(
    rockspec_format: str, table: LuaTable, undefined: tuple[str, ...], accept_unknown_fields: bool
) -> str | None:
    schema = _schemas.get(rockspec_format)
    if schema is None:
        if rockspec_format not in FORMATS:
            return f"unknown rockspec format {rockspec_format}"
        schema = _schemas[rockspec_format] = _make_schema(rockspec_format)
    unknown = [name for name in undefined if name not in schema.fields]
    if unknown:
        return f"Unknown variable{'s' if len(unknown) > 1 else ''}: {', '.join(unknown)}"
    return _check_table(table, schema, "", accept_unknown_fields)


def _check_table(table: LuaTable, schema: _Field, context: str, accept_unknown_fields: bool) -> str | None:
    fields = schema.fields
    for key, value in table.items():
        field = fields.get(key, schema.others) if isinstance(key, str) else schema.others
        if field is None:
            if not schema.more and not accept_unknown_fields:
                return f"Unknown field {_shown(key)}"
            continue
        kind = field.kind
        if kind == "string":
            if isinstance(value, str):
                if field.accepts is None or field.accepts(value):
                    continue
                where = _path(context, key)
                return (
                    f"Type mismatch on field {where}: invalid value '{value}' does not match {field.expected}"
                )
            return f"Type mismatch on field {_path(context, key)}: expected a string, got {_type(value)}"
        if kind == "table":
            if not isinstance(value, dict):
                return f"Type mismatch on field {_path(context, key)}: expected a table"
            # A table of which nothing is demanded needs no look inside.
            if field is not _ANY_TABLE:
                problem = _check_table(value, field, _path(context, key), accept_unknown_fields)
                if problem is not None:
                    return problem
        elif not isinstance(value, bool):
            return f"Type mismatch on field {_path(context, key)}: expected {kind}"
    for name, field in fields.items():
        if field.mandatory and name not in table:
            return f"Mandatory field {_path(context, name)} is missing."
    return None


def _path(context: str, key: object) -> str:
    if not context:
        return _shown(key)
    return f"{context}.{key}" if isinstance(key, str) else f"{context}[{_shown(key)}]"


def _shown(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


def _type(value: LuaValue) -> str:
    from pumice.lua.data import lua_type

    return lua_type(value)
