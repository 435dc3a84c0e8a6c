"""Installing from servers: chains and fans of rocks, from a directory and over http, cold and warm."""

from __future__ import annotations

import http.server
import lzma
import random
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.cases import FLOOR, LUAROCKS, PUMICE, Case, Setting, Step
from bench.rocks import write_c_rock, write_rock
from bench.sparse import SparseServer, rock

_LARGE_SERVER, _SMALL_SERVER = 300_000, 300
_MOST_MEMORY = 40.0
"""Megabytes for a question to a manifest that is known already."""
_SPARSE = "install from 300,000 rocks"


def _server(setting: Setting) -> Path:
    """A directory with a chain of 100 rocks, a rock that needs 100 others directly, and a graph of 200."""
    folder = setting.folder / "server"
    if folder.is_dir():
        return folder
    folder.mkdir()
    for number in range(100):
        write_rock(folder, f"chain{number:03}", [f"chain{number - 1:03} >= 1.0"] if number else [])
        write_rock(folder, f"leaf{number:03}", [])
    write_rock(folder, "fan", [f"leaf{number:03}" for number in range(100)])
    chance = random.Random(200)
    for number in range(199):
        some = chance.sample(range(number), min(number, chance.randint(0, 3)))
        write_rock(folder, f"node{number:03}", [f"node{each:03} >= 1.0" for each in sorted(some)])
    write_rock(folder, "graph", [f"node{number:03}" for number in range(199)])
    _make_manifest(setting, folder)
    return folder


def _native(setting: Setting) -> Path:
    """A directory with 20 source rocks of C modules, and one rock that needs them all."""
    folder = setting.folder / "native"
    if not folder.is_dir():
        folder.mkdir()
        for number in range(20):
            write_c_rock(folder, f"native{number:02}", [])
        write_rock(folder, "natives", [f"native{number:02}" for number in range(20)])
        _make_manifest(setting, folder)
    return folder


def _make_manifest(setting: Setting, folder: Path) -> None:
    admin = [*setting.luarocks[:-1], setting.luarocks[-1] + "-admin"]
    subprocess.run(
        [*admin, "make_manifest", str(folder)], env=dict(setting.environment), check=True, capture_output=True
    )


def _case(
    setting: Setting,
    row: str,
    server: str,
    name: str,
    *,
    target: float,
    warm: bool,
    runs: int | None = None,
    floor: bool = True,
) -> Case:
    """One install by name; the floor is copying the files that it writes."""
    folder = setting.folder / row.replace(" ", "-")
    cache = folder / "cache"

    def steps(side: str) -> list[Step]:
        tree = folder / side
        return [
            Step(
                row,
                [[*setting.program(side, tree), f"--only-server={server}", "install", name]],
                setting.folder,
                makes=tree / "share/lua/5.1" / f"{name}.lua",
                environment={"PUMICE_CACHE": str(cache)},
            )
        ]

    def reset(side: str) -> None:
        shutil.rmtree(folder / side, ignore_errors=True)
        if side == PUMICE and not warm:
            shutil.rmtree(cache, ignore_errors=True)

    sides = {side: steps(side) for side in (PUMICE, LUAROCKS)}
    if floor:
        _install(setting, folder / "model", server, name)
        command = ["/bin/cp", "-r", str(folder / "model"), str(folder / FLOOR)]
        sides[FLOOR] = [Step(row, [command], setting.folder)]
    return Case(row, sides, {row: target}, reset, runs=runs)


def _install(setting: Setting, tree: Path, server: str, name: str) -> None:
    """What every side will have to write is in `tree`; the cache of the measured runs is not used."""
    subprocess.run(
        [*setting.program(PUMICE, tree), f"--only-server={server}", "install", name],
        env={**setting.environment, "PUMICE_CACHE": str(tree.parent / "other-cache")},
        check=True,
        capture_output=True,
    )


def _from_directory(
    row: str, name: str, target: float, *, warm: bool, runs: int | None = None
) -> Callable[[Setting], Case]:
    def make(setting: Setting) -> Case:
        return _case(setting, row, str(_server(setting)), name, target=target, warm=warm, runs=runs)

    return make


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_words: object) -> None:
        """Nothing."""


def _over_http(row: str, name: str, target: float, *, warm: bool) -> Callable[[Setting], Case]:
    def make(setting: Setting) -> Case:
        handler = partial(_Quiet, directory=str(_server(setting)))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        return _case(setting, row, url, name, target=target, warm=warm)

    return make


def _builds(row: str, target: float) -> Callable[[Setting], Case]:
    """20 C rocks from their source rocks; nothing that was built before is in the cache."""

    def make(setting: Setting) -> Case:
        server = str(_native(setting))
        return _case(setting, row, server, "natives", target=target, warm=False, runs=2, floor=False)

    return make


def _sparse(row: str) -> Callable[[Setting], Case]:
    """A rock and the 8 below it from 300,000 rocks with the sparse index; the floor is the same from 300."""

    def make(setting: Setting) -> Case:
        folder = setting.folder / "sparse"
        servers = {PUMICE: SparseServer(_LARGE_SERVER), FLOOR: SparseServer(_SMALL_SERVER)}

        def steps(side: str) -> list[Step]:
            program = setting.program(PUMICE, folder / side)
            return [
                Step(
                    row,
                    [[*program, f"--only-server={servers[side].url}", "install", rock(256)]],
                    setting.folder,
                    makes=folder / side / "share/lua/5.1" / f"{rock(256)}.lua",
                    environment={"PUMICE_CACHE": str(folder / "cache")},
                )
            ]

        sides = {side: steps(side) for side in servers}
        return Case(row, sides, {row: 1.15}, lambda _: shutil.rmtree(folder, True), against=FLOOR)

    return make


def _asked(
    row: str, shared: Path, words: Sequence[str], target: float, *, warm: bool
) -> Callable[[Setting], Case]:
    """`search` on the public server's real manifest; warm is within the cache's time."""

    def make(setting: Setting) -> Case:
        folder, cache = setting.folder / "public", setting.folder / row.replace(" ", "-")
        if not folder.is_dir():
            folder.mkdir()
            with (
                lzma.open(shared / "corpus/manifests.tar.xz") as packed,
                tarfile.open(fileobj=packed) as archive,
            ):
                for member in archive:
                    taken = archive.extractfile(member)
                    if member.isfile() and taken is not None:
                        (folder / Path(member.name).name).write_bytes(taken.read())

        def steps(side: str) -> list[Step]:
            program = setting.program(side, setting.folder / "empty")
            command = [*program, f"--only-server={folder}", "search", *words, "--porcelain"]
            environment = {"PUMICE_CACHE": str(cache)}
            return [Step(row, [command], setting.folder, says="lua-cjson\t", environment=environment)]

        def reset(side: str) -> None:
            if side == PUMICE and not warm:
                shutil.rmtree(cache, ignore_errors=True)

        sides = {side: steps(side) for side in (PUMICE, LUAROCKS)}
        return Case(row, sides, {row: target}, reset, most_memory=_MOST_MEMORY if warm else None)

    return make


def server_cases(shared: Path) -> dict[str, tuple[Callable[[Setting], Case], tuple[str, ...]]]:
    """Every case with its row; `shared` has the corpus."""
    chain, graph, native = "install a chain of", "install 200 rocks by name", "build 20 C rocks"
    made = {
        "install by name, directory": _from_directory(
            "install by name, directory", "chain000", 0.8, warm=True
        ),
        "install by name, http": _over_http("install by name, http", "chain000", 1.0, warm=False),
        f"{chain} 20, cold": _from_directory(f"{chain} 20, cold", "chain019", 0.4, warm=False, runs=5),
        f"{chain} 20, warm": _from_directory(f"{chain} 20, warm", "chain019", 0.4, warm=True, runs=5),
        f"{chain} 100, cold": _from_directory(f"{chain} 100, cold", "chain099", 0.06, warm=False, runs=2),
        f"{chain} 100, warm": _from_directory(f"{chain} 100, warm", "chain099", 0.04, warm=True, runs=2),
        "install 100 dependencies": _from_directory(
            "install 100 dependencies", "fan", 0.2, warm=False, runs=2
        ),
        graph: _from_directory(graph, "graph", 0.1, warm=False, runs=1),
        native: _builds(native, 0.8),
        _SPARSE: _sparse(_SPARSE),
    }
    if (shared / "corpus").is_dir():
        for name, words in (("look-up", ["lua-cjson"]), ("search", ["json"])):
            for state, target in (("warm", 0.2), ("cold", 1.0)):
                row = f"{name}, real manifest, {state}"
                made[row] = _asked(row, shared, words, target, warm=state == "warm")
    return {row: (make, (row,)) for row, make in made.items()}
