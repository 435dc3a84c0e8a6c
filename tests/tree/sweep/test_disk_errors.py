"""A disk that fails at any call leaves the tree as before (or as after), says why, and can be used again."""

from __future__ import annotations

import errno

import pytest

pytestmark = pytest.mark.sweep


@pytest.mark.adversary(50, 51)
@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE], ids=errno.errorcode.get
)
@pytest.mark.parametrize("layout", ["plain", "generations"])
def test_an_error_at_every_call_is_told_and_changes_nothing(scenario, faults, layout, code):
    counts = {"done": 0, "error": 0}
    for change in ("install", "upgrade", "remove") if code == errno.ENOSPC else ("upgrade",):
        it = scenario(layout, change)
        _, calls = faults.all.run(it.change)
        for at in range(calls):
            it.reset()
            result, _ = faults.all.run(it.change, at=at, fault=faults.failing(code))
            kind = result.partition(":")[0]
            assert kind in ("done", "error"), f"call {at}: {result}"
            if kind == "error":
                # where the lock is to be taken, a read-only file system is a missing permission: exit 2
                refused = ("DiskError", "PermissionDenied")[: 2 if code == errno.EROFS else 1]
                assert any(name in result for name in refused), f"call {at}: {result}"
                assert it.outcome() == "before", f"call {at}: {result}"
            counts[kind] += 1
            it.recover()
            assert it.outcome() == ("after" if kind == "done" else "before"), f"call {at}: {result}"
    assert counts["error"] > counts["done"]
    print(f"{layout} {errno.errorcode[code]}: {counts}")


@pytest.mark.adversary(51)
@pytest.mark.parametrize("change", ["install", "upgrade", "remove"])
@pytest.mark.parametrize("layout", ["plain", "generations"])
def test_a_disk_that_dies_for_good_leaves_a_tree_that_the_next_command_puts_right(
    scenario, faults, layout, change
):
    """From some call on, every call that writes fails."""
    it = scenario(layout, change)
    _, calls = faults.writing.run(it.change)
    for at in range(0, calls, 2):
        it.reset()

        def dying(_call, _name, _args):
            import os

            for name in faults.writing._functions:
                setattr(os, name, lambda *_a, **_n: (_ for _ in ()).throw(OSError(errno.EIO, "dead")))
            raise OSError(errno.EIO, "dead")

        result, _ = faults.writing.run(it.change, at=at, fault=dying)
        assert not result.startswith("bug"), f"call {at}: {result}"
        it.recover()
        assert it.outcome() in ("before", "after"), f"call {at}: {result}"
