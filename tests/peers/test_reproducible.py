"""The same content packs to the same bytes: whatever the clock, umask, locale, owner and file order."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.peer

_WITH_ANOTHER_CLOCK = """
import sys, time, os
time.time = lambda: {clock}
time.time_ns = lambda: {clock} * 10**9
real = os.listdir
os.listdir = lambda *a: sorted(real(*a), reverse={backwards})
from pumice.cli.main import main
os.umask({umask})
sys.exit(main(sys.argv[1:]))
"""


def checkout(source: Path, target: Path, *, stamp: int, backwards: bool, umask: int) -> Path:
    """A copy whose files were made in another order, at another time, under another umask."""
    before = os.umask(umask)
    try:
        for path in sorted((p for p in source.rglob("*") if p.is_file()), reverse=backwards):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            os.utime(copy, (stamp, stamp))
    finally:
        os.umask(before)
    return target


@pytest.mark.parametrize("words", [("make", "--pack-binary-rock"), ("pack", "--format", "tar")])
def test_two_checkouts_pack_to_identical_bytes(
    words: tuple[str, ...], example: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    packed = []
    for number, (clock, umask, locale, backwards) in enumerate(
        [(315532801, 0o077, "C", False), (1893456000, 0o002, "de_DE.UTF-8", True)]
    ):
        folder = checkout(
            example, tmp_path / f"checkout-{number}", stamp=clock, backwards=backwards, umask=umask
        )
        program = _WITH_ANOTHER_CLOCK.format(clock=clock, umask=umask, backwards=backwards)
        done = subprocess.run(
            [sys.executable, "-c", program, f"--tree={tmp_path}/tree", *words],
            cwd=folder,
            env={**environment, "LC_ALL": locale, "TZ": "Asia/Tokyo" if backwards else "UTC"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (result,) = (*folder.glob("*.rock"), *folder.glob("*.tar.gz"))
        packed.append((result.name, result.read_bytes()))
        shutil.rmtree(folder)
    assert packed[0] == packed[1]
