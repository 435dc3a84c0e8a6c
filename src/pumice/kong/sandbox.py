"""`load_modules`: a plugin's modules are loaded in a child process that can do no harm, and reported.

The child holds a bare Python and LuaJIT only (`_child.py`); in it the stand-ins make a gateway that is
about to start (`standins/`). Plugin code is taken as hostile: it has a time limit, a memory limit, an empty
environment, no bytecode, no FFI, no way to start programs or to write files through Lua. What remains: it may
read files that the user can read (nothing of them leaves the child but what an error text quotes), and a C
module that is already deployed in a tree runs as native code, as it would in the gateway, under the limits of
the process alone.
"""

from __future__ import annotations

import os

from pumice.base.disk import translate
from pumice.base.value import Value
from pumice.errors import CheckError
from pumice.kong.kong_version import NEWEST
from pumice.kong.loaded import Outcome, read_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

    from pumice.kong.kong_version import Gateway
    from pumice.kong.loaded import Job

__all__ = ["ModuleSource", "Sandbox", "load_modules"]

_HERE = os.path.dirname(os.path.abspath(__file__))
_STANDINS = ("gateway", "inert", "provided", "ngx", "kong", "typedefs")
_JSON = os.path.join(_HERE, "standin", "lua", "json.lua")
"""What stands in for cjson in a gateway's workers does so here."""
_READY = b"ready\n"
"""What the child says first; from then on the plugin's time runs."""
_START = 60.0
"""Seconds for a child to be ready, on the busiest machine."""
_OUT_OF_MEMORY = 77
"""The child's exit code (`_child.py`)."""
_ANSWER_LIMIT = 32 * 1024 * 1024


class ModuleSource(Value):
    """The text of a module that need not lie in a tree, and the path that errors name."""

    path: str
    text: bytes


class Sandbox(Value):
    """What the modules find around them, and how long and how large they may be."""

    modules: Mapping[str, ModuleSource] = {}
    """Modules by name, found before anything else."""
    lua_dir: str | None = None
    """`share/lua/5.1` of a tree, as `package.path` names it."""
    lib_dir: str | None = None
    """`lib/lua/5.1` of a tree, as `package.cpath` names it."""
    lib_extension: str = "so"
    assumed: frozenset[str] = frozenset()
    """Modules that are taken to be there, such as C modules that are not built yet."""
    assume_missing: bool = False
    """Modules that nobody provides are taken to be in a dependency; else they are errors, as in a gateway."""
    seconds: float = 10.0
    memory: int = 256 * 1024 * 1024
    gateway: Gateway = NEWEST
    """Whose modules and typedefs are there."""


def load_modules(jobs: Sequence[Job], sandbox: Sandbox) -> Outcome:
    """Loads modules one after the other in one child, as a gateway would, and reports each.

    Never hangs and never raises because of what the code does: the child is killed `sandbox.seconds` after it
    was ready. Raises CheckError when no child with LuaJIT can be started.
    """
    import marshal

    if sum(len(source.text) for source in sandbox.modules.values()) > sandbox.memory // 4:
        # the texts alone would not leave it room to run
        return Outcome((), "memory")
    request = marshal.dumps(
        {
            "lupa": os.path.dirname(_lupa_directory()),
            "memory": sandbox.memory,
            "cpu": max(1, int(sandbox.seconds) + 1),
            "probe": _text("probe"),
            "jobs": len(jobs),
            "lua": {
                "standins": {**{name: _text(name) for name in _STANDINS}, "json": _read(_JSON)},
                "modules": {
                    name: {"path": source.path, "source": source.text}
                    for name, source in sandbox.modules.items()
                },
                "jobs": [
                    {
                        "kind": job.kind,
                        "module": job.module,
                        "path": list(job.path),
                        "arguments": list(job.arguments),
                    }
                    for job in jobs
                ],
                "lib_extension": sandbox.lib_extension,
                "assume": sandbox.assume_missing,
                "assumed": dict.fromkeys(sandbox.assumed, True),
                "facts": _facts(sandbox.gateway),
                **({"lua_dir": sandbox.lua_dir} if sandbox.lua_dir is not None else {}),
                **({"lib_dir": sandbox.lib_dir} if sandbox.lib_dir is not None else {}),
            },
        }
    )
    answer, complaint, failure = _converse(request, sandbox.seconds)
    if not answer.startswith(_READY):
        raise CheckError(
            f"the process that loads plugins could not be started: {complaint or failure or 'no answer'}",
            hint="it needs the Python package lupa with LuaJIT 2.1: pip install --force-reinstall lupa",
        )
    loaded = read_answer(answer[len(_READY) :], jobs)
    if len(loaded) == len(jobs):
        return Outcome(loaded, None)
    return Outcome(loaded, failure or complaint or "it ended without a word")


def _facts(gateway: Gateway) -> dict[str, object]:
    """What the stand-ins have to know of a version."""
    major, minor, patch = gateway.full_version.split(".")
    return {
        "version": gateway.full_version,
        "version_num": int(major) * 1_000_000 + int(minor) * 1_000 + int(patch),
        "enterprise": gateway.is_enterprise,
        "modules": dict.fromkeys(gateway.modules, True),
        "gone": dict.fromkeys(gateway.gone_modules, True),
        "absent": dict.fromkeys(gateway.absent_libraries, True),
        "absent_typedefs": dict.fromkeys(gateway.absent_typedefs, True),
    }


def _text(name: str) -> bytes:
    return _read(os.path.join(_HERE, "standins", f"{name}.lua"))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _lupa_directory() -> str:
    import importlib.util

    found = importlib.util.find_spec("lupa")
    assert found is not None and found.origin is not None, "lupa is a dependency of the package"
    return os.path.dirname(found.origin)


def _converse(request: bytes, seconds: float) -> tuple[bytes, str, str | None]:
    """Runs the child: what it answered, its last words, and why it was stopped or died (None: it ended)."""
    import subprocess
    import sys

    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.join(_HERE, "_child.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise translate(error, "start the process that loads plugins") from error
    try:
        answer, complaint, in_time = _exchange(child, request, seconds)
    finally:
        _kill(child)
    if not in_time:
        return answer, complaint, "time"
    if child.returncode == _OUT_OF_MEMORY:
        return answer, complaint, "memory"
    if child.returncode < 0:
        return answer, complaint, _death(-child.returncode)
    return answer, complaint, None


def _exchange(child: subprocess.Popen[bytes], request: bytes, seconds: float) -> tuple[bytes, str, bool]:
    """Feeds and hears the child until it closes its answer, says too much, or the time is over."""
    import selectors
    import subprocess
    import time

    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    deadline = time.monotonic() + _START
    heard = {"answer": bytearray(), "complaint": bytearray()}
    unsent = memoryview(request)
    with child.stdin as stdin, child.stdout as stdout, child.stderr as stderr:
        for stream in (stdin, stdout, stderr):
            os.set_blocking(stream.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ, "answer")
            selector.register(stderr, selectors.EVENT_READ, "complaint")
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    return bytes(heard["answer"]), _last_words(heard["complaint"]), False
                for key, _ in selector.select(left):
                    if key.data is None:
                        try:
                            unsent = unsent[os.write(key.fd, unsent[:65536]) :]
                        except BrokenPipeError:
                            unsent = unsent[len(unsent) :]
                        if not unsent:
                            selector.unregister(stdin)
                            stdin.close()
                        continue
                    data = os.read(key.fd, 65536)
                    if key.data == "answer" and not heard["answer"]:
                        deadline = time.monotonic() + seconds
                    heard[key.data] += data
                    if not data or len(heard[key.data]) > _ANSWER_LIMIT:
                        selector.unregister(key.fileobj)
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return bytes(heard["answer"]), _last_words(heard["complaint"]), False
    return bytes(heard["answer"]), _last_words(heard["complaint"]), True


def _kill(child: subprocess.Popen[bytes]) -> None:
    import signal

    if child.returncode is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _last_words(complaint: bytearray) -> str:
    lines = bytes(complaint[-2000:]).decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _death(number: int) -> str:
    import signal

    if number in (signal.SIGXCPU, signal.SIGKILL):
        return "time"
    try:
        return f"it crashed the process ({signal.Signals(number).name})"
    except ValueError:
        return f"it crashed the process (signal {number})"
