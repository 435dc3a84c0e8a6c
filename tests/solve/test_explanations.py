"""Explanations as chains of reasoning: each step follows, everything needed is said, nothing else."""

import random

from pumice.solve.cause import Asked, Needs
from pumice.solve.core import facts_of
from pumice.solve.solver import Unsolvable, solve

WEB = """
    app 1.0-1: web >= 2; log
    web 2.0-1: http >= 3
    web 3.0-1: http >= 3; ssl
    http 3.0-1: ssl < 2
    http 3.1-1: ssl < 2
    log 1.0-1: net
    net 1.0-1: ssl >= 2
    net 2.0-1: ssl >= 2.1
    other 1.0-1: ssl
    ssl 1.0-1
    ssl 2.0-1
    ssl 2.1-1
"""


def test_a_long_way_is_told_step_by_step(refused):
    assert refused(WEB, "other", "app").splitlines() == [
        "app cannot be installed:",
        "  Because app is asked for and app 1.0-1 needs log, log is needed.",
        "  Because app is asked for and app 1.0-1 needs web >= 2, web is needed.",
        "  Because log is needed and log 1.0-1 needs net, net is needed.",
        "  Because web is needed and every version of web needs http >= 3, http is needed.",
        "  Because http is needed and every version of http needs ssl < 2, ssl has to be 1.0-1.",
        "  Because ssl has to be 1.0-1 and net 2.0-1 needs ssl >= 2.1, net has to be 1.0-1.",
        "  But net has to be 1.0-1, ssl has to be 1.0-1 and net 1.0-1 needs ssl >= 2: nothing is left.",
    ]


def test_where_two_ways_are_closed_each_is_told(refused):
    world = """
        a 1.0-1: b 1.0
        a 2.0-1: b 2.0
        b 1.0-1: c < 2
        b 2.0-1: d < 2
        c 1.0-1
        c 2.0-1
        d 1.0-1
        d 2.0-1
        e 1.0-1: c >= 2; d >= 2
    """
    assert refused(world, "a", "e").splitlines() == [
        "a and e cannot be installed together:",
        "  Because e is asked for and e 1.0-1 needs d >= 2, d has to be 2.0-1.",
        "  Because d has to be 2.0-1 and b 2.0-1 needs d < 2, b 2.0-1 cannot be used.",
        "  Because b 2.0-1 cannot be used and a 2.0-1 needs b 2.0, a has to be 1.0-1.",
        "  Because e is asked for and e 1.0-1 needs c >= 2, c has to be 2.0-1.",
        "  Because c has to be 2.0-1 and b 1.0-1 needs c < 2, b 1.0-1 cannot be used.",
        "  But a has to be 1.0-1, b 1.0-1 cannot be used and a 1.0-1 needs b 1.0: nothing is left.",
    ]


def test_where_nothing_follows_by_itself_a_version_is_supposed(refused):
    world = """
        p 1.0-1: q 2.0
        p 2.0-1: q 1.0
        q 1.0-1: p 1.0
        q 2.0-1: p 2.0
    """
    assert refused(world, "p").splitlines() == [
        "p cannot be installed:",
        "  Suppose p 2.0-1:",
        "    Because p is asked for and p 2.0-1 needs q 1.0, q has to be 1.0-1.",
        "    But q has to be 1.0-1 and q 1.0-1 needs p 1.0: nothing is left.",
        "  So p has to be 1.0-1.",
        "  Because p is asked for and p 1.0-1 needs q 2.0, q has to be 2.0-1.",
        "  But q has to be 2.0-1, p has to be 1.0-1 and q 2.0-1 needs p 2.0: nothing is left.",
    ]


def test_what_stays_installed_and_what_alternatives_lack_is_part_of_it(refused):
    world = """
        kong 3.9-1: core
        core 1.0-1: base
        base 1.0-1: pen == 1.0
        util 2.0-1: ink
        util 1.0-1: ink; lua >= 5.3
        ink 1.0-1: jar
        jar 1.0-1: pen >= 2
        pen 1.0-1
        pen 2.0-1
    """
    there = ["kong 3.9-1", "core 1.0-1", "base 1.0-1", "pen 1.0-1"]
    text = refused(world, "util", installed=there)
    assert text.splitlines()[0] == "util cannot be installed while base stays installed:"
    assert "base has to stay installed" in text or "base 1.0-1 (installed) needs pen 1.0" in text
    assert text.endswith(": nothing is left.")


def test_a_chain_that_nobody_would_read_stays_a_list(refused):
    lines = [f"r{number} 1.0-1: r{number + 1}" for number in range(60)]
    text = refused(
        "\n".join([*lines, "r60 1.0-1: s >= 2", "s 1.0-1", "s 2.0-1", "t 1.0-1: s < 2"]), "r0", "t"
    )
    assert "Because" not in text and "more reasons" in text


def crowded(chance):
    """A world in which most rocks exclude some version of another."""
    names = "abcdefg"
    return {
        name: {
            f"{version}.0-1": [
                f"{other} {chance.choice(('< 2', '>= 2', ''))}".strip()
                for other in chance.sample(names, 2)
                if other != name
            ]
            for version in (1, 2)
        }
        for name in names
    }


def test_every_fact_of_the_proof_is_said_and_every_step_is_a_sentence(rocks):
    seen = 0
    for seed in range(400):
        chance = random.Random(seed)
        world = crowded(chance)
        try:
            solve(rocks.requests_of(*chance.sample("abcdefg", 2)), rocks.table_of(world))
        except Unsolvable as error:
            if not error.message.endswith("nothing is left."):
                continue
            seen += 1
            for fact in facts_of(error.proof):
                if isinstance(fact.cause, Needs | Asked):
                    assert str(fact.cause.dependency) in error.message
            for line in error.message.splitlines()[1:]:
                assert line.strip().startswith(("Because ", "But ", "Suppose ", "So "))
                assert line.endswith((".", ":"))
    assert seen > 20
