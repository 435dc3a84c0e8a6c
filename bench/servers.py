"""Installing from servers: chains and fans of rocks, from a directory and over http, cold and warm."""

from __future__ import annotations

import hashlib
import http.server
import lzma
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.cases import LUAROCKS, PUMICE, Case, Setting, Step

_FIXED_TIME = (2026, 1, 1, 0, 0, 0)


def _write_rock(folder: Path, name: str, dependencies: Sequence[str]) -> None:
    listed = ", ".join(f'"{each}"' for each in ("lua >= 5.1", *dependencies))
    rockspec = (
        f'package = "{name}"\nversion = "1.0-1"\nsource = {{ url = "http://localhost/{name}.zip" }}\n'
        f'description = {{ license = "MIT" }}\ndependencies = {{ {listed} }}\n'
        f'build = {{ type = "builtin", modules = {{ ["{name}"] = "{name}.lua" }} }}\n'
    )
    files = {f"{name}-1.0-1.rockspec": rockspec, f"lua/{name}.lua": "return {}\n" * 50}
    digests = {
        path: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for path, text in files.items()
    }
    files["rock_manifest"] = (
        f'rock_manifest = {{\n   ["{name}-1.0-1.rockspec"] = "{digests[f"{name}-1.0-1.rockspec"]}",\n'
        f'   lua = {{\n      ["{name}.lua"] = "{digests[f"lua/{name}.lua"]}"\n   }}\n}}\n'
    )
    with zipfile.ZipFile(folder / f"{name}-1.0-1.all.rock", "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path, _FIXED_TIME), text, zipfile.ZIP_DEFLATED)
    (folder / f"{name}-1.0-1.rockspec").write_text(rockspec, encoding="utf-8")


def _server(setting: Setting) -> Path:
    """A directory with a chain of 100 rocks, and one rock that needs 100 others directly."""
    folder = setting.folder / "server"
    if folder.is_dir():
        return folder
    folder.mkdir()
    for number in range(100):
        _write_rock(folder, f"chain{number:03}", [f"chain{number - 1:03} >= 1.0"] if number else [])
        _write_rock(folder, f"leaf{number:03}", [])
    _write_rock(folder, "fan", [f"leaf{number:03}" for number in range(100)])
    _make_manifest(setting, folder)
    return folder


def _make_manifest(setting: Setting, folder: Path) -> None:
    admin = [*setting.luarocks[:-1], setting.luarocks[-1] + "-admin"]
    subprocess.run(
        [*admin, "make_manifest", str(folder)], env=dict(setting.environment), check=True, capture_output=True
    )


def _case(
    setting: Setting, row: str, server: str, name: str, *, target: float, warm: bool, runs: int | None = None
) -> Case:
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

    return Case(row, {side: steps(side) for side in (PUMICE, LUAROCKS)}, {row: target}, reset, runs=runs)


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


def _look_up(row: str, shared: Path, target: float) -> Callable[[Setting], Case]:
    """`search NAME` on the public server's real manifest, within the cache's time."""

    def make(setting: Setting) -> Case:
        folder = setting.folder / "public"
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
            words = [f"--only-server={folder}", "search", "lua-cjson", "--porcelain"]
            environment = {"PUMICE_CACHE": str(setting.folder / "look-up-cache")}
            return [
                Step(row, [[*program, *words]], setting.folder, says="lua-cjson\t", environment=environment)
            ]

        return Case(row, {side: steps(side) for side in (PUMICE, LUAROCKS)}, {row: target})

    return make


def server_cases(shared: Path) -> dict[str, tuple[Callable[[Setting], Case], tuple[str, ...]]]:
    """Every case with its row; `shared` has the corpus."""
    chain = "install a chain of"
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
    }
    if (shared / "corpus").is_dir():
        made["look-up, real manifest"] = _look_up("look-up, real manifest", shared, 0.2)
    return {row: (make, (row,)) for row, make in made.items()}
