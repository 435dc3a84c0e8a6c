"""Findings that a project has silenced in its `pumice.toml`, each with the reason why.

    [check]
    silence = [{ code = "name-package", reason = "the name is older than the convention" }]

`path` narrows a silence to files (`*` stands for anything). A silence without a reason does nothing, and so
does one that nothing answers to: both are findings, so that the list stays true.

The same file may name the targets that the project is for, as `check --for` does:

    [check]
    for = ["kong@>=3.4", "enterprise"]
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.kong.finding import CODES, Finding, finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SETTINGS", "Silence", "Silenced", "apply_silences", "read_silences", "read_targets"]

SETTINGS = "pumice.toml"


class Silence(Value):
    """One entry of the list."""

    code: str
    reason: str
    path: str | None
    line: int | None
    """In `pumice.toml`, as far as it can be told."""


class Silenced(Value):
    """A finding that is not told, and why."""

    finding: Finding
    reason: str


def read_silences(data: bytes) -> tuple[tuple[Silence, ...], tuple[Finding, ...]]:
    """The silences of a `pumice.toml` that hold, and what is wrong with the others."""
    import tomllib

    text = data.decode("utf-8", "replace")
    try:
        settings = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return (), (_invalid(f"{SETTINGS} cannot be read: {error}", None),)
    section = settings.get("check", {})
    entries = section.get("silence", []) if isinstance(section, dict) else None
    if not isinstance(entries, list):
        return (), (_invalid("[check] silence is no list", _line(text, "silence")),)
    silences, problems = [], []
    for entry in entries:
        code = entry.get("code") if isinstance(entry, dict) else None
        if (
            not isinstance(entry, dict)
            or not isinstance(code, str)
            or set(entry) - {"code", "reason", "path"}
        ):
            problems.append(_invalid(f"a silence is not understood: {entry}", _line(text, "silence")))
            continue
        reason, path, line = entry.get("reason", ""), entry.get("path"), _line(text, f'"{code}"')
        if code not in CODES:
            problems.append(_invalid(f"'{code}' is the code of no finding", line))
        elif path is not None and not isinstance(path, str):
            problems.append(_invalid(f"the path of '{code}' is no string", line))
        elif not isinstance(reason, str) or not reason.strip():
            problems.append(
                finding(
                    "silence-reason",
                    f"'{code}' is silenced without a reason, and so it is not",
                    file=SETTINGS,
                    line=line,
                    hint='add reason = "…": who reads it next year will want to know',
                )
            )
        else:
            silences.append(Silence(code, reason.strip(), path, line))
    return tuple(silences), tuple(problems)


def read_targets(data: bytes) -> tuple[str, ...]:
    """The words of `[check] for` of a `pumice.toml`; nothing where it has none, or cannot be read."""
    import tomllib

    try:
        section = tomllib.loads(data.decode("utf-8", "replace")).get("check", {})
    except (tomllib.TOMLDecodeError, RecursionError):
        # the silences, which stand in the same file, tell of it
        return ()
    words = section.get("for", ()) if isinstance(section, dict) else ()
    return (words,) if isinstance(words, str) else tuple(str(word) for word in words)


def apply_silences(
    findings: Sequence[Finding], silences: Sequence[Silence]
) -> tuple[tuple[Finding, ...], tuple[Silenced, ...]]:
    """The findings that remain, silences that met nothing among them, and those that are silenced."""
    told: list[Finding] = []
    silenced: list[Silenced] = []
    met = set()
    for item in findings:
        silence = next((silence for silence in silences if _answers(item, silence)), None)
        if silence is None:
            told.append(item)
        else:
            met.add(silence)
            silenced.append(Silenced(item, silence.reason))
    told += [
        finding(
            "silence-unused",
            f"'{silence.code}' is silenced{f' in {silence.path}' if silence.path else ''}, and is not found",
            file=SETTINGS,
            line=silence.line,
            hint="take the silence out: it would hide the next one",
        )
        for silence in silences
        if silence not in met
    ]
    return tuple(told), tuple(silenced)


def _answers(item: Finding, silence: Silence) -> bool:
    if item.code != silence.code:
        return False
    if silence.path is None:
        return True
    import fnmatch

    return item.file is not None and fnmatch.fnmatchcase(item.file, silence.path)


def _invalid(message: str, line: int | None) -> Finding:
    return finding(
        "silence-invalid",
        message,
        file=SETTINGS,
        line=line,
        hint='write silence = [{ code = "…", reason = "…", path = "…" }], the path only where it is meant',
    )


def _line(text: str, word: str) -> int | None:
    place = text.find(word)
    return text.count("\n", 0, place) + 1 if place >= 0 else None
