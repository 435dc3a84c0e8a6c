"""Sources in git, through the git program (LuaRocks contract 2.6).

The repository is not trusted: no hooks and no templates, only the protocol of the URL, no prompts, and no
value of the rockspec can become an option. The user's own configuration (credentials, proxies, insteadOf)
counts.
"""

from __future__ import annotations

import os
import re

from pumice.base.disk import remove_tree
from pumice.errors import FetchError
from pumice.source.tools import Tool, no_option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rockspec import Rockspec

__all__ = ["checkout_git"]

_SAFE = (
    "core.hooksPath=/dev/null",
    "init.templateDir=",
    "core.fsmonitor=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "protocol.ext.allow=never",
    "advice.detachedHead=false",
)
_OTHER_REPOSITORY = frozenset(
    ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
)
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def checkout_git(
    rockspec: Rockspec, target: str, config: Config, progress: Progress, branch: str | None
) -> str:
    """Check the sources out into `target`, which must not exist; gives the commit.

    The tag wins over the branch (`branch` replaces the rockspec's); either may be a commit, too. Submodules
    come from format 3.0 on. Raises FetchError.
    """
    url, protocol = _url(rockspec, config, progress)
    reference = rockspec.source.tag or branch or rockspec.source.branch
    tool = Tool("git", "Git", config, progress, _environment(protocol, config.environment))
    above, name = os.path.split(target)
    if reference is not None and _COMMIT.fullmatch(reference):
        _clone(tool, url, name, above, ["--no-checkout"])
        found = _resolved(tool, reference, target)
        tool.run(
            [*_options(), "checkout", "--quiet", "--detach", found],
            f'Failed to check out the "{reference}" tag or branch.',
            cwd=target,
        )
    else:
        wanted = [] if reference is None else [f"--branch={reference}"]
        _clone_shallow(tool, url, name, above, wanted)
    commit = tool.run(["rev-parse", "HEAD"], "Failed cloning git repository.", cwd=target).strip()
    if rockspec.format_at_least("3.0"):
        tool.run(
            [*_options(), "submodule", "update", "--init", "--recursive", "--recommend-shallow"],
            "Failed to fetch submodules.",
            cwd=target,
        )
    for left in (".git", ".gitignore"):
        remove_tree(os.path.join(target, left))
    return commit


def _url(rockspec: Rockspec, config: Config, progress: Progress) -> tuple[str, str]:
    """What git is asked for, and its protocol."""
    url = rockspec.source.fetch_url
    if url != rockspec.source.url:
        progress.message("info", f"GitHub no longer serves git://; using {url} instead")
    url = url.removeprefix("git+")
    protocol, _, rest = url.partition("://")
    if protocol == "file":
        return os.path.join(config.cwd, rest), "file"
    no_option(url, "source.url")
    if protocol == "ssh" and re.match(r"[^/]+:[^0-9/]", rest):
        return rest, "ssh"  # user@host:path, as scp writes it
    return url, protocol


def _environment(protocol: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Without what a surrounding git (a hook) says of its own repository."""
    others = "" if protocol == "file" else ":https:http:ssh:git"
    return {
        **{name: value for name, value in environment.items() if name not in _OTHER_REPOSITORY},
        "GIT_ALLOW_PROTOCOL": f"{protocol}{others}",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def _options() -> list[str]:
    return [word for setting in _SAFE for word in ("-c", setting)]


def _clone(tool: Tool, url: str, name: str, above: str, more: list[str]) -> None:
    arguments = [*_options(), "clone", "--no-local", *more, "--", url, name]
    tool.run(arguments, "Failed cloning git repository.", cwd=above)


def _clone_shallow(tool: Tool, url: str, name: str, above: str, more: list[str]) -> None:
    """Clone the last commit only; the whole history from a server that cannot do that."""
    arguments = [*_options(), "clone", "--no-local", "--depth=1", *more, "--", url, name]
    finished = tool.attempt(arguments, cwd=above)
    if finished.ok:
        return
    if "shallow" not in finished.output:
        last = " ".join(finished.output.strip().splitlines()[-3:])
        raise FetchError("Failed cloning git repository.", hint=f"git said: {last}")
    remove_tree(os.path.join(above, name))
    _clone(tool, url, name, above, more)


def _resolved(tool: Tool, reference: str, target: str) -> str:
    """The commit that a reference means: it looks like the start of one, but may be a tag or a branch."""
    for name in (f"refs/tags/{reference}", f"refs/remotes/origin/{reference}", reference):
        finished = tool.attempt(["rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"], cwd=target)
        if finished.ok:
            return finished.output.strip()
    raise FetchError(
        f'Failed to check out the "{reference}" tag or branch.',
        hint="The repository has no such tag, branch or commit.",
    )
