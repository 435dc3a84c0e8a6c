"""A TCP proxy in front of a node's sshd: counts what travels, and cuts the line where it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Listens on `address`:`port` and carries every connection to `target`."""

    address: str
    port: int
    target: tuple[str, int]
    sent: int = 0
    """Bytes to the node since the last `reset`."""
    received: int = 0
    """Bytes from it."""
    connections: int = 0
    """Connections that were made since then."""
    cut_after_sent: int | None = None
    """The line is cut at this byte to the node …"""
    cut_after_received: int | None = None
    """… or at this one from it; None: never. Until `reset`, nobody gets through after that."""
    was_cut: bool = False
    _server: socket.socket | None = field(default=None, repr=False)
    _open: set[socket.socket] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def start(self) -> None:
        """Listen."""
        self._server = socket.create_server((self.address, self.port), backlog=100)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """End every connection and stop listening."""
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
        self._end()

    def reset(self, *, sent: int | None = None, received: int | None = None) -> None:
        """Count from 0 again, and cut at these bytes (None: not at all)."""
        self._end()
        with self._lock:
            self.sent = self.received = self.connections = 0
            self.cut_after_sent, self.cut_after_received, self.was_cut = sent, received, False

    def cut(self) -> None:
        """Cut the line now."""
        self.was_cut = True
        self._end()

    def _accept(self) -> None:
        assert self._server is not None
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.was_cut:
                client.close()
                continue
            self.connections += 1
            try:
                node = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            node.settimeout(None)
            with self._lock:
                self._open |= {client, node}
            for one, other, forth in ((client, node, True), (node, client, False)):
                threading.Thread(target=self._carry, args=(one, other, forth), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, forth: bool) -> None:
        while True:
            try:
                data = one.recv(65536)
                allowed = self._allowed(len(data), forth)
                if data and allowed:
                    other.sendall(data[:allowed])
            except OSError:
                data, allowed = b"", 0
            if not data:
                with contextlib.suppress(OSError):
                    other.shutdown(socket.SHUT_WR)
                return
            if allowed < len(data):
                self.cut()
                return

    def _allowed(self, count: int, forth: bool) -> int:
        """How many of so many bytes may pass; counts them."""
        with self._lock:
            limit = self.cut_after_sent if forth else self.cut_after_received
            so_far = self.sent if forth else self.received
            allowed = count if limit is None else max(0, min(count, limit - so_far))
            if forth:
                self.sent += allowed
            else:
                self.received += allowed
            return 0 if self.was_cut else allowed

    def _end(self) -> None:
        with self._lock:
            open_now, self._open = self._open, set()
        for each in open_now:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
