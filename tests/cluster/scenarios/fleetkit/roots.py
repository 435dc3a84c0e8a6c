"""What a node is made of: a directory with `sh`, `tar` and coreutils, and nothing else on its PATH."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

COREUTILS, BUSYBOX, CHROOT = "coreutils", "busybox", "chroot"

# What Debian's coreutils and a busybox both have, less what nobody calls from a script.
_TOOLS = (  # noqa: SIM905
    "[ base32 base64 basename cat chgrp chmod chown cksum comm cp cut date dd df dirname du echo env expand expr "
    "factor false fold groups head hostid id install link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl "
    "nohup nproc od paste printenv printf pwd readlink realpath rm rmdir seq sha1sum sha256sum sha512sum shred shuf "
    "sleep sort split stat stty sum sync tac tail tee test timeout touch tr true truncate tsort tty uname unexpand "
    "uniq unlink uptime users wc who whoami yes"
).split()


def busybox() -> str | None:
    """The busybox of this machine; None when there is none."""
    return shutil.which("busybox")


@dataclass(frozen=True)
class Root:
    """A node's own directory; `chrooted` nodes see nothing outside it."""

    here: Path
    kind: str

    @property
    def chrooted(self) -> bool:
        return self.kind == CHROOT

    def seen(self, path: str) -> str:
        """An absolute path of the node as the node spells it."""
        return path if self.chrooted else f"{self.here}{path}"

    def outside(self, path: str) -> Path:
        """The same file as this machine reaches it."""
        return self.here / path.lstrip("/")

    @property
    def mounts(self) -> list[str]:
        """What has to be mounted for it, as shell commands."""
        here = shlex.quote(str(self.here))
        return [f"mount --rbind /{name} {here}/{name}" for name in ("dev", "proc")] if self.chrooted else []

    @property
    def search_path(self) -> str:
        """The PATH of every session."""
        return "/bin" if self.chrooted else f"{self.here / 'bin'}:{self.tools}"

    @property
    def tools(self) -> Path:
        """The programs that all nodes of this kind and fleet share; a node's own `bin` comes before them."""
        return self.here.parent / f"tools-{self.kind}"

    def make(self) -> None:
        """Lay it out; nothing in it is writable by others, as sshd demands of a ChrootDirectory."""
        for folder in ("bin", "etc/kong", "tmp", "opt", "home", "usr/local/bin"):
            (self.here / folder).mkdir(parents=True, exist_ok=True)
        box = busybox() if self.kind != COREUTILS else None
        if self.kind == CHROOT:
            self._chroot(box)
            return
        if self.tools.is_dir():
            return
        self.tools.mkdir()
        for tool in [*_TOOLS, "sh", "tar"]:
            program = box or shutil.which("dash" if tool == "sh" else tool)
            if program:
                (self.tools / tool).symlink_to(program)

    def _chroot(self, box: str | None) -> None:
        assert box is not None, "a chrooted node is made of busybox"
        copy_with_libraries(self.here, box)
        if box != "/bin/busybox":
            (self.here / "bin/busybox").symlink_to(f"..{box}")
        for tool in [*_TOOLS, "sh", "tar"]:
            (self.here / "bin" / tool).symlink_to("busybox")
        # The login shell of the tests' user may be bash; in this root that is busybox's own shell.
        (self.here / "bin/bash").write_text('#!/bin/sh\nexec /bin/sh "$@"\n')
        (self.here / "bin/bash").chmod(0o755)
        (self.here / "etc/passwd").write_text("root:x:0:0:root:/home:/bin/sh\n")
        (self.here / "etc/group").write_text("root:x:0:\n")
        for folder in ("proc", "dev", "root"):
            (self.here / folder).mkdir()

    def replace(self, tool: str, script: str) -> None:
        """A program of the node that says something else, or a new one."""
        program = self.here / "bin" / tool
        program.unlink(missing_ok=True)
        shell = "/bin/sh" if self.chrooted else str(self.tools / "sh")
        program.write_text(f"#!{shell}\n{script}\n", encoding="utf-8")
        program.chmod(0o755)


def copy_with_libraries(root: Path, program: str) -> None:
    """A program of this machine at the same path below `root`, with every library that it is linked with."""
    shown = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    paths = [word for word in shown.split() if word.startswith("/")]
    for path in [program, *paths]:
        target = root / path.lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(os.path.realpath(path), target)
