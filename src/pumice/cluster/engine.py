"""The engine: every node is reached at once and asked at once; what befalls one is not the others' matter."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from pumice.cluster.connection import ConnectionCut
from pumice.cluster.programs import Programs
from pumice.errors import PumiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from pumice.cluster.connection import Connection
    from pumice.cluster.inventory import Node
    from pumice.cluster.reactor import Reactor
    from pumice.cluster.ssh_connect import SshClient

__all__ = ["Engine"]

T = TypeVar("T")
U = TypeVar("U")

_FILES_A_NODE = 8
"""File descriptors: a connection, the pipes of a program, and a stream to the gateway."""


class Engine:
    """Connections to many nodes, and work on all of them in parallel.

    `environment` is that of the programs which reach nodes (the agent's socket, PATH, HOME). A context
    manager: leaving it ends every connection and everything that still runs.
    """

    def __init__(self, environment: Mapping[str, str], *, connect_timeout: float = 15.0) -> None:
        self._programs = Programs(environment)
        self._connect_timeout = connect_timeout
        self._open: list[Connection] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._ssh: tuple[Reactor, SshClient] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self, nodes: Iterable[Node]) -> dict[str, Connection | PumiceError]:
        """A connection to each node, or why there is none, by the node's name.

        Raises PumiceError when no node can be reached for a reason of this machine's.
        """
        wanted = list(nodes)
        _allow_files(_FILES_A_NODE * len(wanted))
        by_ssh = [node for node in wanted if node.address.scheme == "ssh"]
        reached: dict[str, Connection | PumiceError] = self._by_ssh(by_ssh) if by_ssh else {}
        others = {node.name: node for node in wanted if node.address.scheme != "ssh"}
        reached.update(self._all(others, self._reach, 0))
        with self._lock:
            self._open += [made for made in reached.values() if not isinstance(made, PumiceError)]
        return {node.name: reached[node.name] for node in wanted}

    def map(
        self,
        function: Callable[[Connection], T],
        connections: Mapping[str, Connection] | Iterable[Connection],
        *,
        parallel: int = 0,
    ) -> dict[str, T | PumiceError]:
        """What `function` answers for each connection, or the PumiceError that it raised, by node name.

        All at once unless `parallel` limits it. Any other exception (an interrupt among them) is raised
        once what ran has been told to end; the connections can be used again then.
        """
        chosen = connections.values() if isinstance(connections, Mapping) else connections
        return self._all({connection.node.name: connection for connection in chosen}, function, parallel)

    def wait(self, seconds: float) -> None:
        """Wait inside of `map`; raises ConnectionCut when the work is stopped meanwhile."""
        if self._stopped.wait(seconds):
            raise ConnectionCut("The work on the nodes was stopped.")

    def close(self) -> None:
        """End what runs, and every connection."""
        self._stopped.set()
        self._programs.stop()
        with self._lock:
            connections, self._open = self._open, []
        if self._ssh is not None:
            self._ssh[0].stop_calls()
        for connection in connections:
            connection.close()
        if self._ssh is not None:
            reactor, client = self._ssh
            reactor.close(client.close())

    def _by_ssh(self, nodes: Sequence[Node]) -> dict[str, Connection | PumiceError]:
        reactor, client = self._ssh_client()
        from pumice.cluster.ssh_transport import SshConnection

        async def one(node: Node) -> Connection | PumiceError:
            try:
                return SshConnection(node, reactor, await client.connect(node))
            except PumiceError as error:
                return error

        async def every() -> list[Connection | PumiceError]:
            return await asyncio.gather(*[one(node) for node in nodes])

        made = reactor.call(every())
        return {node.name: connection for node, connection in zip(nodes, made, strict=True)}

    def _ssh_client(self) -> tuple[Reactor, SshClient]:
        if self._ssh is None:
            try:
                from pumice.cluster.ssh_connect import SshClient
            except ModuleNotFoundError as error:
                raise PumiceError(
                    f"Nodes behind ssh need the Python package {error.name}, which is not installed.",
                    hint="pip install 'pumice[cluster]'",
                ) from error
            from pumice.cluster.reactor import Reactor

            client = SshClient(self._programs.environment, timeout=self._connect_timeout)
            self._ssh = (Reactor(), client)
        return self._ssh

    def _reach(self, node: Node) -> Connection:
        if node.address.scheme == "local":
            from pumice.cluster.local_transport import LocalConnection

            return LocalConnection(node, self._programs)
        from pumice.cluster.exec_transport import reach_container, reach_pod

        reach = reach_pod if node.address.scheme == "kubectl" else reach_container
        return reach(node, self._programs, timeout=self._connect_timeout)

    def _all(
        self, work: Mapping[str, U], function: Callable[[U], T], parallel: int
    ) -> dict[str, T | PumiceError]:
        if not work:
            return {}

        def one(item: U) -> T | PumiceError:
            try:
                return function(item)
            except PumiceError as error:
                return error

        pool = ThreadPoolExecutor(min(parallel or len(work), len(work)), thread_name_prefix="pumice-node")
        try:
            futures = {name: pool.submit(one, item) for name, item in work.items()}
            return {name: future.result() for name, future in futures.items()}
        except BaseException:
            self._stop(pool)
            raise
        finally:
            pool.shutdown()

    def _stop(self, pool: ThreadPoolExecutor) -> None:
        """End what runs, wait until nobody asks for more, and be ready to serve again."""
        self._stopped.set()
        self._programs.stop()
        if self._ssh is not None:
            self._ssh[0].stop_calls()
        pool.shutdown(cancel_futures=True)
        if self._ssh is not None:
            self._ssh[0].serve_again()
        self._programs.serve_again()
        self._stopped.clear()


def _allow_files(count: int) -> None:
    """Raise this process's own limit of open files, as far as the system lets it, when it is too low."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
