"""`pumice` as its user runs it: a process of its own, which may be killed at any of its events."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    words: Sequence[str]
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both streams."""
        return self.out + self.err

    @property
    def json(self) -> Any:
        """Its output as one JSON value."""
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    def ok(self) -> Ended:
        """Itself; fails the test when the command did."""
        assert self.code == 0, f"pumice {' '.join(self.words)}: exit {self.code}\n{self.out}\n{self.err}"
        return self

    def fails(self, *said: str) -> Ended:
        """Itself; fails the test when the command succeeded, crashed, or does not say all of this."""
        assert self.code not in {0, 99, -signal.SIGKILL}, f"{self.words}: exit {self.code}\n{self.said}"
        for text in said:
            assert text in self.said, f"{text!r} is missing in\n{self.said}"
        return self


@dataclass(frozen=True)
class Controller:
    """A place from which a fleet is looked after."""

    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def at(cls, folder: Path, **environment: str) -> Controller:
        """A controller whose home, cache and working directory are below `folder`."""
        for name in ("home", "work"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        inherited = {"PATH": f"{os.environ['PATH']}:/usr/sbin", "LANG": "C.UTF-8", "USER": "operator"}
        inherited.update({name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ})
        own = {"HOME": str(folder / "home"), "PUMICE_CACHE": str(folder / "cache")}
        return cls(folder, {**inherited, **own, **environment})

    @property
    def work(self) -> Path:
        """Where its commands run."""
        return self.folder / "work"

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """A command that runs on."""
        return subprocess.Popen(
            [sys.executable, "-m", "pumice", *map(str, words)],
            cwd=self.work,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str | Path, timeout: float = 90.0) -> Ended:
        """A command run to its end."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"pumice {words} took more than {timeout} s\n{out}\n{err}") from None
        return Ended([str(word) for word in words], process.returncode, out, err)

    def killed_when(
        self, reached: Callable[[], bool], *words: str | Path, timeout: float = 60.0
    ) -> Ended | None:
        """A command that gets SIGKILL as soon as `reached`; None when it was, how it ended when it was faster."""
        process = self.start(*words)
        end = time.monotonic() + timeout
        while process.poll() is None and not reached():
            assert time.monotonic() < end, f"pumice {words} took more than {timeout} s"
            time.sleep(0.002)
        if process.poll() is None:
            process.kill()
        out, err = process.communicate(timeout=20)
        ended = Ended([str(word) for word in words], process.returncode, out, err)
        return None if process.returncode == -signal.SIGKILL else ended

    def killed_at_event(
        self, matches: Callable[[dict[str, Any]], bool], *words: str | Path, timeout: float = 60.0
    ) -> Ended | None:
        """A command with `--json` that gets SIGKILL at its first such event; else as `killed_when`."""
        process = self.start(*words, "--json")
        assert process.stdout is not None
        end = time.monotonic() + timeout
        told = []
        for line in process.stdout:
            assert time.monotonic() < end, f"pumice {words} took more than {timeout} s"
            told.append(line)
            if line.startswith("{") and matches(json.loads(line)):
                process.kill()
                break
        out, err = process.communicate(timeout=20)
        ended = Ended([str(word) for word in words], process.returncode, "".join(told) + out, err)
        return None if process.returncode == -signal.SIGKILL else ended
