"""The echo behind a real gateway that is tried."""

import http.client
import json
import socket

from pumice.operation.try_echo import Echo


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_any_request_is_told_back_and_the_port_is_free_afterwards():
    port = free_port()
    echo = Echo(port)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("PURGE", "/a/b?c=d", "body", {"X-A": "1"})
    told = json.loads(connection.getresponse().read())
    connection.request("HEAD", "/")
    assert connection.getresponse().read() == b""
    connection.close()
    assert (told["method"], told["path"], told["query"], told["body"]) == ("PURGE", "/a/b", "c=d", "body")
    assert told["headers"]["x-a"] == "1"
    echo.close()
    with socket.create_server(("127.0.0.1", port)):
        pass
