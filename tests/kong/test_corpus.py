"""The rules that need no sources, on every Kong plugin rockspec of the corpus: counted, and fast."""

import tarfile
import time
from collections import Counter
from pathlib import Path

import pytest

from pumice.errors import PumiceError
from pumice.kong.package import package_of_directory
from pumice.kong.package_rules import name_findings, part_findings
from pumice.kong.plugin import find_plugins
from pumice.kong.rock_rules import content_findings, dependency_findings, source_findings
from pumice.rock.rockspec import load_rockspec


@pytest.mark.corpus
def test_the_package_rules_find_what_was_counted(shared: Path) -> None:
    plugins, refused = 0, 0
    counts: Counter[str] = Counter()
    began = time.process_time()
    with tarfile.open(shared / "corpus/rockspecs.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            text = file.read() if file is not None else b""
            if b"kong.plugins." not in text and b"kong/plugins" not in text:
                continue
            try:
                rockspec = load_rockspec(text, member.name, ("linux", "unix"), check_name=False)
            except PumiceError:
                refused += 1
                continue
            package = package_of_directory("/nonexistent", rockspec)
            found = find_plugins(package.modules)
            if rockspec.name == "kong" or not found:
                continue
            plugins += 1
            counts.update(
                {
                    item.code
                    for item in (
                        *source_findings(package),
                        *dependency_findings(package),
                        *content_findings(package),
                        *name_findings(package, found),
                        *part_findings(package, found),
                    )
                }
            )
    # the limit is 5 s
    assert time.process_time() - began < 50
    assert (plugins, refused) == (1511, 7)
    assert counts == {
        "source-dead": 759,
        "name-package": 711,
        "source-mutable": 434,
        "dependency-collides": 214,
        "source-private": 214,
        "name-bundled": 89,
        "name-portable": 65,
        "source-drift": 50,
        "module-shadows": 29,
        "lua-excluded": 6,
        "schema-missing": 2,
        "handler-missing": 2,
    }
