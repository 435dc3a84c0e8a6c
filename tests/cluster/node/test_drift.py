"""Drift: what somebody did to a node's files behind our back."""

from __future__ import annotations

from pumice.cluster.connection import Answer
from pumice.cluster.drift import drift, read_records
from pumice.cluster.payload import make_payload
from pumice.cluster.steps import finish, roll_out

FILES = {
    "share/lua/5.1/a.lua": b"a",
    "share/lua/5.1/b c.lua": b"b",
    "bin/x": b"#!/bin/sh\n",
    "share/lua/5.1/d.lua": b"d",
}


def filled(node):
    """The node with these files, proved."""
    change, payload = node.prepared(FILES)
    roll_out(node.connection, change, payload)
    finish(node.connection, change, b'{"id": "r1"}')
    return node


def test_a_sound_node_has_none(local_node):
    node = filled(local_node())

    assert drift(node.connection, node.probe()).sound


def test_an_empty_node_has_none(local_node):
    node = local_node()

    assert drift(node.connection, node.probe()).sound


def test_what_was_changed_removed_or_added_is_named(local_node):
    node = filled(local_node())
    place = node.tree / "current/share/lua/5.1"
    (place / "a.lua").chmod(0o644)
    (place / "a.lua").write_text("b")
    (place / "b c.lua").unlink()
    (place / "new\nline").write_text("")
    (place / "sub").mkdir()
    (place / "sub" / ".hidden").write_text("")

    found = drift(node.connection, node.probe())

    assert found.changed == ("share/lua/5.1/a.lua",)
    assert found.missing == ("share/lua/5.1/b c.lua",)
    assert "share/lua/5.1/sub/.hidden" in found.extra
    assert not found.sound
    assert len(found.damaged) == 1


def test_drift_is_repaired_by_a_new_generation_of_the_same_content(local_node):
    node = filled(local_node())
    place = node.tree / "current/share/lua/5.1"
    (place / "a.lua").chmod(0o644)
    (place / "a.lua").write_text("b")
    facts = node.probe()
    found = drift(node.connection, facts)
    facts = facts.replace(keys=facts.keys - set(found.damaged))
    content = node.content(FILES, facts)
    payload = make_payload(content, facts, command="x", now=1.0, again=True)
    change, _ = node.prepared(FILES, rollout="r2")
    assert payload.keys == found.damaged

    results = roll_out(node.connection, change.replace(after=payload.generation), payload)
    finish(node.connection, change, b"{}")

    assert all(result.ok for result in results), results
    assert node.files() == FILES
    assert drift(node.connection, node.probe()).sound


def test_a_node_that_says_nothing_is_no_sound_one(local_node):
    node = filled(local_node())
    facts = node.probe()
    connection = node.connection
    connection.run = lambda *_, **__: Answer(1, b"@@pumice sums\nx", b"")

    assert "could not look" in drift(connection, facts).problem


def test_the_records_of_rollouts_are_read_back(local_node):
    node = local_node()
    assert read_records(node.connection) == {}

    filled(node)

    assert read_records(node.connection) == {"r1": b'{"id": "r1"}'}
