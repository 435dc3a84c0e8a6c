"""Requests to a gateway: through any connection, within limits, and without the token in any text."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import time

import pytest

from pumice.cluster.address import Address
from pumice.cluster.connection import NodeError, TooSlow
from pumice.cluster.gateway_api import ApiError, GatewayApi, Refused
from pumice.cluster.inventory import Node

TOKEN = "s3cret-token"


class Gateway:
    """A server whose answers a test writes; it keeps the requests."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, object] = {}
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.seen.append((self.command, self.path, dict(self.headers), body))
                answer = outer.answers.get(self.path, (404, {"message": "Not found"}))
                if isinstance(answer, bytes):
                    self.wfile.write(answer)
                    self.close_connection = True
                    return
                if callable(answer):
                    answer(self)
                    self.close_connection = True
                    return
                status, data = answer
                sent = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(sent)))
                self.send_header("X-Kong-Admin-Latency", "1")
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815

            def log_message(self, *_words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_request):
                """A client that went away is the test's own doing."""

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def gateway():
    made = Gateway()
    yield made
    made.close()


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.peer)])
def connection(request, engine):
    node = Node("cp-1", Address("local"))
    if request.param == "ssh":
        fleet = request.getfixturevalue("fleet")
        node = fleet.node(fleet.start("cp-1"))
    made = engine.connect([node])["cp-1"]
    assert not isinstance(made, Exception), made
    return made


@pytest.fixture
def api(connection, gateway):
    return GatewayApi(connection, f"http://127.0.0.1:{gateway.port}", token=TOKEN, timeout=5)


@pytest.fixture
def here(engine):
    """A connection to this machine, where the transport does not matter."""
    return engine.connect([Node("cp-1", Address("local"))])["cp-1"]


def test_the_documented_answers_are_read(api, gateway):
    gateway.answers = {
        "/": (200, {"version": "3.9.1", "plugins": {"available_on_server": {"a": {"version": "1.0"}}}}),
        "/plugins/enabled": (200, {"enabled_plugins": ["a", "b"]}),
        "/status": (200, {"server": {}}),
        "/status/ready": (503, {"message": "not ready for proxying: no configuration available"}),
        "/schemas/plugins/a": (200, {"fields": []}),
        "/schemas/plugins/no": (404, {"message": "No plugin named 'no'"}),
        "/plugins?size=1000": (
            200,
            {"data": [{"name": "a", "id": "1"}, {"name": "b"}], "next": "/plugins?offset=x"},
        ),
        "/plugins?offset=x": (200, {"data": [{"name": "a", "id": "2"}], "next": None}),
        "/clustering/data-planes": (200, {"data": [{"id": "dp", "sync_status": "normal"}]}),
    }
    assert api.node_info()["version"] == "3.9.1"
    assert api.enabled_plugins() == ("a", "b")
    assert api.status() == {"server": {}}
    assert api.ready().status == 503
    assert api.schema("a") == {"fields": []}
    assert api.schema("no") is None
    assert [entity["id"] for entity in api.plugin_entities("a")] == ["1", "2"]
    assert api.data_planes() == ({"id": "dp", "sync_status": "normal"},)
    assert {headers["Kong-Admin-Token"] for _, _, headers, _ in gateway.seen} == {TOKEN}


def test_a_body_is_sent_as_json_and_headers_come_back_in_lower_case(api, gateway):
    gateway.answers["/plugins"] = (201, {"id": "1"})
    reply = api.request("POST", "/plugins", {"name": "a"}, headers={"Host": "example.com"})
    method, path, headers, body = gateway.seen[0]
    assert (reply.status, reply.data, reply.headers["x-kong-admin-latency"]) == (201, {"id": "1"}, "1")
    assert (method, path, headers["Host"], json.loads(body)) == (
        "POST",
        "/plugins",
        "example.com",
        {"name": "a"},
    )


def test_nothing_that_listens_is_told_apart(connection, gateway):
    gateway.close()
    with pytest.raises(Refused, match="cp-1: nothing listens at"):
        GatewayApi(connection, f"http://127.0.0.1:{gateway.port}").get("/")


def test_a_url_may_have_a_path(here, gateway):
    gateway.answers["/admin-api/status"] = (200, {"a": 1})
    assert GatewayApi(here, f"http://127.0.0.1:{gateway.port}/admin-api/").status() == {"a": 1}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_told_without_it(here, gateway, status):
    gateway.answers["/"] = (status, {"message": f"wrong token {TOKEN}"})
    api = GatewayApi(here, f"http://127.0.0.1:{gateway.port}", token=TOKEN)
    with pytest.raises(ApiError) as caught:
        api.node_info()
    assert "KONG_ADMIN_TOKEN" in caught.value.hint
    assert TOKEN not in f"{caught.value!r} {caught.value} {api!r}"


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"message": f"echo {TOKEN}"}),
        b"nonsense " + TOKEN.encode() + b"\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nno json",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)
def test_a_gateway_that_answers_nonsense_is_an_error_without_the_token(here, gateway, answer):
    gateway.answers["/"] = answer
    with pytest.raises(NodeError) as caught:
        GatewayApi(here, f"http://127.0.0.1:{gateway.port}", token=TOKEN).node_info()
    assert "cp-1" in str(caught.value)
    assert TOKEN not in f"{caught.value} {caught.value.hint}"


def test_an_answer_without_end_is_cut(here, gateway):
    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(2000):
            handler.wfile.write(b"x" * 65536)

    gateway.answers["/"] = endless
    with pytest.raises(NodeError, match="more than 16 MiB"):
        GatewayApi(here, f"http://127.0.0.1:{gateway.port}").get("/")


def test_an_answer_that_drips_ends_at_the_time_limit(here, gateway):
    def drip(handler):
        for _ in range(200):
            handler.wfile.write(b"H")
            time.sleep(0.05)

    gateway.answers["/"] = drip
    began = time.monotonic()
    with pytest.raises(TooSlow, match=r"did not answer within 0.4 seconds"):
        GatewayApi(here, f"http://127.0.0.1:{gateway.port}", timeout=0.4).get("/")
    assert time.monotonic() - began < 4


def test_pages_that_go_in_a_circle_end(here, gateway):
    gateway.answers["/clustering/data-planes"] = (200, {"data": [{}], "next": "/clustering/data-planes"})
    assert GatewayApi(here, f"http://127.0.0.1:{gateway.port}").data_planes() == ({},)


def test_what_would_end_a_line_of_the_request_is_refused(here):
    with pytest.raises(ValueError, match="no path"):
        GatewayApi(here, "http://127.0.0.1:1").get("/a b")
    with pytest.raises(ApiError, match="header Kong-Admin-Token") as caught:
        GatewayApi(here, "http://127.0.0.1:1", token=f"{TOKEN}\r\nX: y").get("/")
    assert TOKEN not in str(caught.value)


def certificate(folder):
    """A self-signed certificate for 127.0.0.1: its file and that of its key, in one."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(path)


def test_https_is_checked_against_the_authority_of_the_node(connection, tmp_path):
    path = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    gateway = Gateway(context)
    gateway.answers["/"] = (200, {"version": "3.9.1"})
    node = connection.node
    try:

        def ask(**fields):
            connection.node = node.replace(**fields)
            return GatewayApi(connection, f"https://127.0.0.1:{gateway.port}", token=TOKEN).node_info()

        with pytest.raises(ApiError, match="certificate is not trusted") as caught:
            ask()
        assert "admin_ca" in caught.value.hint
        assert gateway.seen == [], "the token went to a server that was not trusted"
        assert ask(admin_ca=path) == {"version": "3.9.1"}
        assert ask(admin_verify=False) == {"version": "3.9.1"}
        with pytest.raises(ApiError, match="no file of certificates"):
            ask(admin_ca=str(tmp_path / "no"))
    finally:
        gateway.close()
