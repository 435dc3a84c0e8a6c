"""Entities through the Admin API's documented shapes; the stand-in gateway takes them in the scenario tests."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from pumice.cluster.entity import (
    Entity,
    EntityError,
    apply_entity,
    delete_entities,
    read_entity,
    uses_of,
)
from pumice.errors import DataError, NotFoundError, PumiceError


class Reply:
    def __init__(self, status: int, data: Any = None) -> None:
        self.status, self.data = status, data


class FakeAdmin:
    """`/plugins` with pages of two, and one route."""

    def __init__(self, *entities: dict[str, Any], refuse: str = "") -> None:
        self.entities = [dict(entity) for entity in entities]
        self.refuse = refuse
        self.sent: list[tuple[str, str]] = []

    def request(self, method: str, path: str, body: Any = None) -> Reply:
        if method != "GET":
            self.sent.append((method, path))
        where, _, query = path.partition("?")
        parts = [unquote(part) for part in where.strip("/").split("/")]
        if parts[0] == "routes":
            return Reply(200, {"id": "r-1", "name": "web"}) if parts[1] in ("web", "a/b") else Reply(404, {})
        if method == "GET":
            begin = int(query.partition("offset=")[2] or 0)
            rest = begin + 2 < len(self.entities)
            page: dict[str, Any] = {"data": self.entities[begin : begin + 2]}
            page["next"] = f"/plugins?offset={begin + 2}" if rest else None
            return Reply(200, page)
        if self.refuse:
            return Reply(400, {"message": self.refuse, "fields": {"config": {"secret": "hunter2"}}})
        if method == "POST":
            self.entities.append({"id": "new", **body})
            return Reply(201, self.entities[-1])
        there = next(each for each in self.entities if each["id"] == parts[1])
        if method == "DELETE":
            self.entities.remove(there)
            return Reply(204)
        there.update(body)
        return Reply(200, there)


OTHERS = [{"id": f"o{number}", "name": "other"} for number in range(3)]
MINE = {"id": "m", "name": "x", "config": {"a": 1, "b": [1, 2]}, "enabled": True, "route": None}


def entity(**body: Any) -> Entity:
    return Entity("x", "/e.json", "0", {"name": "x", **body})


def test_an_entity_is_created_then_left_alone_then_updated() -> None:
    admin = FakeAdmin(*OTHERS)
    assert apply_entity(admin, entity(config={"a": 1})) == "x everywhere: created (new)"
    assert apply_entity(admin, entity(config={"a": 1})) == "x everywhere: as it shall be (new)"
    assert apply_entity(admin, entity(config={"a": 2})) == "x everywhere: updated (new)"
    assert admin.sent == [("POST", "/plugins"), ("PATCH", "/plugins/new")]


def test_what_the_file_does_not_name_stays() -> None:
    admin = FakeAdmin(MINE)
    assert "as it shall be" in apply_entity(admin, entity(config={"b": [1, 2]}))
    assert admin.sent == []


def test_true_is_not_one() -> None:
    assert "updated" in apply_entity(FakeAdmin({**MINE, "enabled": 1}), entity(enabled=True))


def test_another_scope_is_another_entity() -> None:
    admin = FakeAdmin(MINE)
    assert apply_entity(admin, entity(route="web")) == "x on route r-1: created (new)"
    assert apply_entity(admin, entity(route={"name": "web"})) == "x on route r-1: as it shall be (new)"
    assert apply_entity(admin, entity(route={"id": "r-1"})).endswith("as it shall be (new)")


def test_a_route_that_is_not_there_is_told() -> None:
    with pytest.raises(NotFoundError, match="no route 'gone'"):
        apply_entity(FakeAdmin(), entity(route="gone"))
    with pytest.raises(DataError):
        apply_entity(FakeAdmin(), entity(route=7))


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    assert "created" in apply_entity(FakeAdmin(), entity(route="a/b"))


def test_a_refusal_tells_the_message_and_no_settings() -> None:
    with pytest.raises(EntityError) as caught:
        apply_entity(FakeAdmin(refuse="schema violation"), entity(config={"secret": "hunter2"}))
    assert "schema violation (HTTP 400)" in caught.value.message
    assert "hunter2" not in caught.value.message
    assert "The nodes have the plugin." in caught.value.hint
    assert "hunter2" not in repr(entity(config={"secret": "hunter2"}))


def test_all_uses_are_found_over_pages_and_deleted() -> None:
    admin = FakeAdmin(*OTHERS, MINE, {"id": "n", "name": "x", "route": {"id": "r-1"}})
    assert [use.where for use in uses_of(admin, "x")] == ["everywhere", "on route r-1"]
    assert len(delete_entities(admin, "x")) == 2
    assert uses_of(admin, "x") == ()
    assert len(admin.entities) == 3


def test_an_api_that_does_not_list_is_an_error_not_an_empty_list() -> None:
    class Broken(FakeAdmin):
        def request(self, method: str, path: str, body: Any = None) -> Reply:
            return Reply(401, {"message": "Unauthorized"})

    with pytest.raises(EntityError, match="Unauthorized"):
        uses_of(Broken(), "x")


def test_a_next_page_elsewhere_is_not_followed() -> None:
    class Leading(FakeAdmin):
        def request(self, method: str, path: str, body: Any = None) -> Reply:
            assert path.startswith("/plugins")
            return Reply(200, {"data": [], "next": "http://evil/plugins"})

    assert uses_of(Leading(), "x") == ()


@pytest.mark.parametrize("name", ["e.json", "e.toml"])
def test_files_are_json_or_toml(tmp_path: Path, name: str) -> None:
    text = '{"config": {"a": 1}}' if name.endswith("json") else "[config]\na = 1\n"
    (tmp_path / name).write_text(text)
    found = read_entity(str(tmp_path / name), ["x"])
    assert found.body == {"name": "x", "config": {"a": 1}}
    assert len(found.sha256) == 64


@pytest.mark.parametrize(
    ("text", "plugins"),
    [
        ('{"name": "y"}', ["x"]),
        ("{}", ["x", "y"]),
        ('{"name": 3}', ["x"]),
        ("[]", ["x"]),
        ('{"password": "hunter2"', ["x"]),
        ("[" * 100_000, ["x"]),
    ],
)
def test_other_files_are_refused_without_their_text(tmp_path: Path, text: str, plugins: list[str]) -> None:
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(DataError) as caught:
        read_entity(str(tmp_path / "e.json"), plugins)
    assert "hunter2" not in caught.value.message + json.dumps(caught.value.hint)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PumiceError, match="read the entity"):
        read_entity(str(tmp_path / "none.json"), ["x"])
