"""Command lines parsed as LuaRocks parses them (contract 1.1), from declarations.

Options come before or after the command, as `--opt value` or `--opt=value`, never abbreviated; `--` ends
them; `-` and `_` are the same inside a name. The texts of the errors are LuaRocks's, for scripts match on
them. It stands here because argparse says other things, and costs more time than `pumice list` may take.
"""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Arguments", "Command", "Option", "Positional", "parse", "split_assignments"]


class Option(Value):
    """A flag (no `metavar`) or an option with one value."""

    names: tuple[str, ...]
    """With dashes; the first one, dashes turned to underscores, is the key of the value."""
    help: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    hidden: bool = False
    repeat: bool = False
    """The option may be given several times; all its values count."""
    optional: str = ""
    """The value may be left out: it is what follows `=`, or the next word if that ends like this."""

    @property
    def key(self) -> str:
        """The name under which `Arguments` keeps the value."""
        return self.names[0].lstrip("-").replace("-", "_")


class Positional(Value):
    """An argument by position: exactly one (`1`), optional (`?`), any number (`*`), at least one (`+`)."""

    name: str
    help: str = ""
    count: str = "1"


class Command(Value):
    """What one command takes. `group` gathers commands in the overview of `help`."""

    name: str
    summary: str
    description: str = ""
    positionals: tuple[Positional, ...] = ()
    options: tuple[Option, ...] = ()
    group: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    """(command line, what it does) pairs for the help text."""


class Arguments:
    """What was given: by key, with nothing for what was not."""

    __slots__ = ("_values", "assignments", "command")

    def __init__(self, command: str | None, values: dict[str, object], assignments: dict[str, str]) -> None:
        self.command = command
        self._values = values
        self.assignments = assignments

    def flag(self, key: str) -> bool:
        """Whether the flag was given; a positional of the same name (`version`) does not count."""
        return self._values.get(key) is True

    def text(self, key: str) -> str | None:
        """The value of an option or of an optional positional, None when not given."""
        found = self._values.get(key)
        return found if isinstance(found, str) else None

    def required(self, key: str) -> str:
        """The value of a positional that the parser has made sure of."""
        found = self._values[key]
        assert isinstance(found, str)
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """All values of a repeated option or of a positional that takes several."""
        found = self._values.get(key, ())
        return tuple(found) if isinstance(found, list | tuple) else ()

    def with_values(self, **changes: object) -> Arguments:
        """The same arguments with some values put in."""
        return Arguments(self.command, {**self._values, **changes}, self.assignments)


def _is_identifier(text: str) -> bool:
    return bool(text) and text.isascii() and text.isidentifier()


_PAIRS = ("--node", "--set")
"""Options of Pumice's own whose value is NAME=VALUE: it is theirs, and no assignment."""


def split_assignments(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words without `VAR=VALUE`, and those assignments, up to `--` (settled.md, contract 1.1).

    Raises UsageError `Invalid assignment: foo=1` when the name is not upper-case.
    """
    rest: list[str] = []
    assignments: dict[str, str] = {}
    for position, word in enumerate(words):
        if word == "--":
            rest.extend(words[position:])
            break
        name, equals, value = word.partition("=")
        theirs = position > 0 and words[position - 1] in _PAIRS
        if not equals or theirs or not _is_identifier(name) or value.startswith("="):
            rest.append(word)
        elif name != name.upper():
            raise UsageError(f"Invalid assignment: {word}", hint="Variables have upper-case names: CC=clang.")
        else:
            assignments[name] = value
    return rest, assignments


def _closest(word: str, known: Sequence[str]) -> str:
    """LuaRocks's “Did you mean” line for a misspelt word, or nothing."""
    near = sorted(candidate for candidate in known if _one_edit_apart(word, candidate))
    if not near:
        return ""
    quoted = " ".join(f"'{candidate}'" for candidate in near)
    return f"\nDid you mean {'one of these: ' if len(near) > 1 else ''}{quoted}?"


def _one_edit_apart(left: str, right: str) -> bool:
    """Whether one letter added, dropped, changed or swapped with its neighbour turns one into the other."""
    if abs(len(left) - len(right)) > 1:
        return False
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    tails = (
        (left[start + 1 :], right[start:]),
        (left[start:], right[start + 1 :]),
        (left[start + 1 :], right[start + 1 :]),
    )
    if any(one == other for one, other in tails):
        return True
    swapped = left[:start] + left[start + 1 : start + 2] + left[start : start + 1] + left[start + 2 :]
    return swapped == right


class _Parser:
    """One pass over the words; knows the global options from the start, a command's once it is named."""

    def __init__(self, global_options: Sequence[Option]) -> None:
        self.values: dict[str, object] = {}
        self.options: dict[str, Option] = {}
        self.add(global_options)

    def add(self, options: Sequence[Option]) -> None:
        for option in options:
            for name in option.names:
                self.options[name.replace("_", "-")] = option

    def visible(self) -> list[str]:
        return [name for name in self.options if name.startswith("--")]

    def option(self, word: str, following: Sequence[str]) -> int:
        """Takes one option; gives how many of the following words it used."""
        name, equals, value = word.partition("=")
        option = self.options.get(name.replace("_", "-") if name.startswith("--") else name)
        if option is None:
            raise UsageError(f"unknown option '{name}'{_closest(name, self.visible())}")
        if not option.metavar:
            if equals:
                raise UsageError(f"option '{name}' does not take arguments")
            self.values[option.key] = True
            return 0
        used = 0
        if option.optional and not equals and not "".join(following[:1]).endswith(option.optional):
            self.values[option.key] = True
            return 0
        if not equals:
            if not following:
                raise UsageError(f"option '{name}' requires an argument")
            value, used = following[0], 1
        if option.choices and value not in option.choices:
            listed = ", ".join(f"'{choice}'" for choice in option.choices)
            raise UsageError(f"argument for option '{name}' must be one of {listed}")
        if option.repeat:
            given = self.values.setdefault(option.key, [])
            assert isinstance(given, list)
            given.append(value)
        else:
            self.values[option.key] = value
        return used

    def positionals(self, declared: Sequence[Positional], words: list[str]) -> None:
        rest = list(words)
        for place, positional in enumerate(declared):
            needed_later = sum(1 for later in declared[place + 1 :] if later.count in "1+")
            if positional.count in "*+":
                cut = len(rest) - needed_later
                taken, rest = rest[:cut], rest[cut:]
                if positional.count == "+" and not taken:
                    raise UsageError(f"missing argument '{positional.name}'")
                self.values[positional.name] = taken
            elif rest and (positional.count == "1" or len(rest) > needed_later):
                self.values[positional.name] = rest.pop(0)
            elif positional.count == "1":
                raise UsageError(f"missing argument '{positional.name}'")
        if rest:
            raise UsageError("too many arguments")


def parse(
    words: Sequence[str],
    global_options: Sequence[Option],
    known_commands: Sequence[str],
    load: Callable[[str], Command],
) -> Arguments:
    """The arguments of a command line without its program name.

    `load(name)` gives the `Command` of a known name; it is called at most once, when the name is met.
    Raises UsageError with LuaRocks's text; its `command` attribute, if set, says whose usage to print.
    """
    rest, assignments = split_assignments(words)
    parser = _Parser(global_options)
    command: Command | None = None
    plain: list[str] = []
    position = 0
    try:
        while position < len(rest):
            word = rest[position]
            position += 1
            if word == "--":
                plain.extend(rest[position:])
                break
            if word.startswith("-") and len(word) > 1:
                position += parser.option(word, rest[position:])
            elif command is None:
                name = word.replace("-", "_")
                if name not in known_commands:
                    raise UsageError(f"unknown command '{word}'{_closest(name, known_commands)}")
                command = load(name)
                parser.add(command.options)
            else:
                plain.append(word)
        if command is not None and not parser.values.get("help"):
            parser.positionals(command.positionals, plain)
    except UsageError as error:
        error.command = command
        error.parsed = False
        raise
    return Arguments(command.name if command else None, parser.values, assignments)
