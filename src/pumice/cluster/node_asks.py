"""What is asked of nodes over HTTP, through their connections: for gates, for plans, for entities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pumice.cluster.entity import uses_of
from pumice.cluster.gateway_api import GatewayApi, Refused
from pumice.cluster.probe import probe_workers
from pumice.cluster.steps import log_since
from pumice.errors import NotFoundError, PumiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pumice.cluster.connection import Connection
    from pumice.cluster.facts import NodeFacts, Process
    from pumice.cluster.gateway_api import Reply
    from pumice.cluster.survey import Survey

__all__ = ["Gateways", "NodeAsks"]


class NodeAsks:
    """The questions of one node (`gates.Asks`). What nothing listens for is None."""

    def __init__(self, connection: Connection, token: str | None) -> None:
        self._connection = connection
        self._token = token
        self._apis: dict[str, GatewayApi] = {}

    @property
    def node(self) -> str:
        """The node's name."""
        return self._connection.node.name

    def admin(self, path: str) -> Reply | None:
        """An answer of the Admin API. Raises NodeError."""
        return self._get(self._connection.node.admin, path, token=self._token)

    def status(self, path: str) -> Reply | None:
        """An answer of the Status API. Raises NodeError."""
        return self._get(self._connection.node.status, path)

    def proxied(self) -> Reply | None:
        """The answer to the request that cluster.toml expects something of. Raises NodeError."""
        node = self._connection.node
        assert node.expect is not None
        headers = {"Host": node.expect.host} if node.expect.host else {}
        return self._get(node.proxy, node.expect.path, method=node.expect.method, headers=headers)

    def workers(self) -> tuple[Process | None, Sequence[Process]]:
        """The gateway's processes on the node. Raises NodeError."""
        master, workers, _ = probe_workers(self._connection)
        return master, workers

    def log(self) -> tuple[str, ...]:
        """What the gateway has written to its log since the change began. Raises NodeError."""
        return log_since(self._connection)

    def alive(self) -> None:
        """Raises ConnectionCut when the connection itself is gone, and not the gateway's answer alone."""
        self._connection.run(":", timeout=10.0)

    def data_planes(self) -> Sequence[Mapping[str, object]]:
        """All that a control plane says of its data planes. Raises NodeError."""
        api = self._api(self._connection.node.admin, self._token)
        return api.data_planes()

    def request(self, method: str, path: str, body: object = None) -> Reply:
        """Any request to the Admin API (`entity.Admin`). Raises NodeError."""
        return self._api(self._connection.node.admin, self._token).request(method, path, body)

    def _get(
        self,
        base: str | None,
        path: str,
        *,
        token: str | None = None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Reply | None:
        if base is None:
            return None
        try:
            return self._api(base, token).request(method, path, None, headers=headers or {})
        except Refused:
            return None

    def _api(self, base: str | None, token: str | None) -> GatewayApi:
        node = self._connection.node
        if base is None:
            raise NotFoundError(
                f"{node.name} has no Admin API, as cluster.toml says",
                hint="Give its `admin`, such as http://127.0.0.1:8001.",
            )
        if base not in self._apis:
            self._apis[base] = GatewayApi(self._connection, base, token=token)
        return self._apis[base]


class Gateways:
    """The Admin APIs of a cluster: one that stands for the database, and that of every DB-less node."""

    def __init__(self, survey: Survey, token: str | None) -> None:
        self._survey = survey
        self._token = token

    def asks(self, connection: Connection, _facts: NodeFacts | None = None) -> NodeAsks:
        """The questions of a node."""
        return NodeAsks(connection, self._token)

    def first(self, *roles: str) -> NodeAsks | None:
        """The first node of these roles that has an Admin API and was reached."""
        for node in self._survey.nodes:
            facts = self._survey.facts.get(node.name)
            if facts is not None and facts.role in roles and node.admin is not None:
                return self.asks(self._survey.connections[node.name])
        return None

    def database(self) -> NodeAsks:
        """Where entities are made. Raises NotFoundError."""
        found = self.first("control_plane", "traditional")
        if found is None:
            raise NotFoundError(
                "No node that was reached has an Admin API with a database behind it",
                hint="Name a control plane or a traditional node in cluster.toml, with its `admin`.",
            )
        return found

    def admins(self) -> list[NodeAsks]:
        """Every Admin API that may know entities of its own."""
        found = self.first("control_plane", "traditional")
        return [
            *([found] if found is not None else []),
            *(
                self.asks(self._survey.connections[node.name])
                for node in self._survey.nodes
                if node.admin is not None
                and (facts := self._survey.facts.get(node.name)) is not None
                and facts.role == "dbless"
                and facts.master is not None
            ),
        ]

    def uses(self, plugin: str) -> int | None:
        """How many entities in the database use a plugin; None where nobody can be asked."""
        admin = self.first("control_plane", "traditional")
        if admin is None:
            return None
        try:
            return len(uses_of(admin, plugin))
        except PumiceError:
            return None
