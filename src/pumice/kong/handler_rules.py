"""What a gateway demands of a handler once it is loaded (Kong contract 1.3, 8, 8.1)."""

from __future__ import annotations

import re

from pumice.kong.finding import Finding, finding
from pumice.kong.kong_version import NEWEST
from pumice.kong.plugin import PHASES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pumice.kong.kong_version import Gateway
    from pumice.kong.loaded import Loaded

__all__ = ["cleaned_version", "handler_findings", "line_of", "phases_of", "version_findings"]


def handler_findings(
    plugin: str,
    loaded: Loaded,
    file: str,
    source: bytes,
    gateway: Gateway = NEWEST,
    *,
    scoped: bool = False,
) -> Iterator[Finding]:
    """What is wrong with a handler that was loaded without an error; `file` and `source` say where.

    `scoped`: the schema forbids a consumer, route or service, which Kong writes into the handler.
    """
    if loaded.type != "table":
        yield _type_finding(plugin, loaded, file, scoped)
        return
    if gateway.demands_version:
        yield from _number_findings(plugin, loaded, file, source)
    functions = set(loaded.functions)
    if "response" in functions and functions & {"header_filter", "body_filter"}:
        yield finding(
            "handler-response",
            f"'{plugin}' has the phase 'response' beside 'header_filter' or 'body_filter'",
            kong=f'Plugin "{plugin}" can\'t be loaded because it implements both `response` and '
            "`header_filter` or `body_filter` methods.",
            file=file,
            line=line_of(source, "response"),
            hint="do the work of both in one of them",
        )
    yield from _name_findings(plugin, functions, file, source, gateway)


def _type_finding(plugin: str, loaded: Loaded, file: str, scoped: bool) -> Finding:
    """What becomes of a handler that is no table (contract 8.1)."""
    hint = "end the file with 'return' and the table that has PRIORITY, VERSION and the phases"
    if loaded.type == "string" and not scoped:
        return finding(
            "handler-useless",
            f"the handler of '{plugin}' returns a string: the node starts, and no phase is ever called",
            file=file,
            hint=hint,
        )
    # `require` gives true for a module that returns nothing
    nothing = "false" if loaded.value is False else "nothing"
    what = nothing if loaded.type == "boolean" else f"a {loaded.type}"
    return finding(
        "handler-type",
        f"the handler of '{plugin}' returns {what}, not a table",
        kong=f"on plugin '{plugin}': nil" if loaded.value is False else "attempt to index local 'handler'",
        file=file,
        hint=hint,
    )


def _number_findings(plugin: str, loaded: Loaded, file: str, source: bytes) -> Iterator[Finding]:
    """What Kong 3 demands of PRIORITY and VERSION."""
    priority, version = loaded.priority, loaded.version
    if priority is None or priority.type != "number" or not priority.integral:
        got = priority.text if priority is not None else "nil"
        yield finding(
            "handler-priority",
            f"PRIORITY of '{plugin}' is {_described(got)}, and must be a whole number",
            kong=f'Plugin "{plugin}" cannot be loaded because its PRIORITY field is not a valid integer '
            f'number, got: "{got}".',
            file=file,
            line=line_of(source, "PRIORITY"),
            hint="set PRIORITY = 1000: plugins with a higher one run first",
        )
    if version is None or version.type != "string" or cleaned_version(version.text) is None:
        got = version.text if version is not None else "nil"
        yield finding(
            "handler-version",
            f"VERSION of '{plugin}' is {_described(got)}, and must be a string such as \"1.0.0\"",
            kong=f'Plugin "{plugin}" cannot be loaded because its VERSION field does not follow the "x.y.z" '
            f'format, got: "{got}".',
            file=file,
            line=line_of(source, "VERSION"),
            hint='set VERSION = "1.0.0"',
        )
    elif (cleaned_version(version.text) or "").count(".") != 2:
        yield finding(
            "handler-version-short",
            f"VERSION of '{plugin}' is \"{version.text}\": without three numbers a control plane "
            "cannot compare it with a data plane's",
            file=file,
            line=line_of(source, "VERSION"),
            hint='write all three, as in VERSION = "1.0.0"',
        )


def _name_findings(
    plugin: str, functions: set[str], file: str, source: bytes, gateway: Gateway
) -> Iterator[Finding]:
    """Functions that Kong will never call: misspelt phases, others' phases, and what BasePlugin wanted."""
    for phase in PHASES:
        if phase in functions and not gateway.calls_phase(phase):
            who = "only Kong Enterprise" if phase.startswith("ws_") else "no Kong before 3.5 (Enterprise 3.4)"
            yield finding(
                "handler-phase-version",
                f"'{plugin}' has the phase '{phase}', which {who} calls",
                file=file,
                line=line_of(source, phase),
                hint="do without it, or run the gateway that calls it",
            )
    for name in sorted(functions - set(PHASES)):
        meant = _meant(name)
        if meant is not None and meant not in functions:
            yield finding(
                "handler-phase",
                f"'{plugin}' has the function '{name}', which Kong never calls: no phase has that name",
                file=file,
                line=line_of(source, name),
                hint=f"if the phase is meant, call it '{meant}'",
            )
    left = sorted(functions & {"new", "super", "extend"})
    if left and gateway.demands_version:
        yield finding(
            "handler-leftover",
            f"'{plugin}' has the function '{left[0]}', which only BasePlugin wanted: Kong 3 never calls it",
            file=file,
            line=line_of(source, left[0]),
            hint="take it out: a handler is a plain table",
        )


def _meant(name: str) -> str | None:
    """The phase that a name was meant for, if it is one letter or the writing of its words away."""
    if name.startswith("_"):
        return None
    plain = name.lower().replace("_", "").replace("-", "")
    for phase in PHASES:
        wanted = phase.replace("_", "")
        if plain == wanted or (len(wanted) > 5 and _one_apart(plain, wanted)):
            return phase
    return None


def _one_apart(one: str, other: str) -> bool:
    """Whether one letter added, dropped, changed or swapped with its neighbour makes one of the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    a, b = one[start:], other[start:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or (a[1::-1] + a[2:] == b and len(a) > 1)


def version_findings(
    plugin: str, loaded: Loaded, rock_version: str, file: str, source: bytes
) -> Iterator[Finding]:
    """Whether the handler and the rockspec agree on the plugin's version (contract 3.1)."""
    released = rock_version.rpartition("-")[0]
    if loaded.version is not None and loaded.version.type == "string":
        cleaned = cleaned_version(loaded.version.text)
        # 0.1 beside 0.1.0 is told as a short version, not as another one
        same = (cleaned, loaded.version.text, f"{cleaned}.0", f"{cleaned}.0.0")
        if cleaned is not None and released not in same:
            yield finding(
                "version-drift",
                f"the handler of '{plugin}' says VERSION \"{loaded.version.text}\", the rockspec {released}",
                file=file,
                line=line_of(source, "VERSION"),
                hint="make them equal: a node tells the handler's, the rock is known by the other",
            )


def phases_of(loaded: Loaded) -> tuple[str, ...]:
    """The phases that a handler implements, in the order of a request."""
    return tuple(phase for phase in PHASES if phase in loaded.functions)


def cleaned_version(text: str) -> str | None:
    """What Kong makes of a VERSION: its first run of digits and dots, at most three numbers; None if refused.

    `v1.2.3-rc1` is 1.2.3, `0.1` stays 0.1, `1..2` and `1.2.3.4` are refused (contract 1.3, truth table).
    """
    run = re.search(r"[0-9][0-9.]*", text)
    if run is None:
        return None
    parts = run[0].removesuffix(".").split(".")
    if not all(parts) or len(parts) > 3:
        return None
    return ".".join(str(int(part)) for part in parts)


def line_of(source: bytes, word: str) -> int | None:
    """The first line that assigns to or defines `word`."""
    name = re.escape(word.encode("utf-8", "surrogateescape"))
    match = re.search(rb"\b" + name + rb"\s*=|\bfunction\b[^\n(]*[.:]" + name + rb"\s*\(", source)
    return source.count(b"\n", 0, match.start()) + 1 if match else None


def _described(text: str) -> str:
    return "not set" if text == "nil" else f"'{text}'"
