"""`Gateway`: a version and edition of Kong, and what is known of it; what is not known is None, no guess.

Sources, all public: the module lists in the gateway's own rockspecs (`tables/kong-modules.txt`); its
changelogs (3.0: base_plugin, `legacy`, `shorthands`, 0.x schemas and hash tables of daos went, PRIORITY and
VERSION became mandatory; 3.2: `instance_name`; 3.5: `configure`, type `json`); its metaschema and typedefs at
two points (before 2.8; between 3.5 and 3.7); its pull requests 12686, 13604 and 14477 (`deprecation`,
`translate_backwards`); and the Kong contract (3.9.3 as seen). Where two sources leave versions between them
open, a `Span` says so. Kong Enterprise is not public: it is taken to have what the open-source gateway of its
version has, and the few names that its documentation adds; of its versions after 3.9 nothing is known to have
gone.
"""

from __future__ import annotations

import os

from pumice.base.value import Value
from pumice.kong.provided import KONG_VERSIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EDITIONS", "ENTERPRISE_VERSIONS", "NEWEST", "Gateway"]

EDITIONS = ("oss", "enterprise")
ENTERPRISE_VERSIONS = (*KONG_VERSIONS, "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
"""The versions that Kong's documentation speaks of; the open-source line ends with `KONG_VERSIONS`."""

_PATCH = {"2.8": 1, "3.2": 2, "3.4": 2, "3.6": 1, "3.7": 1, "3.9": 3}
"""The newest patch of a version whose files were seen; 0 for the others."""


class Span(Value):
    """When something was there: from `since`, to before `until`; from `unknown` to `since` nobody knows."""

    since: str = ""
    unknown: str = ""
    until: str = ""
    gone: str = ""
    """From `until` to `gone` nobody knows."""


_TYPEDEFS: Mapping[str, Span] = {
    "capability": Span("3.9", "3.0"),
    "cookie_name": Span("3.6", "3.0"),
    "jwk": Span("3.6", "3.1"),
    "paths": Span(until="3.0", gone="3.3"),
    "pem": Span("3.6", "3.1"),
    "propagation": Span("3.9", "3.7"),
    "queue": Span("3.6", "3.3"),
    "redis_host": Span("3.6", "3.0"),
    "redis_server_name": Span("3.6", "3.0"),
    "router_path": Span("3.6", "3.0"),
    "router_paths": Span("3.6", "3.0"),
    "ttl": Span("3.6", "3.0"),
}
"""Typedefs that not every version has."""
_ENTERPRISE_TYPEDEFS = ("no_consumer_group", "protocols_http_and_ws")
_ATTRIBUTES: Mapping[str, Span] = {
    "deprecation": Span("3.7"),
    "description": Span("3.5", "3.2"),
    "examples": Span("3.7", "3.0"),
    "json_schema": Span("3.5"),
    "legacy": Span(until="3.0"),
    "replaced_with": Span("3.9", "3.8"),
    "shorthands": Span(until="3.0"),
    "transient": Span("3.9", "3.0"),
    "translate_backwards": Span("3.6", "3.0", until="3.9"),
}
"""Attributes of schemas and their fields that not every version knows."""
_PARENT_FIELDS: Mapping[str, Span] = {"instance_name": Span("3.2")}
_ENTERPRISE_FIELDS: Mapping[str, Span] = {
    "consumer_group": Span("3.4", "3.0"),
    "ordering": Span("", ""),
    "condition": Span("", ""),
    "partials": Span("", ""),
}
"""Fields of the plugin entity that Enterprise adds; all but the first: since when is not known."""
_LIBRARIES: Mapping[str, Span] = {
    "cassandra": Span(until="3.4"),
    "resty.ada": Span("3.9"),
    "resty.aws": Span("3.5"),
    "resty.gcp": Span("3.8"),
    "resty.ljsonschema": Span("3.5"),
    "resty.mlcache": Span(until="3.4"),
    "resty.snappy": Span("3.7"),
    "resty.timerng": Span("3.0"),
}
"""Modules of rocks that some versions name among their dependencies and others do not (`provided`)."""


class Gateway(Value):
    """`Gateway("3.9", "oss")`: what a plugin finds there."""

    version: str
    """Major and minor, such as `3.9`."""
    edition: str = "oss"

    @property
    def label(self) -> str:
        """`kong@3.9`."""
        return f"kong@{self.version}"

    @property
    def full_version(self) -> str:
        """With the newest patch that was seen."""
        return f"{self.version}.{_PATCH.get(self.version, 0)}"

    @property
    def is_enterprise(self) -> bool:
        """Whether it is Kong Enterprise, of which only the documentation is public."""
        return self.edition == "enterprise"

    def at_least(self, version: str) -> bool:
        """Whether it is that version or a later one."""
        return _key(self.version) >= _key(version)

    def has_typedef(self, name: str) -> bool | None:
        """Whether `kong.db.schema.typedefs` has a definition of that name, if Kong ever had one."""
        if name in _ENTERPRISE_TYPEDEFS:
            return self.is_enterprise
        return self._has(_TYPEDEFS.get(name, Span()))

    def has_attribute(self, name: str) -> bool | None:
        """Whether the metaschema knows an attribute, if Kong ever knew it."""
        return self._has(_ATTRIBUTES.get(name, Span()))

    def has_parent_field(self, name: str) -> bool | None:
        """Whether the plugin entity has a field, if Kong ever had it; Enterprise has more."""
        if name in _ENTERPRISE_FIELDS:
            return self._has(_ENTERPRISE_FIELDS[name]) if self.is_enterprise else False
        return self._has(_PARENT_FIELDS.get(name, Span()))

    def has_entity(self, name: str) -> bool | None:
        """Whether a foreign field may refer to an entity; what only Enterprise may have is not known."""
        if f"kong.db.schema.entities.{name}" in self.modules and name != "routes_subschemas":
            return True
        return None if self.is_enterprise else False

    def calls_phase(self, phase: str) -> bool:
        """Whether it calls this phase of a handler."""
        if phase.startswith("ws_"):
            return self.is_enterprise
        # the documentation of Enterprise 3.4 has it, the open-source changelog of 3.5
        return phase != "configure" or self.at_least("3.4" if self.is_enterprise else "3.5")

    @property
    def demands_version(self) -> bool:
        """Whether a handler must have PRIORITY and VERSION, and daos be a list."""
        return self.at_least("3.0")

    @property
    def modules(self) -> frozenset[str]:
        """Every Lua module below `kong` that the open-source gateway of this version has."""
        return _modules_of(self.version if self.version in KONG_VERSIONS else KONG_VERSIONS[-1])

    @property
    def bundled(self) -> frozenset[str]:
        """The plugins that it brings."""
        return frozenset(
            name.removeprefix("kong.plugins.").removesuffix(".handler")
            for name in self.modules
            if name.startswith("kong.plugins.") and name.endswith(".handler")
        )

    def has_module(self, module: str) -> bool | None:
        """Whether it has a module below `kong` (None: Enterprise may have its own)."""
        name = module.removesuffix(".init")
        if name in self.modules:
            return True
        if not self.is_enterprise:
            return False
        gone = name in _spans()
        return False if gone and self.version in KONG_VERSIONS else None

    @property
    def gone_modules(self) -> tuple[str, ...]:
        """Modules below `kong` that are known of other versions and that this one does not have."""
        if self.version not in KONG_VERSIONS:
            return ()
        return tuple(name for name in _spans() if name not in self.modules)

    @property
    def absent_typedefs(self) -> tuple[str, ...]:
        """Typedefs that only others have."""
        names = (*_TYPEDEFS, *_ENTERPRISE_TYPEDEFS)
        return tuple(name for name in names if self.has_typedef(name) is False)

    @property
    def absent_libraries(self) -> tuple[str, ...]:
        """Libraries that only other versions bring."""
        return tuple(name for name, span in _LIBRARIES.items() if self._has(span) is False)

    def when(self, module: str) -> str:
        """Why it lacks a module below `kong`: `came with Kong 3.6`, `went with Kong 3.0`; "" for no idea."""
        span = _spans().get(module.removesuffix(".init"))
        if span is None:
            return ""
        if span.since and not self.at_least(span.since):
            return f"came with Kong {span.since}"
        # the list begins with 2.8: what went before has no version
        return f"went with Kong {span.until}" if span.until != KONG_VERSIONS[0] else "went before Kong 2.8"

    def _has(self, span: Span) -> bool | None:
        if span.until and self.at_least(span.until):
            if span.gone and not self.at_least(span.gone):
                return None
            return False if self.version in KONG_VERSIONS else None
        if not span.since or self.at_least(span.since):
            return True
        return None if span.unknown and self.at_least(span.unknown) else False


NEWEST = Gateway(KONG_VERSIONS[-1])
"""What is checked for when nobody says otherwise: the newest open-source gateway."""

_TABLE: dict[str, Span] = {}
_BY_VERSION: dict[str, frozenset[str]] = {}


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _spans() -> Mapping[str, Span]:
    """Every module of the table, with its versions."""
    if not _TABLE:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tables", "kong-modules.txt")
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        span = Span()
        for line in lines:
            if line.startswith("> "):
                since, until = (text.strip("-") for text in line[2:].split())
                span = Span(since, until=until)
            elif not line.startswith("#"):
                _TABLE[line] = span
    return _TABLE


def _modules_of(version: str) -> frozenset[str]:
    if version not in _BY_VERSION:
        here = _key(version)
        _BY_VERSION[version] = frozenset(
            name
            for name, span in _spans().items()
            if (not span.since or here >= _key(span.since)) and (not span.until or here < _key(span.until))
        )
    return _BY_VERSION[version]
