"""`make` without an argument takes the rockspec that LuaRocks would take (contract 1.4)."""

from pathlib import Path

import pytest

from pumice.errors import NotFoundError, RockspecError, UsageError
from pumice.operation.rockspec_choice import choose_rockspec, rockspec_argument


def files(folder: Path, *names: str) -> str:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return str(folder)


def test_the_newest_version_of_the_only_rock(tmp_path: Path) -> None:
    folder = files(tmp_path, "a-1.9-1.rockspec", "a-1.10-1.rockspec", "a-1.10rc1-1.rockspec")
    assert choose_rockspec(folder) == f"{folder}/a-1.10-1.rockspec"


def test_the_only_file_without_a_version_wins(tmp_path: Path) -> None:
    folder = files(tmp_path, "a-1.0-1.rockspec", "rockspec")
    assert choose_rockspec(folder) == f"{folder}/rockspec"


def test_rockspec_and_rockspecs_directories_are_searched_too(tmp_path: Path) -> None:
    folder = files(tmp_path, "rockspec/a-1.0-1.rockspec", "rockspecs/a-2.0-1.rockspec")
    assert choose_rockspec(folder) == f"{folder}/rockspecs/a-2.0-1.rockspec"


def test_of_several_rocks_the_one_named_like_the_directory(tmp_path: Path) -> None:
    folder = files(tmp_path / "b", "a-1.0-1.rockspec", "b-1.0-1.rockspec")
    assert choose_rockspec(folder) == f"{folder}/b-1.0-1.rockspec"


@pytest.mark.parametrize("names", [("x.rockspec", "y.rockspec"), ("a-1.0-1.rockspec", "b-1.0-1.rockspec")])
def test_several_candidates_are_an_error(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(RockspecError, match=r"Please specify which rockspec file to use\."):
        choose_rockspec(files(tmp_path, *names))


def test_no_candidate_at_all(tmp_path: Path) -> None:
    assert choose_rockspec(str(tmp_path)) is None
    with pytest.raises(NotFoundError, match="Argument missing: please specify a rockspec"):
        rockspec_argument(None, str(tmp_path))


def test_an_argument_that_is_no_rockspec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'make' takes a rockspec as a parameter"):
        rockspec_argument("a.rock", str(tmp_path))
