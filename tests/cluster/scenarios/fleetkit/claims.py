"""What tests claim of a node, read from its files and its gateway's answers."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fleetkit.fleet import DATA_PLANE, FleetNode
from fleetkit.plugins import NAME


def modules(source: Path, name: str = NAME) -> dict[str, str]:
    """A plugin's modules by file name, as they have to be on every node."""
    folder = source / "kong/plugins" / name
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}


def named_generation(node: FleetNode) -> int:
    """The generation that kong.conf's lua_package_path names; 0: none."""
    found = re.search(r"/generations/(\d+)/share/lua/5\.1/", node.setting("lua_package_path"))
    return int(found[1]) if found else 0


def listed(node: FleetNode, name: str = NAME) -> bool:
    """Whether kong.conf names the plugin."""
    return name in [each.strip() for each in node.setting("plugins").split(",")]


def has(nodes: Iterable[FleetNode], source: Path, version: str, *, loaded: bool = True) -> None:
    """Every node has this version: its files byte for byte, its configuration, its running gateway."""
    for node in nodes:
        assert node.plugin_files() == modules(source), node.name
        assert node.version_on_disk() == version, node.name
        assert named_generation(node) == node.generation > 0, node.name
        assert listed(node), node.name
        if loaded and node.role != DATA_PLANE:  # a reload that took something back needs its moment
            eventually(lambda node=node: node.loaded_version() == version)
        unharmed(node)


def has_nothing(nodes: Iterable[FleetNode]) -> None:
    """No node has the plugin, nor is its configuration another than its owner wrote."""
    for node in nodes:
        assert node.plugin_files() == {}, node.name
        assert node.conf == node.first_conf, node.name
        if node.role != DATA_PLANE:
            eventually(lambda node=node: node.loaded_version() is None)


def old_or_new(node: FleetNode, sources: dict[str, Path]) -> str | None:
    """The version that the gateway would start with: whole, or none at all; fails the test for a mixture.

    `sources` are the plugin's sources by version. What a rollout was about to do may lie beside it.
    """
    number = named_generation(node)
    if not number:
        assert not listed(node), f"{node.name}: kong.conf names the plugin, but no generation"
        assert node.conf == node.first_conf, node.name
        return None
    folder = node.path(f"{node.tree}/generations/{number}/share/lua/5.1/kong/plugins/{NAME}")
    found = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    for version, source in sources.items():
        if found == modules(source):
            assert listed(node), node.name
            return version
    raise AssertionError(f"{node.name}: generation {number} holds no version as a whole: {sorted(found)}")


def unharmed(node: FleetNode) -> None:
    """What its owner wrote in kong.conf is there still, in its order, with its mode; the store is whole."""
    kept = [line for line in node.first_conf.splitlines() if not line.startswith(("plugins", "lua_package"))]
    lines = iter(node.conf.splitlines())
    for line in kept:
        assert any(line == each for each in lines), f"{node.name}: kong.conf has lost {line!r}"
    assert node.path("/etc/kong/kong.conf").stat().st_mode & 0o777 == 0o640, node.name
    for file in node.path(f"{node.tree}/store").glob("??/*"):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert file.parent.name + file.name.removesuffix("-x") == digest, (node.name, file)


def tidy(node: FleetNode) -> None:
    """Nothing of a rollout is left lying about: no journal, no draft, no lock."""
    left = [file.name for file in node.path(f"{node.tree}/.pumice/cluster").glob("*")]
    assert left == [], (node.name, left)
    for name in ("lockfile.lfs", "rollouts/lock"):
        assert not node.path(f"{node.tree}/{name}").is_symlink(), (node.name, name)


def eventually(claim: Callable[[], object], seconds: float = 8.0) -> None:
    """Returns once the claim is true; fails the test when it does not become so."""
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


@contextlib.contextmanager
def sampled(look: Callable[[], object], every: float = 0.03) -> Iterator[None]:
    """Looks again and again while the body runs."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(every):
            look()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)
