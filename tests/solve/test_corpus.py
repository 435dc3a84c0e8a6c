"""The newest version of every rock of the public server, for Lua 5.1."""

import time

import pytest

from pumice.solve.situation import Situation
from pumice.solve.solver import Solver, Unsolvable, solve

pytestmark = pytest.mark.corpus

SECONDS = 2.0
"""What all of them together may take, once the index is loaded; the test allows tenfold."""


def test_every_newest_rock_is_solved_without_fault_or_proved_impossible(rocks, public):
    situation = Situation(provided=rocks.LUA)
    solver = Solver(public.table, situation)
    solved = impossible = 0
    for name, version in public.newest.items():
        requests = rocks.requests_of(f"{name} {version}")
        try:
            found = solver.solve(requests)
        except Unsolvable as error:
            impossible += 1
            assert not rocks.proof_faults(public.world, error.proof, situation=situation), name
        else:
            solved += 1
            assert not rocks.Judge(public.world, requests, situation).complaints(found), name
    print(f"solved {solved}, proved impossible {impossible}")
    assert solved > 3900
    assert solved + impossible == len(public.newest)


def test_all_newest_rocks_are_solved_in_two_seconds(rocks, public):
    questions = [rocks.requests_of(f"{name} {version}") for name, version in public.newest.items()]
    solver = Solver(public.table, Situation(provided=rocks.LUA))
    start = time.process_time()
    for requests in questions:
        try:
            solver.solve(requests)
        except Unsolvable:
            pass
    taken = time.process_time() - start
    print(f"{len(questions)} rocks in {taken:.2f} s of CPU")
    assert taken < 10 * SECONDS


def test_kong_is_solved_where_a_newest_first_walk_fails(rocks, public):
    requests = rocks.requests_of("kong 3.9.0-0")
    start = time.process_time()
    found = solve(requests, public.table, Situation(provided=rocks.LUA))
    taken = time.process_time() - start
    print(f"{len(found.install)} rocks in {1000 * taken:.1f} ms of CPU")
    assert not rocks.Judge(public.world, requests).complaints(found)
    assert found.install[-1].name == "kong"
    assert len(found.install) == 45
    assert taken < 0.2
