"""What the words of `install` ask for: files, URLs, names with constraints (settled.md, `install` words)."""

from __future__ import annotations

from pumice.base.value import Value
from pumice.errors import UsageError, VersionError
from pumice.rock.dependency import parse_dependency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pumice.rock.dependency import Dependency

__all__ = ["Requests", "is_version_word", "parse_requests"]

_FILES = (".rock", ".rockspec")
_BUNDLES = (".tar.gz", ".tgz")


class Requests(Value):
    """The words of one command, sorted by kind; each kind in the order given."""

    files: tuple[str, ...] = ()
    """Paths and URLs of `.rock`, `.src.rock` and `.rockspec` files."""
    bundles: tuple[str, ...] = ()
    """Paths of bundles: a rock with its closure in one file."""
    names: tuple[Dependency, ...] = ()


def is_version_word(word: str) -> bool:
    """Whether a word is a version: a digit first, or `scm`, `dev`, `cvs`."""
    return word[:1].isdigit() or word.startswith(("scm", "dev", "cvs"))


def parse_requests(words: Sequence[str], namespace: str | None = None) -> Requests:
    """The requests that the words write.

    Exactly two words, of which the second is a version, are LuaRocks's `NAME VERSION`. `namespace` counts for
    names that have none of their own. Raises UsageError for a word that is none of all that.
    """
    if len(words) == 2 and _is_name(words[0]) and is_version_word(words[1]):
        words = [f"{words[0]} == {words[1]}"]
    files: list[str] = []
    bundles: list[str] = []
    names: list[Dependency] = []
    for word in words:
        if word.endswith(_FILES):
            files.append(word)
        elif word.endswith(_BUNDLES):
            bundles.append(word)
        elif "://" in word:
            raise UsageError(
                f"{word} is not the URL of a rock",
                hint="A rock's URL ends in .rock, .src.rock or .rockspec.",
            )
        else:
            names.append(_named(word, namespace))
    return Requests(tuple(files), tuple(bundles), tuple(names))


def _is_name(word: str) -> bool:
    return not word.endswith((*_FILES, *_BUNDLES)) and "://" not in word and " " not in word.strip()


def _named(word: str, namespace: str | None) -> Dependency:
    try:
        dependency = parse_dependency(word)
    except VersionError as error:
        raise UsageError(
            f"'{word}' names no rock: {error.message}",
            hint="A request is a file, a URL, or a name with constraints: 'penlight >= 1.13, < 2'.",
        ) from None
    if namespace and not dependency.namespace:
        return dependency.replace(namespace=namespace)
    return dependency
