"""Sources in Mercurial, Subversion and CVS, through their programs (LuaRocks contract 2.6)."""

from __future__ import annotations

import os

from pumice.base.disk import remove_tree
from pumice.source.tools import Tool, no_option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pumice.base.config import Config
    from pumice.base.progress import Progress
    from pumice.rock.rockspec import Rockspec

__all__ = ["checkout_cvs", "checkout_hg", "checkout_svn"]


def checkout_hg(
    rockspec: Rockspec, target: str, config: Config, progress: Progress, branch: str | None
) -> str:
    """Clone a Mercurial repository into `target`, which must not exist; gives the commit.

    Raises FetchError.
    """
    source = rockspec.source
    url = source.url.removeprefix("hg+").removeprefix("hg://")
    tool = Tool("hg", "Mercurial", config, progress, {**config.environment, "HGPLAIN": "1"})
    reference = source.tag or branch or source.branch
    revision = [] if reference is None else ["--rev", no_option(reference, "source.tag")]
    arguments = ["clone", "--noninteractive", *revision, "--", no_option(url, "source.url"), target]
    tool.run(arguments, "Failed cloning hg repository.", cwd=os.path.dirname(target))
    commit = tool.run(
        ["log", "--limit", "1", "--rev", ".", "--template", "{node}"],
        "Failed cloning hg repository.",
        cwd=target,
    )
    for left in (".hg", ".hgignore"):
        remove_tree(os.path.join(target, left))
    return commit.strip()


def checkout_svn(rockspec: Rockspec, target: str, config: Config, progress: Progress) -> None:
    """Check a Subversion directory out into `target`, which must not exist. Raises FetchError."""
    source = rockspec.source
    inner = source.url.removeprefix("svn://")
    url = inner if "://" in inner else source.url
    tool = Tool("svn", "Subversion", config, progress, config.environment)
    revision = [] if source.tag is None else ["--revision", no_option(source.tag, "source.tag")]
    arguments = ["checkout", "--non-interactive", *revision, "--", no_option(url, "source.url"), target]
    tool.run(arguments, "Failed fetching files from Subversion.", cwd=os.path.dirname(target))
    for folder, directories, _ in os.walk(target):
        if ".svn" in directories:
            directories.remove(".svn")
            remove_tree(os.path.join(folder, ".svn"))


def checkout_cvs(rockspec: Rockspec, target: str, config: Config, progress: Progress) -> None:
    """Export a CVS module into `target`, which must not exist. Raises FetchError."""
    source = rockspec.source
    tool = Tool("cvs", "CVS", config, progress, config.environment)
    module = no_option(source.checkout_name, "source.module")
    version = ["-D", "now"] if source.tag is None else ["-r", no_option(source.tag, "source.tag")]
    arguments = ["-Q", "-d", no_option(source.pathname, "source.url"), "export", *version]
    arguments += ["-d", os.path.basename(target), module]
    tool.run(arguments, "Failed fetching files from CVS.", cwd=os.path.dirname(target))
