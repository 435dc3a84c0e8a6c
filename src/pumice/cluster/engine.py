"""The engine: every node is reached at once and asked at once; what befalls one is not the others' matter."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from pumice.cluster.connection import Unreachable
from pumice.errors import PumiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from pumice.cluster.connection import Connection
    from pumice.cluster.inventory import Node

__all__ = ["Engine"]

T = TypeVar("T")
U = TypeVar("U")


class Engine:
    """Connections to many nodes, and work on all of them in parallel.

    `environment` is that of the programs which reach nodes (the agent's socket, PATH, HOME). A context
    manager: leaving it ends every connection.
    """

    def __init__(self, environment: Mapping[str, str], *, connect_timeout: float = 15.0) -> None:
        self._environment = dict(environment)
        self._connect_timeout = connect_timeout
        self._open: list[Connection] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self, nodes: Iterable[Node]) -> dict[str, Connection | PumiceError]:
        """A connection to each node, or why there is none, by the node's name."""
        return self._all({node.name: node for node in nodes}, self._reach, 0)

    def map(
        self,
        function: Callable[[Connection], T],
        connections: Mapping[str, Connection] | Iterable[Connection],
        *,
        parallel: int = 0,
    ) -> dict[str, T | PumiceError]:
        """What `function` answers for each connection, or the PumiceError that it raised, by node name.

        All at once unless `parallel` limits it. Another exception, an interrupt among them, is raised
        once the connections are closed, so that nothing is left running.
        """
        chosen = connections.values() if isinstance(connections, Mapping) else connections
        return self._all({connection.node.name: connection for connection in chosen}, function, parallel)

    def close(self) -> None:
        """End every connection."""
        with self._lock:
            connections, self._open = self._open, []
        for connection in connections:
            connection.close()

    def _reach(self, node: Node) -> Connection:
        connection: Connection
        scheme = node.address.scheme
        if scheme == "local":
            from pumice.cluster.local_transport import LocalConnection

            connection = LocalConnection(node, self._environment)
        elif scheme == "ssh":
            from pumice.cluster.ssh_transport import SshConnection

            connection = SshConnection(node, self._environment, timeout=self._connect_timeout)
        else:
            raise Unreachable(f"{node.name}: {scheme} is not served.")
        with self._lock:
            self._open.append(connection)
        return connection

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

        pool = ThreadPoolExecutor(max_workers=min(parallel or len(work), len(work)))
        try:
            futures = {name: pool.submit(one, item) for name, item in work.items()}
            return {name: future.result() for name, future in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            self.close()
            raise
        finally:
            pool.shutdown()
