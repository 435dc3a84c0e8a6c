"""What two plugins around a plugin tell becomes what the plugin did."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pumice.kong.trace import NAMES, Answered, Asked, Passed, Trace, trace_plugins


def told(side, phase, at, **more):
    return json.dumps({"side": side, "phase": phase, "id": "7-1", "at": at, **more}).encode()


def request(path="/", **headers):
    return {"method": "GET", "path": path, "query": {}, "headers": headers}


def read(*lines):
    trace = Trace()
    return [event for line in lines for event in trace.feed(line)]


def test_a_phase_is_what_lies_between_the_two():
    first, last = request(a="1", gone="x"), request("/other", a="2", new=["b", "c"])
    assert read(
        told("first", "request", 1, method="GET", uri="/?x"),
        told("first", "access", 10, request=first),
        told("last", "access", 12.5, request={**last, "query": {"q": "1"}}),
    ) == [
        Asked("7-1", "GET", "/?x"),
        Passed(
            "7-1",
            "access",
            2.5,
            (
                "request path / → /other",
                "query q: 1",
                "request header a: 2",
                "request header gone removed",
                "request header new: b, c",
            ),
        ),
    ]


def test_a_phase_without_an_end_did_not_return():
    response = {"status": 401, "headers": {"a": "b"}}
    assert read(
        told("first", "access", 10, request=request()),
        told("first", "header_filter", 11, response=response),
        told("last", "header_filter", 12, response={**response, "status": 402}),
        told("first", "log", 13, response={**response, "body": "no"}, began=9),
        told("last", "log", 14, response={**response, "body": "no"}, began=9),
    ) == [
        Passed("7-1", "access", 1, (), returned=False),
        Passed("7-1", "header_filter", 1, ("response status 401 → 402",)),
        Answered("7-1", 401, {"a": "b"}, "no", 5),
    ]


def test_a_query_that_lua_wrote_as_a_list_is_empty():
    before = {**request(), "query": []}
    (passed,) = read(told("first", "access", 1, request=before), told("last", "access", 2, request=request()))
    assert passed.changes == ()


@given(st.one_of(st.binary(max_size=200), st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(
    lambda value: json.dumps({"id": 1, "phase": "access", "side": value, "at": value, "request": value}).encode()
)))  # fmt: skip
def test_nothing_that_stands_in_the_file_stops_it(line):
    read(line, line)


def test_the_two_are_plugins_that_a_gateway_takes(luajit, tmp_path):
    for path, text in trace_plugins().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(text)
    program = "package.preload['cjson.safe'] = function() return {} end\n" + "\n".join(
        f"local h, s = require 'kong.plugins.{name}.handler', require 'kong.plugins.{name}.schema'\n"
        "print(h.PRIORITY, h.VERSION, s.name)"
        for name in NAMES
    )
    told = luajit(f"package.path = '{tmp_path}/?.lua;' .. package.path\n" + program)
    assert told.split() == ["1000000", "1.0.0", NAMES[0], "-1000000", "1.0.0", NAMES[1]]
