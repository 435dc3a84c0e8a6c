"""Answers on random worlds, before judges that share no code with the solver."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.rock.dependency import parse_dependency
from pumice.solve.solver import Unsolvable, solve


def answer(rocks, world, requests, situation):
    try:
        return solve(requests, rocks.table_of(world), situation), None
    except Unsolvable as error:
        return None, error


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_an_answer_has_no_fault_and_a_refusal_is_right(rocks, data):
    world, requests, situation = data.draw(rocks.questions())
    judge = rocks.Judge(world, requests, situation)
    found, error = answer(rocks, world, requests, situation)
    if found is not None:
        assert not judge.complaints(found)
    else:
        assert not list(judge.trees())
        if error.proof is not None:
            assert not rocks.proof_faults(world, error.proof, situation=situation)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_where_luarocks_walks_to_a_consistent_tree_the_answer_is_that_tree(rocks, data):
    world, requests, situation = data.draw(rocks.questions())
    judge = rocks.Judge(world, requests, situation)
    greedy = rocks.Greedy(world, situation.installed)
    try:
        for request in requests:
            greedy.install(request.dependency)
    except rocks.Endless:
        return
    there = rocks.reach(world, requests, greedy.tree)
    tree = {**judge.tree, **there}
    if any(len(versions) > 1 for versions in greedy.tree.values()) or judge.faults(tree):
        return
    found, error = answer(rocks, world, requests, situation)
    assert error is None
    assert tree == judge.tree_after(found)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_with_keep_nothing_leaves_the_tree_and_what_is_new_has_all_it_needs(rocks, data):
    world, requests, situation = data.draw(rocks.questions())
    found, _error = answer(rocks, world, requests, situation.replace(keep=True))
    alone, _error = answer(rocks, world, requests, situation.replace(installed=()))
    if found is None:
        assert alone is None
        return
    judge = rocks.Judge(world, requests, situation)
    tree = judge.tree_after(found)
    assert not [rock for rock in found.replaced if rock.version in tree[rock.name]]
    assert all(judge.met(request.dependency, tree) for request in requests)
    for chosen in found.install:
        for text in world[chosen.name][chosen.version]:
            assert judge.met(parse_dependency(text), tree)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_the_same_question_has_the_same_answer_whatever_the_order_of_the_table(rocks, data):
    world, requests, situation = data.draw(rocks.questions())
    shuffled = {
        name: {version: world[name][version] for version in data.draw(st.permutations(list(world[name])))}
        for name in data.draw(st.permutations(list(world)))
    }
    for _again in range(2):
        one, refusal = answer(rocks, world, requests, situation)
        other, other_refusal = answer(rocks, shuffled, requests, situation)
        if one is None:
            assert str(refusal) == str(other_refusal)
        else:
            assert one == other


def resolvelib_solves(world, requests):
    """Whether resolvelib finds an answer; None when it does not end."""
    resolvelib = pytest.importorskip("resolvelib")
    from pumice.rock.version import newest_first

    class Provider(resolvelib.AbstractProvider):
        def identify(self, requirement_or_candidate):
            return getattr(requirement_or_candidate, "name", None) or requirement_or_candidate[0]

        def get_preference(self, identifier, resolutions, candidates, information, backtrack_causes):
            return identifier not in [cause.requirement.name for cause in backtrack_causes], identifier

        def find_matches(self, identifier, requirements, incompatibilities):
            refused = {version for _name, version in incompatibilities[identifier]}
            wanted = list(requirements[identifier])
            return [
                (identifier, version)
                for version in newest_first(sorted(world.get(identifier, {})))
                if version not in refused and all(each.accepts(version) for each in wanted)
            ]

        def is_satisfied_by(self, requirement, candidate):
            return requirement.accepts(candidate[1])

        def get_dependencies(self, candidate):
            name, version = candidate
            needs = [parse_dependency(each) for each in world[name][version]]
            lua = [each for each in needs if each.name == "lua"]
            if not all(each.accepts("5.1-1") for each in lua):
                return [parse_dependency("no-such-rock")]
            return [each for each in needs if each.name != "lua"]

    try:
        resolvelib.Resolver(Provider(), resolvelib.BaseReporter()).resolve(requests, max_rounds=1000)
    except (
        resolvelib.ResolutionTooDeep,
        RecursionError,
    ):  # the latter over cycles, while it writes its answer
        return None
    except resolvelib.ResolutionImpossible:
        return False
    return True


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_resolvelib_agrees_on_what_can_be_solved(rocks, data):
    world, requests, situation = data.draw(rocks.questions(names=5, versions=6, installed=False))
    judgement = resolvelib_solves(world, [request.dependency for request in requests])
    if judgement is not None:
        assert judgement == (answer(rocks, world, requests, situation)[0] is not None)


@pytest.mark.corpus
def test_resolvelib_agrees_on_the_public_server(rocks, public):
    from pumice.solve.situation import Situation
    from pumice.solve.solver import Solver

    solver = Solver(public.table, Situation(provided=rocks.LUA))
    ended = 0
    for name in sorted(public.newest)[::5]:
        wanted = f"{name} {public.newest[name]}"
        judgement = resolvelib_solves(public.world, [parse_dependency(wanted)])
        if judgement is None:
            continue
        ended += 1
        try:
            solver.solve(rocks.requests_of(wanted))
            solved = True
        except Unsolvable:
            solved = False
        assert judgement == solved, wanted
    assert ended > 700
