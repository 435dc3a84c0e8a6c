"""Ports of a pod on this machine: `kubectl port-forward`, one process a port, for as long as it is needed."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from pumice.cluster.connection import NodeError, Refused, TooSlow
from pumice.cluster.local_transport import dial_from_here

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from pumice.cluster.programs import Programs

__all__ = ["PortForward"]

_READY = re.compile(rb"Forwarding from 127\.0\.0\.1:([0-9]+) -> ")


class _Forward:
    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        self.program = program
        self.port: int | None = None
        self.said = b""
        self.changed = threading.Condition()
        threading.Thread(target=self._read, name="pumice-port-forward", daemon=True).start()

    def _read(self) -> None:
        assert self.program.stdout is not None
        try:
            for line in self.program.stdout:
                with self.changed:
                    self.said = (self.said + line)[-4096:]
                    found = _READY.search(line)
                    if found:
                        self.port = int(found[1])
                    self.changed.notify_all()
        except ValueError:
            # Closed while it was read.
            pass
        with self.changed:
            self.port = None
            self.changed.notify_all()


class PortForward:
    """Connections to ports that a pod itself sees on its loopback."""

    def __init__(self, name: str, programs: Programs, command: Sequence[str]) -> None:
        self._name = name
        self._programs = programs
        self._command = tuple(command)
        self._forwards: dict[int, _Forward] = {}
        self._lock = threading.Lock()

    def dial(self, port: int, timeout: float) -> socket.socket:
        """A stream to a port of the pod. Raises Refused, TooSlow, NodeError.

        kubectl finds out that nothing listens only when something is sent, and tells it on its output: the
        question after that is refused.
        """
        with self._lock:
            forward = self._forwards.get(port)
            if forward is not None and b"refused" in forward.said:
                self._end(port)
                raise Refused(f"{self._name}: nothing listens at port {port} of the pod.")
            if forward is None or forward.program.poll() is not None:
                self._end(port)
                forward = self._forwards[port] = self._start(port)
        deadline = time.monotonic() + timeout
        with forward.changed:
            while forward.port is None:
                left = deadline - time.monotonic()
                if forward.program.poll() is not None:
                    said = forward.said.decode(errors="replace").strip()
                    raise NodeError(
                        f"{self._name}: port {port} of the pod is not reached: {said or 'kubectl ended'}"
                    )
                if left <= 0:
                    raise TooSlow(f"{self._name}: kubectl forwards no port within {timeout:g} seconds.")
                forward.changed.wait(min(left, 0.1))
            local = forward.port
        return dial_from_here(self._name, "127.0.0.1", local, max(0.1, deadline - time.monotonic()))

    def close(self) -> None:
        """End every forward."""
        with self._lock:
            for port in list(self._forwards):
                self._end(port)

    def _start(self, port: int) -> _Forward:
        program = self._programs.start(
            (*self._command, f":{port}"),
            who=self._name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return _Forward(program)

    def _end(self, port: int) -> None:
        forward = self._forwards.pop(port, None)
        if forward is not None:
            self._programs.end(forward.program)
