"""The words of `install` mean what settled.md says."""

import pytest

from pumice.errors import UsageError
from pumice.operation.requests import parse_requests


def names(*words: str, namespace: str | None = None) -> list[str]:
    return [str(each) for each in parse_requests(words, namespace).names]


@pytest.mark.parametrize("version", ["1.0", "1.0-1", "scm", "dev-1", "cvs-2"])
def test_two_words_of_which_the_second_is_a_version_are_one_request(version: str) -> None:
    (found,) = names("Penlight", version)
    assert found == f"penlight {version}"


def test_any_other_words_are_a_list_of_requests() -> None:
    assert names("penlight", "lua-cjson") == ["penlight", "lua-cjson"]
    assert names("a", "1.0", "b") == ["a", "1.0", "b"]


def test_constraints_are_part_of_one_word() -> None:
    assert names("penlight >= 1.13, < 2") == ["penlight >= 1.13, < 2"]


def test_a_namespace_of_the_word_wins_over_the_option() -> None:
    assert names("user/rock", "other", namespace="ns") == ["user/rock", "ns/other"]


def test_files_urls_and_bundles_are_told_by_their_ends() -> None:
    found = parse_requests(["./a-1.0-1.all.rock", "https://h/b-1-1.src.rock", "c-1-1.rockspec", "app.tar.gz"])
    assert found.files == ("./a-1.0-1.all.rock", "https://h/b-1-1.src.rock", "c-1-1.rockspec")
    assert found.bundles == ("app.tar.gz",)
    assert found.names == ()


def test_a_file_before_a_version_is_no_name_version() -> None:
    assert parse_requests(["a-1.0-1.all.rock", "1.0"]).files == ("a-1.0-1.all.rock",)


@pytest.mark.parametrize("word", ["http://h/x", "", ">= 1.0", "a ^ 1"])
def test_what_asks_for_nothing_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        parse_requests([word])
