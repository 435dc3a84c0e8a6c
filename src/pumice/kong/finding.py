"""`Finding`: one thing that a check has to say, with a stable code (a page each under docs/checks/)."""

from __future__ import annotations

from pumice.base.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Severity = Literal["error", "warning", "note"]

__all__ = ["CODES", "Finding", "finding"]

CODES: Mapping[str, Severity] = {
    # the package
    "unreadable": "error",
    "rockspec-lint": "error",
    "file-missing": "error",
    "file-outside": "error",
    "file-unreadable": "warning",
    "lua-syntax": "error",
    # pumice.toml
    "silence-invalid": "error",
    "silence-reason": "warning",
    "silence-unused": "warning",
    # the plugin as a whole
    "plugin-absent": "warning",
    "handler-missing": "error",
    "schema-missing": "error",
    "name-package": "warning",
    "name-schema": "warning",
    "name-portable": "warning",
    "name-bundled": "warning",
    "module-unlisted": "warning",
    "module-required-unlisted": "error",
    "module-missing": "error",
    "module-absent": "warning",
    "module-assumed": "note",
    "module-removed": "warning",
    "module-internal": "warning",
    "module-shadows": "warning",
    "code-blocking": "warning",
    "code-global": "warning",
    # what the rock brings
    "source-dead": "warning",
    "source-private": "warning",
    "source-mutable": "warning",
    "source-drift": "warning",
    "lua-excluded": "error",
    "dependency-collides": "warning",
    "secret-shipped": "warning",
    "size-channel": "warning",
    # loading it
    "load-error": "error",
    "load-exit": "error",
    "load-effect": "warning",
    "load-limit": "error",
    "load-global": "warning",
    "load-unknown": "note",
    # the handler
    "handler-type": "error",
    "handler-priority": "error",
    "handler-version": "error",
    "handler-version-short": "warning",
    "handler-response": "error",
    "handler-phase": "warning",
    "handler-phase-version": "warning",
    "handler-leftover": "warning",
    "handler-useless": "warning",
    "version-drift": "warning",
    # the schema
    "schema-type": "error",
    "schema-name": "error",
    "schema-fields": "error",
    "schema-config": "error",
    "schema-field": "error",
    "schema-check": "warning",
    "schema-duplicate": "warning",
    "schema-never": "warning",
    "schema-useless": "warning",
    # entities and endpoints
    "daos-shape": "error",
    "daos-entity": "error",
    "daos-core": "warning",
    "daos-migrations": "warning",
    "migrations-shape": "error",
    "migrations-ignored": "warning",
    "api-broken": "warning",
    # what a channel takes
    "channel-name": "error",
    "channel-identity": "error",
    "channel-modules": "error",
    "channel-entities": "error",
    "channel-needs": "error",
    "channel-rocks": "warning",
    "channel-directory": "note",
    "channel-phase": "error",
    "channel-timer": "error",
    "channel-filesystem": "error",
    "channel-socket": "error",
    "channel-require": "error",
    "channel-sandbox": "warning",
    "channel-size": "error",
    "channel-version": "error",
    "channel-self-managed": "warning",
    "channel-flag": "note",
    "channel-text": "error",
    "schema-require": "error",
    "schema-typedefs": "warning",
    "schema-vararg": "error",
    "size-apply": "warning",
    "size-schema": "warning",
}
"""Every code with its severity. "error": Kong (or LuaRocks) would refuse, or a request could never succeed;
"warning": it loads but is wrong or useless; "note": what the check could not know."""


class Finding(Value):
    """What is wrong, what Kong would say, where, and what to do next."""

    code: str
    severity: Severity
    message: str
    kong: str = ""
    """Kong's own words, where Kong says something."""
    file: str | None = None
    """Relative to the package."""
    line: int | None = None
    hint: str = ""
    targets: tuple[str, ...] = ()
    """The targets that it holds for, where not for all that were asked for."""

    @property
    def is_error(self) -> bool:
        """Whether this finding makes the check fail."""
        return self.severity == "error"

    def as_json(self) -> dict[str, str | int | list[str] | None]:
        """The object that `check --json` prints."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "kong": self.kong,
            "file": self.file,
            "line": self.line,
            "hint": self.hint,
            "for": list(self.targets),
        }


def finding(
    code: str,
    message: str,
    *,
    kong: str = "",
    file: str | None = None,
    line: int | None = None,
    hint: str = "",
) -> Finding:
    """A finding with the severity that its code has."""
    return Finding(code, CODES[code], message, kong, file, line, hint)
