"""Command lines mean what they mean to LuaRocks (contract 1.1)."""

import pytest

from pumice.cli.arguments import Arguments, Command, Option, Positional, parse, split_assignments
from pumice.errors import UsageError

GLOBAL = (
    Option(("--tree", "--to"), metavar="<tree>"),
    Option(("--lua-version",), metavar="<ver>"),
    Option(("--verbose",)),
    Option(("--help", "-h")),
)
INSTALL = Command(
    "install",
    "",
    positionals=(Positional("rock", count="+"),),
    options=(
        Option(("--force",)),
        Option(("--only-deps", "--deps-only")),
        Option(("--deps-mode",), metavar="<mode>", choices=("all", "one")),
        Option(("--for",), metavar="<x>", repeat=True),
        Option(("--plan",), metavar="[<file>]", optional=".json"),
    ),
)
SHOW = Command("show", "", positionals=(Positional("rock"), Positional("version", count="?")))
COMMANDS = {"install": INSTALL, "show": SHOW, "make_manifest": Command("make_manifest", "")}


def given(*words: str) -> Arguments:
    return parse(words, GLOBAL, tuple(COMMANDS), COMMANDS.__getitem__)


@pytest.mark.parametrize(
    "words",
    [
        ("--tree", "t", "install", "a"),
        ("install", "--tree", "t", "a"),
        ("install", "a", "--tree=t"),
        ("install", "a", "--to", "t"),
        ("install", "--tree=t", "--", "a"),
    ],
)
def test_options_stand_before_or_after_the_command(words: tuple[str, ...]) -> None:
    found = given(*words)
    assert (found.command, found.texts("rock"), found.text("tree")) == ("install", ("a",), "t")


def test_hidden_second_names_set_the_same_value() -> None:
    assert given("install", "--deps-only", "a").flag("only_deps")


def test_a_dash_in_a_command_or_option_may_be_an_underscore() -> None:
    assert given("make-manifest").command == "make_manifest"
    assert given("install", "--only_deps", "a").flag("only_deps")


def test_a_positional_named_like_a_flag_does_not_set_the_flag() -> None:
    """`pumice pack NAME VERSION` once printed the version of Pumice."""
    found = given("show", "a", "1.0-1")
    assert found.text("version") == "1.0-1"
    assert not found.flag("version")


def test_double_dash_ends_the_options() -> None:
    assert given("install", "--", "--force", "A=b").texts("rock") == ("--force", "A=b")


def test_repeated_options_keep_every_value() -> None:
    assert given("install", "--for", "x", "--for=y", "a").texts("for") == ("x", "y")


@pytest.mark.parametrize(
    ("words", "plan", "rocks"),
    [
        (("--plan", "a"), None, ("a",)),
        (("a", "--plan"), None, ("a",)),
        (("--plan=x", "a"), "x", ("a",)),
        (("--plan", "x.json", "a"), "x.json", ("a",)),
    ],
)
def test_a_value_may_be_left_out(words: tuple[str, ...], plan: str | None, rocks: tuple[str, ...]) -> None:
    """It is never taken for what the command works on."""
    arguments = given("install", *words)
    assert arguments.text("plan") == plan
    assert arguments.flag("plan") == (plan is None)
    assert arguments.texts("rock") == rocks


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("nosuch",), "unknown command 'nosuch'"),
        (("instal", "x"), "unknown command 'instal'\nDid you mean 'install'?"),
        (("install",), "missing argument 'rock'"),
        (("install", "--po", "x"), "unknown option '--po'\nDid you mean '--to'?"),
        (
            ("install", "--forc", "x"),
            "unknown option '--forc'\nDid you mean one of these: '--for' '--force'?",
        ),
        (("install", "--tree"), "option '--tree' requires an argument"),
        (("install", "--force=1", "x"), "option '--force' does not take arguments"),
        (("show", "a", "1", "b"), "too many arguments"),
        (
            ("install", "--deps-mode=zz", "x"),
            "argument for option '--deps-mode' must be one of 'all', 'one'",
        ),
    ],
)
def test_a_wrong_command_line_gets_luarocks_words(words: tuple[str, ...], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        given(*words)
    assert caught.value.message == text
    assert caught.value.exit_code == 1


def test_the_usage_printed_is_that_of_the_command_at_hand() -> None:
    with pytest.raises(UsageError) as caught:
        given("show")
    assert caught.value.command is SHOW


def test_assignments_are_taken_out_up_to_the_double_dash() -> None:
    assert split_assignments(["CC=clang", "make", "X_DIR=", "--", "A=b"]) == (
        ["make", "--", "A=b"],
        {"CC": "clang", "X_DIR": ""},
    )


def test_a_constraint_is_no_assignment() -> None:
    words = ["install", "a >= 1.0", "a==1", "http://h/?a=b"]
    assert split_assignments(words) == (words, {})


def test_a_pair_that_an_option_takes_is_no_assignment():
    words = ["cluster", "init", "--node", "a=ssh://b", "--set", "tree=/opt"]
    assert split_assignments([*words, "CC=clang"]) == (words, {"CC": "clang"})


def test_a_lower_case_assignment_is_refused() -> None:
    with pytest.raises(UsageError, match="Invalid assignment: foo=1"):
        split_assignments(["install", "foo=1"])
