"""Cases that defeat a walk which never changes its mind, each with its answer or its explanation."""

import time

import pytest

from pumice.errors import DataError, DependencyError
from pumice.rock.dependency import parse_dependency
from pumice.solve.situation import NEWEST, PREFER_INSTALLED, InstalledRock, Request, Situation
from pumice.solve.solver import Solver, Unsolvable, solve
from pumice.solve.table import Candidate, Facts, MemoryTable, Overlay


def installs(found):
    return [f"{chosen.name} {chosen.version}" for chosen in found.install]


DIAMOND = """
    top 1.0-1: left; right
    left 2.0-1: base >= 2
    left 1.0-1: base
    right 1.0-1: base < 2
    base 1.0-1
    base 2.0-1
"""


def test_a_diamond_is_closed_by_an_older_version_at_its_side(ask):
    assert installs(ask(DIAMOND, "top")) == ["base 1.0-1", "left 1.0-1", "right 1.0-1", "top 1.0-1"]


def test_a_diamond_that_cannot_be_closed_is_explained(refused):
    assert refused(DIAMOND, "top", "left >= 2") == (
        "left 2.0-1 needs base >= 2, top 1.0-1 needs right and right 1.0-1 needs base < 2, "
        "so left >= 2 and top cannot be installed together"
    )


def test_two_requests_that_exclude_one_another_are_explained_in_a_sentence(refused):
    world = """
        left 1.0-1: aaa < 2
        right 1.0-1: aaa >= 2
        other 1.0-1: aaa
        aaa 1.0-1
        aaa 2.0-1
    """
    assert refused(world, "other", "left", "right") == (
        "left 1.0-1 needs aaa < 2 and right 1.0-1 needs aaa >= 2, so left and right cannot be installed together"
    )


def test_a_core_of_three_rocks_is_named_without_the_others(refused):
    world = """
        a 1.0-1: x < 2
        b 1.0-1: x >= 1.5
        c 1.0-1: x ~= 1.5
        d 1.0-1: x
        x 1.0-1
        x 1.5-1
        x 2.0-1
    """
    assert refused(world, "a", "d", "b", "c") == (
        "a 1.0-1 needs x < 2, b 1.0-1 needs x >= 1.5 and c 1.0-1 needs x ~= 1.5, "
        "so a, b and c cannot be installed together"
    )
    assert installs(solve_of(world, "a", "d", "b")) == ["x 1.5-1", "a 1.0-1", "d 1.0-1", "b 1.0-1"]


def solve_of(text, *wanted):
    world = {}
    table = MemoryTable()
    for line in filter(None, map(str.strip, text.splitlines())):
        head, _, needs = line.partition(":")
        name, version = head.split()
        world[name] = version
        needed = tuple(parse_dependency(each) for each in needs.split(";") if each.strip())
        table.add(Candidate(name, version), Facts(needed))
    return solve([Request(parse_dependency(each)) for each in wanted], table)


def test_an_installed_rock_is_downgraded_where_nothing_else_will_do(ask):
    found = ask("a 1.0-1: b < 2\nb 1.0-1\nb 2.0-1", "a", installed=["b 2.0-1"])
    assert installs(found) == ["b 1.0-1", "a 1.0-1"]
    assert [(rock.name, rock.version) for rock in found.replaced] == [("b", "2.0-1")]


TREE = """
    plugin 2.0-1: pen >= 2
    plugin 1.0-1: pen
    pen 1.0-1
    pen 2.0-1
    kong 3.9-1: pen == 1.0
    kong 4.0-1: pen == 2.0
"""
KONG = ["kong 3.9-1", "pen 1.0-1"]


def test_what_is_installed_is_left_alone_if_an_older_version_fits_it_and_the_user_is_told(ask):
    found = ask(TREE, "plugin", installed=KONG)
    assert installs(found) == ["plugin 1.0-1"]
    assert found.notes == (
        "plugin 1.0-1 is not the newest: plugin 2.0-1 needs pen >= 2; kong 3.9-1 (installed) needs pen 1.0",
    )


def test_what_is_installed_is_upgraded_if_the_request_leaves_no_other_way(ask):
    found = ask(TREE, "plugin 2.0", installed=KONG)
    assert installs(found) == ["pen 2.0-1", "plugin 2.0-1", "kong 4.0-1"]
    assert [rock.version for rock in found.replaced] == ["1.0-1", "3.9-1"]


def test_a_conflict_with_the_tree_is_explained(refused):
    assert refused(TREE, "plugin 2.0", "kong 3.9", installed=KONG) == (
        "kong 3.9-1 (installed) needs pen 1.0 and plugin 2.0-1 needs pen >= 2, "
        "so kong 3.9 and plugin 2.0 cannot be installed together"
    )
    assert refused(TREE.replace("kong 4.0-1: pen == 2.0", ""), "plugin 2.0", installed=KONG) == (
        "plugin 2.0-1 needs pen >= 2 and kong 3.9-1 (installed) needs pen 1.0, "
        "so plugin 2.0 cannot be installed while kong stays installed"
    )


def test_with_keep_both_versions_stay(ask):
    found = ask(TREE, "plugin 2.0", installed=KONG, keep=True, judged=False)
    assert installs(found) == ["pen 2.0-1", "plugin 2.0-1"]
    assert found.replaced == ()


def test_a_dependency_that_is_installed_is_kept_and_a_request_is_the_newest(ask):
    world = "a 1.0-1: b\nb 1.0-1\nb 2.0-1"
    found = ask(world, "a", installed=["b 1.0-1"])
    assert installs(found) == ["a 1.0-1"]
    assert [(chosen.name, chosen.version) for chosen in found.kept] == [("b", "1.0-1")]
    assert installs(ask(world, "b", installed=["b 1.0-1"])) == ["b 2.0-1"]
    wanted = [Request(parse_dependency("b"), PREFER_INSTALLED)]
    assert installs(ask(world, requests=wanted, installed=["b 1.0-1"])) == []


def test_what_servers_do_not_have_is_replaced_by_a_request_and_kept_by_an_upgrade():
    table = MemoryTable([(Candidate("a", "1.0-1"), Facts())])
    situation = Situation(installed=(InstalledRock("a", "scm-1"),))
    assert installs(solve([Request(parse_dependency("a"))], table, situation)) == ["a 1.0-1"]
    assert installs(solve([Request(parse_dependency("a"), NEWEST)], table, situation)) == []


def test_rocks_that_need_one_another_are_installed_the_asked_one_last(ask):
    assert installs(ask("a 1.0-1: b\nb 1.0-1: c\nc 1.0-1: a", "a")) == ["c 1.0-1", "b 1.0-1", "a 1.0-1"]


def test_a_cycle_that_cannot_close_is_explained(refused):
    assert refused("a 1.0-1: b\nb 1.0-1: a >= 2", "a") == (
        "a cannot be installed:\n  a 1.0-1 needs b\n  b 1.0-1 needs a >= 2, but there is only 1.0-1"
    )


def test_the_reasons_say_who_asked(ask):
    found = ask("a 1.0-1: b; c\nb 1.0-1: c < 2\nc 1.0-1", "a", "c")
    assert [str(reason) for reason in found.chosen("c").reasons] == [
        "asked for",
        "b 1.0-1 needs c < 2",
        "a 1.0-1 needs c",
    ]
    assert found.chosen("a").needs == (("b", "1.0-1"), ("c", "1.0-1"))
    assert found.chosen("nothing") is None


def thousand(needs):
    return "\n".join(f"a {number}.0-1: {needs(number)}" for number in range(1, 1001))


def test_a_thousand_versions_that_cannot_be_had_are_one_reason(refused):
    start = time.process_time()
    text = refused(thousand(lambda _number: "b >= 2") + "\nb 1.0-1\nb 2.0-1\nc 1.0-1: b < 2", "a", "c")
    assert (
        text
        == "every version of a needs b >= 2 and c 1.0-1 needs b < 2, so a and c cannot be installed together"
    )
    assert time.process_time() - start < 10 * 0.3


def test_the_one_of_a_thousand_versions_that_fits_is_found(ask):
    start = time.process_time()
    world = thousand(lambda number: f"b >= {number}") + "\nb 1.0-1\nb 1000.0-1\nc 1.0-1: b < 2"
    assert installs(ask(world, "c", "a")) == ["b 1.0-1", "c 1.0-1", "a 1.0-1"]
    assert time.process_time() - start < 10 * 0.3


def test_a_thousand_different_reasons_are_not_all_told(refused):
    world = thousand(lambda number: f"b {number}.0") + "\n"
    world += (
        "\n".join(f"b {number}.0-1: c >= 1" for number in range(1, 1001))
        + "\nc 1.0-1\nd 1.0-1: c < 1\nc 0.5-1"
    )
    start = time.process_time()
    text = refused(world, "a", "d")
    assert text.startswith("a and d cannot be installed together:\n  ") or ", so " in text
    assert len(text) < 3000
    assert time.process_time() - start < 10 * 2


def test_a_chain_deeper_than_pythons_stack_is_solved(ask):
    world = "\n".join(f"r{number} 1.0-1: r{number + 1}" for number in range(3000)) + "\nr3000 1.0-1"
    assert len(ask(world, "r0", judged=False).install) == 3001


def test_versions_for_another_lua_are_passed_by_and_named(ask, refused):
    world = "a 1.0-1: lua >= 5.1\na 2.0-1: lua >= 5.3\nb 1.0-1: a >= 2"
    assert installs(ask(world, "a")) == ["a 1.0-1"]
    assert ask(world, "a").notes == (
        "a 1.0-1 is not the newest: a 2.0-1 needs lua >= 5.3, but this is Lua 5.1",
    )
    assert refused(world, "b") == (
        "b cannot be installed:\n  b 1.0-1 needs a >= 2\n  a 2.0-1 needs lua >= 5.3, but this is Lua 5.1"
    )


def test_provided_rocks_are_never_installed(ask, refused):
    world = "a 1.0-1: pen\nb 1.0-1: pen >= 2\npen 2.0-1"
    given = {"lua": "5.1-1", "pen": "1.0-1"}
    assert installs(ask(world, "a", provided=given)) == ["a 1.0-1"]
    assert refused(world, "b", provided=given) == (
        "b 1.0-1 needs pen >= 2, but pen 1.0-1 is provided and cannot be replaced, so b cannot be installed"
    )
    with pytest.raises(
        DependencyError, match=r"^Rock pen 1\.0-1 is already provided by VM or via 'rocks_provided'"
    ):
        ask(world, "pen", provided=given)


def test_what_is_not_to_be_had_is_said(refused):
    world = "a 1.0-1: zz >= 1\nb 1.0-1: a > 3\nc 1.0-1: d > 3\nd 1.0-1\nd 2.0-1"
    assert (
        refused(world, "a")
        == "a 1.0-1 needs zz >= 1, but there is no rock of that name, so a cannot be installed"
    )
    assert refused(world, "b") == "b 1.0-1 needs a > 3, but there is only 1.0-1, so b cannot be installed"
    assert (
        refused(world, "c")
        == "c 1.0-1 needs d > 3, but no version is (the newest is 2.0-1), so c cannot be installed"
    )
    assert refused(world, "a > 1") == "no rock matches a > 1 (the newest is 1.0-1)"
    with pytest.raises(Unsolvable) as caught:
        solve_of(world, "nothing")
    assert caught.value.missing == parse_dependency("nothing")


def test_requests_of_one_rock_that_exclude_one_another_are_explained(refused):
    assert (
        refused("a 1.0-1\na 2.0-1", "a < 2", "a >= 2")
        == "a < 2 and a >= 2 are asked for, and no version of a is all of that"
    )


def test_a_pin_holds_and_is_named_and_a_preference_gives_way(ask, refused):
    world = "a 1.0-1: b\nb 1.0-1\nb 2.0-1\nb 3.0-1\nc 1.0-1: b >= 2"
    assert installs(ask(world, "a", pinned={"b": "1.0-1"})) == ["b 1.0-1", "a 1.0-1"]
    assert refused(world, "c", pinned={"b": "1.0-1"}) == (
        "c 1.0-1 needs b >= 2 and b is pinned to 1.0-1, so c cannot be installed"
    )
    assert refused(world, "a", pinned={"b": "9.0-1"}) == (
        "a 1.0-1 needs b and b is pinned to 9.0-1 (which is not to be had), so a cannot be installed"
    )
    assert installs(ask(world, "a", preferred={"b": "2.0-1"})) == ["b 2.0-1", "a 1.0-1"]
    assert installs(ask(world, "a", "c", preferred={"b": "1.0-1"})) == ["b 3.0-1", "a 1.0-1", "c 1.0-1"]


def test_a_pin_does_not_touch_what_nobody_asked_for(ask):
    world = "a 1.0-1: b\nb 1.0-1\nb 2.0-1\nc 1.0-1\nd 1.0-1: b\nx 1.0-1: y\ny 1.0-1: z < 2\nz 1.0-1\nz 2.0-1"
    tree = ["d 1.0-1", "b 2.0-1"]
    assert installs(ask(world, "c", installed=tree, pinned={"b": "1.0-1"})) == ["c 1.0-1"]
    assert installs(ask(world, "a", installed=tree, pinned={"b": "1.0-1"})) == ["b 1.0-1", "a 1.0-1"]
    assert installs(ask(world, "x", "z", installed=tree, pinned={"b": "1.0-1"})) == [
        "z 1.0-1",
        "y 1.0-1",
        "x 1.0-1",
    ]


def test_prereleases_and_scm_rank_as_luarocks_ranks_them(ask):
    world = "a 1.0-1\na 2.0beta1-1\nb 1.0-1\nb scm-1\nc 1.0-1: a < 2; b < 9"
    assert installs(ask(world, "a", "b")) == ["a 2.0beta1-1", "b scm-1"]
    assert installs(ask(world, "c")) == ["a 2.0beta1-1", "b 1.0-1", "c 1.0-1"]


def test_versions_that_luarocks_does_not_order_are_two_versions(ask):
    world = "a 1.0-1\na 1.0.0-1\nb 1.0-1: a == 1.0\nc 1.0-1: a == 1.0.0"
    assert installs(ask(world, "b")) == ["a 1.0-1", "b 1.0-1"]
    assert installs(ask(world, "c")) == ["a 1.0.0-1", "c 1.0-1"]
    with pytest.raises(Unsolvable, match="b and c cannot be installed together"):
        ask(world, "b", "c")


def test_rocks_of_other_trees_satisfy_dependencies_but_not_requests(ask):
    world = "a 1.0-1: b >= 2\nb 1.0-1\nb 2.0-1"
    elsewhere = (InstalledRock("b", "2.0-1"),)
    assert installs(ask(world, "a", elsewhere=elsewhere, judged=False)) == ["a 1.0-1"]
    assert installs(ask(world, "b", elsewhere=elsewhere, judged=False)) == ["b 2.0-1"]
    assert installs(ask(world, "a", elsewhere=(InstalledRock("b", "1.0-1"),))) == ["b 2.0-1", "a 1.0-1"]


def test_without_dependencies_only_what_is_asked_for_is_installed(ask):
    found = ask("a 1.0-1: b >= 2; lua >= 5.4", "a", dependencies=False, judged=False)
    assert installs(found) == ["a 1.0-1"]


def test_a_tree_that_lacks_something_already_is_not_mended_and_blocks_nothing(ask):
    world = "broken 1.0-1: gone\nuser 1.0-1: broken\nother 1.0-1"
    assert installs(ask(world, "other", installed=["broken 1.0-1"])) == ["other 1.0-1"]
    assert ask(world, "user", installed=["broken 1.0-1"]).notes == (
        "broken 1.0-1 is installed without gone, which it needs",
    )


def test_several_installed_versions_of_a_rock_stay_together(ask):
    world = "a 1.0-1: b < 2\nc 1.0-1: b >= 2\nb 1.0-1\nb 2.0-1\nb 3.0-1\nd 1.0-1: b >= 3"
    tree = ["a 1.0-1", "c 1.0-1", "b 1.0-1", "b 2.0-1"]
    assert installs(ask(world + "\ne 1.0-1: b", "e", installed=tree)) == ["e 1.0-1"]
    with pytest.raises(Unsolvable, match=r"a 1\.0-1 \(installed\) needs b < 2"):
        ask(world, "d", installed=tree)


class Rocks(MemoryTable):
    """A table with what a server may have besides."""

    complete = False

    def __init__(self):
        super().__init__()
        self.announced = []

    def put(self, name, version, *needs, namespace=None, built=False, **facts):
        given = {
            key: tuple(map(parse_dependency, value)) for key, value in facts.items() if key != "platforms"
        }
        self.add(
            Candidate(name, version, namespace, built),
            Facts(
                tuple(map(parse_dependency, needs)),
                supported_platforms=facts.get("platforms", ()),
                **dict(given.items()),
            ),
        )
        return self

    def facts(self, candidate):
        if candidate.version.startswith("6.6"):
            raise DataError("it is a page that says no")
        return super().facts(candidate)

    def announce(self, names, candidates):
        self.announced.append((list(names), [f"{each.name} {each.version}" for each in candidates]))


def test_a_version_that_cannot_be_read_or_is_for_another_platform_is_passed_over():
    table = Rocks().put("a", "1.0-1").put("a", "6.6-1").put("a", "7.0-1", platforms=("windows",))
    found = solve([Request(parse_dependency("a"))], table, Situation(platforms=("linux", "unix")))
    assert installs(found) == ["a 1.0-1"]
    assert found.notes == (
        "a 6.6-1 is passed over, as it cannot be read: it is a page that says no",
        "a 7.0-1 is passed over, as it does not support linux, unix",
    )
    with pytest.raises(Unsolvable) as caught:
        solve([Request(parse_dependency("a > 1.0"))], table, Situation(platforms=("linux", "unix")))
    assert caught.value.message == (
        "a > 1.0 cannot be installed:\n"
        "  a 7.0-1 does not support linux, unix\n"
        "  what a 6.6-1 needs cannot be read (it is a page that says no)"
    )


def test_a_namespace_is_satisfied_by_its_own_rocks_and_a_plain_name_by_any():
    table = (
        Rocks()
        .put("b", "1.0-1")
        .put("b", "2.0-1")
        .put("b", "1.5-1", namespace="ann")
        .put("b", "1.0-1", namespace="bob")
    )
    table.put("plain", "1.0-1", "b").put("hers", "1.0-1", "ann/b").put("his", "1.0-1", "bob/b").put(
        "x", "1.0-1", "other/b"
    )

    def solved(*wanted, **situation):
        found = solve([Request(parse_dependency(each)) for each in wanted], table, Situation(**situation))
        return [f"{each.namespace or ''}/{each.name} {each.version}" for each in found.install]

    assert solved("plain") == ["/b 2.0-1", "/plain 1.0-1"]
    assert solved("plain", "hers") == ["ann/b 1.5-1", "/plain 1.0-1", "/hers 1.0-1"]
    assert solved("ann/b") == ["ann/b 1.5-1"]
    assert solved("his", installed=(InstalledRock("b", "1.0-1"),)) == ["bob/b 1.0-1", "/his 1.0-1"]
    assert solved("his", installed=(InstalledRock("b", "1.0-1", "bob"),)) == ["/his 1.0-1"]
    with pytest.raises(Unsolvable) as caught:
        solved("hers", "plain", "his")
    assert caught.value.message == (
        "hers 1.0-1 needs ann/b and his 1.0-1 needs bob/b, so hers and his cannot be installed together"
    )
    with pytest.raises(
        Unsolvable, match=r"x 1\.0-1 needs other/b, but other has no such rock, so x cannot be installed"
    ):
        solved("x")


def test_build_dependencies_count_where_something_is_built_and_test_dependencies_where_wanted():
    table = Rocks().put(
        "a", "1.0-1", "run", built=True, build_dependencies=("tool",), test_dependencies=("busted",)
    )
    table.put("b", "1.0-1", "run", build_dependencies=("tool",))
    for name in ("run", "tool", "busted"):
        table.put(name, "1.0-1")
    a, b = Request(parse_dependency("a")), Request(parse_dependency("b"))
    assert installs(solve([a], table)) == ["tool 1.0-1", "run 1.0-1", "a 1.0-1"]
    assert installs(solve([b], table)) == ["run 1.0-1", "b 1.0-1"]
    assert installs(solve([a], table, Situation(build_dependencies=False))) == ["run 1.0-1", "a 1.0-1"]
    found = solve([a.replace(tests=True)], table)
    assert installs(found) == ["tool 1.0-1", "run 1.0-1", "busted 1.0-1", "a 1.0-1"]
    assert [reason.kind for reason in found.chosen("busted").reasons] == ["test dependency"]
    assert [reason.kind for reason in found.chosen("tool").reasons] == ["build dependency"]
    table.announced.clear()
    solve([b], table)
    assert not [names for names, _candidates in table.announced if ("tool", None) in names]


def test_what_will_be_asked_is_announced_level_by_level():
    table = Rocks().put("a", "1.0-1", "b", "c", "lua >= 5.1").put("b", "1.0-1", "d").put("c", "1.0-1", "d")
    table.put("d", "1.0-1").put("d", "2.0-1")
    solve([Request(parse_dependency("a"))], table, Situation(provided={"lua": "5.1-1"}))
    assert [each for each in table.announced if any(each)] == [
        ([("a", None)], []),
        ([], ["a 1.0-1"]),
        ([("b", None), ("c", None)], []),
        ([], ["b 1.0-1", "c 1.0-1"]),
        ([("d", None)], []),
        ([], ["d 2.0-1"]),
    ]


def test_the_more_versions_are_refused_the_more_are_announced_at_once():
    table = Rocks().put("c", "1.0-1", "b < 2").put("b", "1.0-1").put("b", "2.0-1")
    for number in range(1, 101):
        table.put("a", f"{number}.0-1", "b >= 2" if number > 1 else "b")
    solve([Request(parse_dependency("c")), Request(parse_dependency("a"))], table)
    assert len([each for each in table.announced if each[1]]) < 12


def test_a_rock_given_as_a_file_is_the_only_one_of_its_name():
    table = Rocks().put("a", "2.0-1").put("b", "1.0-1", "a")
    given = Overlay(table, {Candidate("a", "1.0-1", None, True, "a-1.0-1.src.rock"): Facts()})
    found = solve([Request(parse_dependency("a 1.0-1")), Request(parse_dependency("b"))], given)
    assert installs(found) == ["a 1.0-1", "b 1.0-1"]
    assert found.install[0].candidate.origin == "a-1.0-1.src.rock"
    assert given.complete is False


def test_a_solver_can_be_asked_again(rocks):
    world = rocks.world_of(DIAMOND)
    solver = Solver(rocks.table_of(world), Situation())
    first = solver.solve(rocks.requests_of("top"))
    with pytest.raises(Unsolvable):
        solver.solve(rocks.requests_of("top", "left >= 2"))
    assert solver.solve(rocks.requests_of("top")) == first


def test_of_two_installed_versions_one_may_stay_alone(ask):
    """Both are kept if possible; else the one that fits is installed anew, and the other goes."""
    world = "aa 1.0-1\naa 2.0-1: cc >= 2\ncc 1.0-1\ncc 2.0-1"
    there = ["aa 1.0-1", "aa 2.0-1", "cc 2.0-1"]
    assert installs(ask(world, "aa", "cc < 2", installed=there)) == ["aa 1.0-1", "cc 1.0-1"]
    assert installs(ask(world, "aa", "cc", installed=there)) == []
