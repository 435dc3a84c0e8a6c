"""What is silenced has a reason, and answers to something."""

import pytest

from pumice.kong.finding import finding
from pumice.kong.silence import Silence, apply_silences, read_silences

FOUND = finding("name-package", "m", file="a.rockspec")


def toml(entry: str) -> bytes:
    return f"[project]\n\n[check]\nsilence = [\n  {entry},\n]\n".encode()


def test_a_silence_with_a_reason_takes_its_finding_out() -> None:
    silences, problems = read_silences(toml('{ code = "name-package", reason = "old" }'))
    assert problems == ()
    assert silences == (Silence("name-package", "old", None, 5),)
    told, silenced = apply_silences([FOUND, finding("lua-syntax", "m")], silences)
    assert [item.code for item in told] == ["lua-syntax"]
    assert [(item.finding, item.reason) for item in silenced] == [(FOUND, "old")]


@pytest.mark.parametrize("reason", ["", ', reason = ""', ', reason = "  "', ", reason = 5"])
def test_a_silence_without_a_reason_is_a_finding_and_does_nothing(reason: str) -> None:
    silences, (problem,) = read_silences(toml(f'{{ code = "name-package"{reason} }}'))
    assert silences == ()
    assert (problem.code, problem.file, problem.line) == ("silence-reason", "pumice.toml", 5)


def test_a_silence_that_meets_nothing_is_a_finding() -> None:
    told, silenced = apply_silences([], [Silence("name-package", "old", None, 5)])
    assert [(item.code, item.line) for item in told] == [("silence-unused", 5)]
    assert silenced == ()


@pytest.mark.parametrize(("path", "count"), [("a.rockspec", 1), ("*.rockspec", 1), ("b.rockspec", 0)])
def test_a_path_narrows_it(path: str, count: int) -> None:
    _, silenced = apply_silences([FOUND], [Silence("name-package", "old", path, None)])
    assert len(silenced) == count


@pytest.mark.parametrize(
    "data",
    [
        b"[check",
        b"[check]\nsilence = 5",
        b"check = 5",
        toml("5"),
        toml('{ reason = "x" }'),
        toml('{ code = "nonsense", reason = "x" }'),
        toml('{ code = "name-package", reason = "x", file = "y" }'),
        toml('{ code = "name-package", reason = "x", path = 5 }'),
        b"\xff\xfe",
    ],
)
def test_what_is_not_understood_is_an_error(data: bytes) -> None:
    silences, (problem,) = read_silences(data)
    assert silences == ()
    assert (problem.code, problem.severity) == ("silence-invalid", "error")


@pytest.mark.parametrize("data", [b"", b"[project]\n", b"[check]\n", b"[check]\nsilence = []\n"])
def test_a_file_without_silences_is_fine(data: bytes) -> None:
    assert read_silences(data) == ((), ())
