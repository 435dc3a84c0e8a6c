"""In which order a cluster can take another version of a plugin, if in any (Kong contract 4.9, 5.4).

A control plane sends nothing at all to a data plane whose version of a configured plugin has another major
number, or a minor number above its own. So upwards the control planes go first, downwards the data planes,
and across a major number there is no order. What a new schema asks for, `kong.schema_diff` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.base.value import Value
from pumice.kong.handler_rules import cleaned_version
from pumice.kong.schema_diff import ORDERS, schema_diff

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.cluster.node_content import PluginContent

__all__ = ["CONTROL_FIRST", "DATA_FIRST", "Verdict", "gateway_version", "judge"]

CONTROL_FIRST = "control planes first"
DATA_FIRST = "data planes first"
_ANY, _CONTROL, _WINDOW, _NEW_NAME = ORDERS
_NUMBERS = 3
"""Kong compares versions that have a major, a minor and a patch number, and no others."""


class Verdict(Value):
    """What one step of one plugin asks for."""

    order: str | None = None
    """`CONTROL_FIRST`, `DATA_FIRST`, or None where any order will do."""
    refusal: str = ""
    """Why no order is safe."""
    hint: str = ""
    warnings: tuple[str, ...] = ()


def gateway_version(plugin: PluginContent) -> str | None:
    """The version that a gateway answers with; None where it cannot be told from here."""
    return cleaned_version(plugin.version) if plugin.version is not None else None


def judge(
    before: PluginContent,
    after: PluginContent,
    *,
    hybrid: bool,
    nodes: int,
    configured: int | None,
    window: bool,
) -> Verdict:
    """What the step from one version to another asks of a cluster.

    `hybrid`: there are control planes and data planes; `nodes`: how many; `configured`: how many entities use
    the plugin (None: nobody could be asked); `window`: the operator has a maintenance window.
    """
    downwards = _is_lower(after, before)
    order = (DATA_FIRST if downwards else CONTROL_FIRST) if hybrid else None
    name = after.name
    if configured == 0:
        return Verdict(order)
    problems = [*_of_versions(before, after, hybrid), *_of_schemas(before, after, downwards)]
    warnings = [text for kind, text in problems if kind in (_ANY, _CONTROL)]
    serious = [(kind, text) for kind, text in problems if kind in (_WINDOW, _NEW_NAME)]
    if not serious:
        return Verdict(order, warnings=tuple(warnings))
    told = "; ".join(text for _, text in serious)
    users = "" if configured is None else f" ({_counted(configured, 'entity uses', 'entities use')} it)"
    if window or not hybrid or nodes < 2:
        return Verdict(order, warnings=(*warnings, f"{name}{users}: {told}."))
    return Verdict(
        order,
        refusal=f"No order is safe for {name}{users}: {told}.",
        hint=_way_out(name, any(kind == _NEW_NAME for kind, _ in serious)),
    )


def _way_out(name: str, renamed: bool) -> str:
    other = f"ship it under a new name ({name}-v2), move the entities, then remove {name}"
    if renamed:
        return f"Best: {other}. Or take the entities away first. --window goes on all the same."
    return (
        f"Either {other}; or, when data planes may keep their last configuration until the rollout is "
        "over, use --window."
    )


def _of_versions(before: PluginContent, after: PluginContent, hybrid: bool) -> Iterable[tuple[str, str]]:
    if not hybrid:
        return
    old, new = gateway_version(before), gateway_version(after)
    if old is None or new is None or old == new:
        return
    was, is_now = old.split("."), new.split(".")
    if len(was) < _NUMBERS or len(is_now) < _NUMBERS:
        yield _ANY, f"{after.name}: without three numbers in {old} and {new}, Kong compares no versions"
    elif was[0] != is_now[0]:
        told = "while they differ in the major number, control planes send no configuration to data planes"
        yield _WINDOW, f"from {old} to {new}, and {told}"


def _of_schemas(before: PluginContent, after: PluginContent, downwards: bool) -> Iterable[tuple[str, str]]:
    if before.schema is None or after.schema is None:
        return
    # Downwards the data planes get the old schema first: together with the new one on the control planes
    # that is the state which upwards comes first.
    old, new = (after.schema, before.schema) if downwards else (before.schema, after.schema)
    for change in schema_diff(old, new).changes:
        if change.order in (_WINDOW, _NEW_NAME):
            field = f"the field {change.path} " if change.path != "name" else ""
            yield change.order, f"{field}{change.reason}"


def _is_lower(one: PluginContent, other: PluginContent) -> bool:
    mine, its = gateway_version(one), gateway_version(other)
    if mine is None or its is None:
        return False
    return _numbers(mine) < _numbers(its)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
