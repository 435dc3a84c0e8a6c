"""A stream through a script on the node: for containers, pods, and an sshd that forwards no ports.

The script tells in its first line whether anything listens (by the kernel's table of sockets, if it can be
read), then becomes a pipe to it by whatever is there: socat, bash, nc.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pumice.cluster.connection import Refused, TooSlow
from pumice.cluster.script_command import script_command

if TYPE_CHECKING:
    import socket

    from pumice.cluster.script_command import ScriptCommand

__all__ = ["PIPES", "greeted", "pipe_command"]

PIPES = "socat, bash nor nc"
"""What the script looks for; for errors that say that neither is there."""

_SCRIPT = r"""
state=ok
case $1 in 127.0.0.1 | localhost | ::1)
    hex=$(printf %04X "$2")
    [ ! -r /proc/net/tcp ] || state=refused
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$table" ] || continue
        while read -r _ at _ kind _; do
            case $at/$kind in *:"$hex"/0A) state=ok ;; esac
        done < "$table"
    done ;;
esac
if [ "$state" = refused ]; then echo refused; exit 0; fi
if command -v socat >/dev/null 2>&1; then echo ok; exec socat - "TCP:$1:$2"; fi
if command -v bash >/dev/null 2>&1; then
    # Below sshd, bash would read .bashrc even here.
    exec bash --norc -c '
        if ! exec 3<>"/dev/tcp/$1/$2"; then echo refused; exit 0; fi 2>/dev/null
        echo ok
        exec 4<&0
        cat <&4 >&3 &
        cat <&3
        kill $!' bash "$1" "$2"
fi
if command -v nc >/dev/null 2>&1; then echo ok; exec nc "$1" "$2"; fi
if command -v busybox >/dev/null 2>&1; then echo ok; exec busybox nc "$1" "$2"; fi
echo nothing
"""
_LONGEST = 65536
"""Bytes that a login may print before the script begins."""


def pipe_command(host: str, port: int, become: str | None = None) -> ScriptCommand:
    """The command that becomes a pipe to host:port as the node sees it."""
    return script_command(_SCRIPT, become, host, str(port))


def greeted(
    stream: socket.socket, command: ScriptCommand, name: str, host: str, port: int, timeout: float
) -> bool:
    """Whether a stream to `command` is a pipe now; False when the node has no program for it.

    Nothing of what follows is taken from the stream, and its time limit is `timeout`. Raises Refused and
    TooSlow; the stream is closed unless it is a pipe.
    """
    deadline = time.monotonic() + timeout
    try:
        size = 0
        while not (line := _line(stream, deadline)).startswith(command.mark) and line:
            size += len(line)
            if size > _LONGEST:
                break
        said = _line(stream, deadline) if line else b""
    except TimeoutError:
        stream.close()
        raise TooSlow(f"{name}: {host}:{port} did not answer within {timeout:g} seconds.") from None
    except OSError:
        said = b""
    if said == b"ok\n":
        stream.settimeout(timeout)
        return True
    stream.close()
    if said == b"refused\n":
        raise Refused(f"{name}: nothing listens at {host}:{port}.")
    return False


def _line(stream: socket.socket, deadline: float) -> bytes:
    """One line, and nothing of what follows it; less at the end of the stream. Raises TimeoutError."""
    line = bytearray()
    while not line.endswith(b"\n") and len(line) < _LONGEST:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        stream.settimeout(left)
        letter = stream.recv(1)
        if not letter:
            break
        line += letter
    return bytes(line)
