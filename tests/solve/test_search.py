"""The search by itself, without LuaRocks's walk before it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.rock.dependency import parse_dependency
from pumice.solve.search import Search
from pumice.solve.situation import Situation
from pumice.solve.universe import Universe


def searched(rocks, world, requests):
    search = Search(Universe(rocks.table_of(world), Situation(provided=rocks.LUA)), requests, {*world})
    assert search.run()
    if search.proof is not None:
        return None
    return {name: entry.version.text for name, entry in search.answer.items()}


def first(world, requests, order):
    """What trying all versions, newest first and breadth first, without any cleverness, comes to first."""

    def fits(name, version, chosen):
        needs = world[name][version]
        mine = [parse_dependency(each) for each in needs]
        others = [(each, parse_dependency(text)) for each in chosen for text in world[each][chosen[each]]]
        return (
            all(each.dependency.accepts(version) for each in requests if each.dependency.name == name)
            and all(wanted.accepts(version) for _each, wanted in others if wanted.name == name)
            and all(
                wanted.accepts({**chosen, name: version}[wanted.name])
                for wanted in mine
                if wanted.name in {**chosen, name: version}
            )
        )

    def attempt(agenda, chosen):
        waiting = [name for name in agenda if name not in chosen]
        if not waiting:
            return chosen
        name = waiting[0]
        for version in order[name]:
            if fits(name, version, chosen):
                needed = [parse_dependency(each).name for each in world[name][version]]
                found = attempt(list(dict.fromkeys([*agenda, *needed])), {**chosen, name: version})
                if found is not None:
                    return found
        return None

    return attempt(list(dict.fromkeys(each.dependency.name for each in requests)), {})


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_the_answer_is_the_first_that_a_search_through_everything_finds(rocks, data):
    world, requests, _situation = data.draw(rocks.questions(names=5, versions=5, installed=False))
    if not all(any(map(each.dependency.accepts, world[each.dependency.name])) for each in requests):
        return
    universe = Universe(rocks.table_of(world), Situation())
    order = {
        name: [entry.version.text for entry in reversed(universe.package(name).entries)] for name in world
    }
    assert searched(rocks, world, requests) == first(world, requests, order)
