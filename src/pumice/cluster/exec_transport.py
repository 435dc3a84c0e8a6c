"""A node that is a running container or pod: scripts by the `exec` of docker, podman or kubectl."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import TYPE_CHECKING

from pumice.base.process import find_program
from pumice.cluster.connection import NodeError, Unreachable
from pumice.cluster.local_transport import dial_from_here
from pumice.cluster.pipe_stream import PIPES, greeted, pipe_command
from pumice.cluster.port_forward import PortForward
from pumice.cluster.script_command import script_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pumice.cluster.connection import Answer
    from pumice.cluster.inventory import Node
    from pumice.cluster.programs import Programs

__all__ = ["ExecConnection", "reach_container", "reach_pod"]

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_HINT = "Is it running? `{0}` tells."


class ExecConnection:
    """Runs scripts by a program's `exec`, each in a process of its own."""

    def __init__(
        self,
        node: Node,
        programs: Programs,
        prefix: Sequence[str],
        *,
        become: str | None,
        elsewhere: Callable[[str, int, float], socket.socket],
    ) -> None:
        self.node = node
        self._programs = programs
        self._prefix = tuple(prefix)
        self._become = become
        self._elsewhere = elsewhere
        self._pipes = True
        self._running: list[subprocess.Popen[bytes]] = []
        self.on_close: Callable[[], None] | None = None

    def run(self, script: str, *, stdin: bytes | Iterable[bytes] = b"", timeout: float = 60.0) -> Answer:
        """As `Connection.run`."""
        command = script_command(script, self._become)

        def ender(output: bytes) -> tuple[str, ...] | None:
            # `exec` passes no signals on: what runs inside would go on.
            last = command.ender(output)
            return (*self._prefix, *last.words) if last is not None else None

        answer = self._programs.answer_of(
            (*self._prefix, *command.words), who=self.node.name, stdin=stdin, timeout=timeout, ender=ender
        )
        return command.answer(answer, self.node.name)

    def dial(self, host: str, port: int, *, timeout: float = 10.0) -> socket.socket:
        """As `Connection.dial`: a pipe to a program inside, or the way round where there is none."""
        stream = self._pipe(host, port, timeout) if self._pipes else None
        return stream if stream is not None else self._elsewhere(host, port, timeout)

    def close(self) -> None:
        """As `Connection.close`."""
        for program in self._running:
            self._programs.end(program)
        self._running = []
        if self.on_close is not None:
            self.on_close()

    def _pipe(self, host: str, port: int, timeout: float) -> socket.socket | None:
        self._running = [program for program in self._running if program.poll() is None]
        command = pipe_command(host, port, self._become)
        ours, theirs = socket.socketpair()
        try:
            program = self._programs.start(
                (*self._prefix, *command.words),
                who=self.node.name,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        piped = False
        try:
            piped = greeted(ours, command, self.node.name, host, port, timeout)
        finally:
            if piped:
                self._running.append(program)
            else:
                self._programs.end(program)
        # None: no program for it is there, or `exec` itself failed: that shows on the other way.
        self._pipes = piped
        return ours if piped else None


def reach_container(node: Node, programs: Programs, *, timeout: float) -> ExecConnection:
    """A running container. Raises Unreachable when it, its program, or the daemon is not there."""
    address = node.address
    name = address.scheme
    if name == "docker" and find_program("docker", programs.environment.get("PATH", "")) is None:
        # podman takes the same words.
        name = "podman"
    facts = _inspected(node, programs, name, timeout)
    user = node.sudo or address.user
    prefix = (name, "exec", "-i", *(("--user", user) if user else ()), address.host)

    def elsewhere(host: str, port: int, limit: float) -> socket.socket:
        return _by_network(node, facts, host, port, limit)

    return ExecConnection(node, programs, prefix, become=None, elsewhere=elsewhere)


def reach_pod(node: Node, programs: Programs, *, timeout: float) -> ExecConnection:
    """A running pod. Raises Unreachable when it, kubectl, or the cluster is not there."""
    address = node.address
    base = (
        "kubectl",
        *(("--context", address.context) if address.context else ()),
        "-n",
        address.namespace or "",
    )
    asked = (*base, "get", "pod", address.host, "-o", "jsonpath={.status.phase}")
    answer = programs.answer_of(asked, who=node.name, timeout=timeout)
    phase = answer.output.decode(errors="replace").strip()
    if not answer.ok or phase != "Running":
        said = phase or answer.errors.decode(errors="replace").strip()[-300:]
        raise Unreachable(
            f"{node.name}: the pod {address.host} cannot be reached: {said}.",
            hint=_HINT.format(" ".join((*base, "get", "pod", address.host))),
        )
    container = ("-c", address.container) if address.container else ()
    prefix = (*base, "exec", "-i", address.host, *container, "--")
    forward = PortForward(
        node.name, programs, (*base, "port-forward", "--address", "127.0.0.1", address.host)
    )

    def elsewhere(host: str, port: int, limit: float) -> socket.socket:
        if host not in _LOOPBACK:
            raise NodeError(
                f"{node.name}: {host}:{port} is not reached: the pod has neither {PIPES}.",
                hint="kubectl forwards ports of the pod itself: name 127.0.0.1 in cluster.toml.",
            )
        return forward.dial(port, limit)

    connection = ExecConnection(node, programs, prefix, become=node.sudo, elsewhere=elsewhere)
    connection.on_close = forward.close
    return connection


def _inspected(node: Node, programs: Programs, name: str, timeout: float) -> dict[str, object]:
    address = node.address
    answer = programs.answer_of((name, "container", "inspect", address.host), who=node.name, timeout=timeout)
    try:
        [facts] = json.loads(answer.output) if answer.ok else [None]
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        said = answer.errors.decode(errors="replace").strip()[-300:]
        raise Unreachable(
            f"{node.name}: the container {address.host} cannot be reached: {said}",
            hint=_HINT.format(f"{name} ps -a"),
        )
    state = facts.get("State")
    if not (isinstance(state, dict) and state.get("Running")):
        raise Unreachable(
            f"{node.name}: the container {address.host} is not running.", hint=f"{name} start {address.host}"
        )
    return facts


def _by_network(node: Node, facts: dict[str, object], host: str, port: int, limit: float) -> socket.socket:
    """From here, where the container shares this machine's network, publishes the port, or has an address."""
    settings, config = facts.get("NetworkSettings"), facts.get("HostConfig")
    if host not in _LOOPBACK or (isinstance(config, dict) and config.get("NetworkMode") == "host"):
        return dial_from_here(node.name, host, port, limit)
    if isinstance(settings, dict):
        published = settings.get("Ports")
        bound = published.get(f"{port}/tcp") if isinstance(published, dict) else None
        for each in bound if isinstance(bound, list) else ():
            at = str(each.get("HostIp") or "127.0.0.1")
            return dial_from_here(
                node.name, "127.0.0.1" if at == "0.0.0.0" else at, int(each["HostPort"]), limit
            )
        networks = settings.get("Networks")
        for network in networks.values() if isinstance(networks, dict) else ():
            if isinstance(network, dict) and network.get("IPAddress"):
                return dial_from_here(node.name, str(network["IPAddress"]), port, limit)
    raise NodeError(
        f"{node.name}: {host}:{port} is not reached: the container has neither {PIPES}, publishes "
        "no such port, and has no address.",
        hint="Publish the port, or put one of these programs into its image.",
    )
