"""Sources in git, with real local repositories."""

import os
from pathlib import Path
from typing import Any

import pytest

from pumice.errors import FetchError

pytestmark = pytest.mark.peer

V3 = 'rockspec_format = "3.0"'


def url(repository: Any) -> str:
    return f'url = "git+file://{repository.path}"'


def test_the_default_branch_is_checked_out_without_gits_own_files(
    fetcher: Any, repository: Any, files: Any
) -> None:
    fetched = fetcher.fetch(url(repository))
    assert files(fetched.dir) == {"a.lua", "sub/b.lua"}
    assert fetched.commit == repository.git("rev-parse", "HEAD")
    assert Path(fetched.dir).name == "sample"
    assert (fetched.checkout_dir, fetched.archive_path) == (fetched.dir, None)


def test_a_tag_wins_over_a_branch_and_a_given_branch_over_the_written(fetcher: Any, repository: Any) -> None:
    tagged = repository.git("rev-parse", "HEAD")
    repository.git("tag", "v1")
    repository.git("checkout", "-q", "-b", "other")
    other = repository.commit({"a.lua": "other"})
    repository.git("checkout", "-q", "main")
    latest = repository.commit({"a.lua": "latest"})
    for source, branch, commit in (
        ('tag = "v1", branch = "other"', None, tagged),
        ('branch = "other"', None, other),
        ('branch = "other"', "main", latest),
        ('tag = "v1"', "main", tagged),
    ):
        assert fetcher.fetch(f"{url(repository)}, {source}", branch=branch).commit == commit
        fetcher.into = fetcher.into.with_name(fetcher.into.name + "x")


@pytest.mark.parametrize("length", [40, 10])
def test_a_tag_may_be_a_commit(fetcher: Any, repository: Any, length: int) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.commit({"a.lua": "second"})
    fetched = fetcher.fetch(f'{url(repository)}, tag = "{first[:length]}"')
    assert (fetched.commit, (Path(fetched.dir) / "a.lua").read_text()) == (first, "first")


def test_a_tag_that_looks_like_a_commit_is_a_tag(fetcher: Any, repository: Any) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "20200101")
    repository.commit({"a.lua": "second"})
    assert fetcher.fetch(f'{url(repository)}, tag = "20200101"').commit == first


@pytest.mark.parametrize("reference", ["nope", "abcdef0123"])
def test_what_the_repository_lacks_fails(fetcher: Any, repository: Any, reference: str) -> None:
    with pytest.raises(FetchError, match="Failed"):
        fetcher.fetch(f'{url(repository)}, tag = "{reference}"')


def test_a_repository_that_is_not_there_fails_with_gits_words(fetcher: Any) -> None:
    with pytest.raises(FetchError, match=r"Failed cloning git repository\.") as info:
        fetcher.fetch('url = "git+file:///nowhere/x.git"')
    assert info.value.hint.startswith("git said: ")


def test_submodules_come_from_format_3_on(
    fetcher: Any, repository: Any, new_repository: Any, files: Any
) -> None:
    inner = new_repository("inner")
    inner.commit({"inner.lua": "i"})
    repository.git("submodule", "add", "-q", str(inner.path), "deep")
    repository.commit({})
    assert "deep/inner.lua" not in files(fetcher.fetch(url(repository)).dir)
    fetcher.into = fetcher.into.with_name("again")
    assert "deep/inner.lua" in files(fetcher.fetch(url(repository), before=V3).dir)


def test_a_directory_of_the_checkout_may_be_the_source(fetcher: Any, repository: Any, files: Any) -> None:
    fetched = fetcher.fetch(f'{url(repository)}, dir = "sample/sub"')
    assert files(fetched.dir) == {"b.lua"}
    assert Path(fetched.checkout_dir).name == "sample"


def test_github_is_asked_over_https_with_a_word(fetcher: Any, tmp_path: Path) -> None:
    fake = tmp_path / "git"
    fake.write_text('#!/bin/sh\necho "$@" > asked\nexit 1\n')
    fake.chmod(0o755)
    with pytest.raises(FetchError):
        fetcher.fetch('url = "git://github.com/o/sample"', variables={"GIT": str(fake)})
    assert (fetcher.into / "asked").read_text().rstrip().endswith("-- https://github.com/o/sample sample")
    assert fetcher.messages.seen[0][0] == "info"


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("git+ssh://git@host:me/sample.git", "git@host:me/sample.git sample"),
        ("git+ssh://git@host:22/me/sample.git", "ssh://git@host:22/me/sample.git sample"),
        ("git+https://host/sample.git", "https://host/sample.git sample"),
        ("git://host/sample", "git://host/sample sample"),
    ],
)
def test_what_git_is_asked_for(fetcher: Any, tmp_path: Path, written: str, asked: str) -> None:
    fake = tmp_path / "git"
    fake.write_text('#!/bin/sh\necho "$@" > asked\necho "$GIT_ALLOW_PROTOCOL" > allowed\nexit 1\n')
    fake.chmod(0o755)
    with pytest.raises(FetchError):
        fetcher.fetch(f'url = "{written}"', variables={"GIT": str(fake)})
    assert (fetcher.into / "asked").read_text().rstrip().endswith(f"-- {asked}")
    assert "file" not in (fetcher.into / "allowed").read_text()


@pytest.mark.parametrize(
    "source",
    [
        'url = "git+ssh://-oProxyCommand=touch owned/x"',
        'url = "git+ssh://-oProxyCommand=touch owned:x"',
        'url = "git+ssh://a@-oProxyCommand=touch/x"',
        'url = "git://host/-x"',
        'url = "git+https://host/.."',
    ],
)
@pytest.mark.adversary(42)
def test_no_value_becomes_an_option_or_leaves_the_directory(
    fetcher: Any, tmp_path: Path, source: str
) -> None:
    fake = tmp_path / "git"
    fake.write_text('#!/bin/sh\ntouch ran\necho "$@" > asked\nexit 1\n')
    fake.chmod(0o755)
    with pytest.raises(FetchError):
        fetcher.fetch(source, variables={"GIT": str(fake)})
    if "-x" in source:
        assert " -- git://host/-x " in (fetcher.into / "asked").read_text()
    else:
        assert not (fetcher.into / "ran").exists()


@pytest.mark.adversary(42)
def test_hooks_and_templates_of_the_user_do_not_run(fetcher: Any, repository: Any, files: Any) -> None:
    template = fetcher.place / "template/hooks"
    template.mkdir(parents=True)
    hook = template / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {fetcher.place}/ran\n")
    hook.chmod(0o755)
    (fetcher.place / ".gitconfig").write_text(f"[init]\ntemplateDir = {template.parent}\n")
    fetcher.fetch(url(repository))
    assert not (fetcher.place / "ran").exists()


def test_the_repository_of_a_surrounding_git_hook_is_not_used(fetcher: Any, repository: Any) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(fetcher.place), "GIT_DIR": "/nowhere/.git"}
    assert fetcher.fetch(url(repository), environment=environment).commit
