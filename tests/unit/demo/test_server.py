"""A server on loopback: what it reads, what it sends, and that it can be stopped."""

import socket
import time
from threading import Thread

import httpx
import pytest

from mirror.demo.server import LoopbackServer, Request, Response, json_response


class Echo(LoopbackServer):
    """Says what it was asked."""

    def respond(self, request: Request) -> Response:
        """The request, as JSON."""
        return json_response(
            200, [request.method, request.path, request.query, request.body.decode()]
        )


class Hanging(LoopbackServer):
    """Answers when it is stopped, and not before."""

    def respond(self, request: Request) -> Response:
        """An empty answer, late."""
        del request
        self.closing.wait()
        return Response(204, {}, b"")


def test_a_request_arrives_as_it_was_sent() -> None:
    """Its path with its escapes, its query without, its body; and it is kept."""
    with Echo() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        said = client.post("/a%20b", params={"c": "d e", "f": ""}, content=b"body").json()
        assert said == ["POST", "/a%20b", {"c": "d e", "f": ""}, "body"]
        assert client.get("/").json() == ["GET", "/", {}, ""], "the connection is still in step"
        assert [request.method for request in server.requests] == ["POST", "GET"]
        assert "content-length" in server.requests[0].headers


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_head_has_no_body(size: int) -> None:
    """Nor have answers that HTTP allows none; each has a date and, if need be, a length."""

    class Sized(LoopbackServer):
        def respond(self, request: Request) -> Response:
            return Response(204 if request.path == "/none" else 200, {}, b"x" * size)

    with Sized() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        head, whole, none = client.head("/"), client.get("/"), client.get("/none")
    assert (len(head.content), len(whole.content), len(none.content)) == (0, size, 0)
    assert head.headers["Content-Length"] == whole.headers["Content-Length"] == str(size)
    assert "Content-Length" not in none.headers
    assert head.headers["Date"]


def test_it_is_back_at_the_same_port() -> None:
    """A client that comes again finds it."""
    server = Echo()
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = server.url
    with server:
        url = server.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
    with server:
        assert httpx.get(url, trust_env=False).status_code == 200


def test_a_stop_ends_open_connections() -> None:
    """Idle ones, and those whose answer is not there yet."""
    with Hanging() as server:
        idle = socket.create_connection(("127.0.0.1", server.port))
        asking = Thread(target=lambda: httpx.get(server.url, trust_env=False, timeout=60))
        asking.start()
        while not server.requests:
            time.sleep(0.005)
    asking.join(timeout=60)
    assert not asking.is_alive()
    assert idle.recv(1) == b""
    idle.close()
