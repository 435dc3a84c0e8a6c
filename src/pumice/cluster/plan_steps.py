"""What happens to one node, step by step, in the words of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.cluster.plan import Step

if TYPE_CHECKING:
    from pumice.cluster.planning import NodeInput

__all__ = ["steps_of"]


def steps_of(each: NodeInput, role: str, timeout: float) -> tuple[Step, ...]:
    """The steps of a node in words, as `steps.py` and `gates.py` carry them out."""
    node, facts = each.node, each.facts
    now = f"generation {facts.generation}" if facts.generation else "no generation"
    steps = [Step("mend", each.reason)] if each.reason else []
    if each.files or each.size:
        noun = "content" if each.files == 1 else "contents"
        what = f"{each.files} {noun} that the node lacks, {each.size:,} bytes with the list of files"
        steps.append(Step("stage", what, "what was staged is deleted"))
    if each.back:
        steps.append(Step("stage", each.back, "what was staged is deleted"))
    steps.append(Step("preflight", "`kong config parse` loads every enabled plugin from the new files"))
    lines = [_short(line, each) for edit in each.enabling.edits for line in edit.lines]
    edits = f"; {'; '.join(lines)}" if lines else ""
    if node.layout == "generations":
        what, undo = f"{now} → generation {each.target}{edits}", f"back to {now}"
    else:
        what, undo = f"the files move into {node.tree}{edits}", "the files of before move back"
    files = f", {', '.join(edit.path for edit in each.enabling.edits)} byte for byte" if lines else ""
    steps.append(Step("activate", what, undo + files))
    how = {"reload": "`kong reload`", "restart": "`kong restart`"}
    steps.append(Step("reload", how.get(node.restart, node.restart), "the same, with the files of before"))
    steps.append(Step("gate", _gate(each, role, timeout)))
    steps.append(Step("finish", f"the record of this rollout is written, {_left(each)}"))
    return tuple(steps)


def _left(each: NodeInput) -> str:
    """What a finished rollout keeps for going back."""
    if each.node.layout == "generations":
        return "old generations are dropped"
    return "what it went back to is kept no more" if each.back else "what it replaced is kept for a rollback"


def _short(line: str, each: NodeInput) -> str:
    """A changed setting; of a long search path only what is new in it."""
    name, equals, value = line.partition(" = ")
    if not equals or "lua_package_" not in name.lower():
        return line
    if each.target and f"/generations/{each.target}/" in value:
        return f"{name} names generation {each.target}"
    return f"{name} without generations" if "/generations/" not in value else line


def _gate(each: NodeInput, role: str, timeout: float) -> str:
    wanted = ", ".join(
        f"{name} {version}".strip() if version != "-" else f"no {name}" for name, version in each.proof
    )
    if role == "data_plane":
        who = "new workers run these files, the control plane sees it as normal"
    else:
        who = f"the Admin API answers {wanted or 'as before'} from new workers"
    expected = f", a request of {each.node.expect.path} is answered as expected" if each.node.expect else ""
    return f"{who}{expected}, within {timeout:g} s"
