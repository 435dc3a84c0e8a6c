"""Every published rockspec of the corpus: the build understands it, or refuses it for a reason."""

import tarfile
from pathlib import Path

import pytest

from pumice.build.install import plan_installation
from pumice.build.modules import parse_modules
from pumice.build.sources import SourceTree
from pumice.errors import BuildError, PumiceError
from pumice.rock.rockspec import Rockspec, load_rockspec

REFUSED = {
    "code-stats.nvim-0.0.1-1": "outside of its directory",
    "lua-erento-uuid-1.0-6": "not inside the source directory",
    "luajudo-0.1-1": "has no 'sources' list",
    "many2one-1.20.08.23-1": "not inside the source directory",
    "many2one-1.21.08.13-1": "not inside the source directory",
    "tw-lua-autocomplete-0.1.0-1": "'' is not a module name",
}
"""Of 16,316: two that LuaRocks cannot build either, four that reach out of their sources or their rock."""


def understood(rockspec: Rockspec, tree: SourceTree) -> None:
    plan_installation(rockspec.build, tree)
    modules = rockspec.build.get("modules")
    if rockspec.is_builtin and modules is not None:
        parse_modules(
            modules, "so", libraries_are_dependencies="external_dependencies" not in rockspec.globals
        )


@pytest.mark.corpus
def test_every_published_rockspec_can_be_planned(shared: Path, tmp_path: Path) -> None:
    tree = SourceTree(str(tmp_path))
    refused: dict[str, str] = {}
    planned = 0
    with tarfile.open(shared / "corpus/rockspecs.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".rockspec") else None
            if file is None:
                continue
            try:
                rockspec = load_rockspec(file.read(), member.name, ("linux", "unix"), check_name=False)
            except PumiceError:
                continue
            try:
                understood(rockspec, tree)
                planned += 1
            except BuildError as error:
                refused[member.name.rpartition("/")[2].removesuffix(".rockspec")] = error.message
    assert planned > 16_000
    assert refused.keys() == REFUSED.keys()
    assert all(words in refused[name] for name, words in REFUSED.items())
