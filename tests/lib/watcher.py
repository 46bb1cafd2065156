"""A watcher that runs are told to, on loopback: it takes down each ping."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

SECRET = "5ec2e7-a-check-of-mine"  # noqa: S105 - names nothing


@dataclass(frozen=True)
class Ping:
    """One ping, as it came."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """Its body, which is JSON."""
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


class Watcher:
    """Answers every ping with `status`, or not at all while `hangs`; it is a context manager.

    Attributes:
        pings: all that came, in the order of their arrival.
        to: where a redirect leads.
    """

    def __init__(self, *, status: int = 200, hangs: bool = False, to: str = "") -> None:
        self.status = status
        self.hangs = hangs
        self.to = to
        self.pings: list[Ping] = []
        self._closing = threading.Event()
        watcher = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                watcher.answer(self)

            do_GET = do_POST = answer  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """The check's URL."""
        return f"http://127.0.0.1:{self._server.server_port}/{SECRET}"

    @property
    def endings(self) -> list[str]:
        """What each ping had behind the check's own path."""
        return [ping.path.removeprefix(f"/{SECRET}") for ping in self.pings]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Take a ping down, and answer it or not."""
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        query = parse_qs(parts.query)
        self.pings.append(Ping(handler.command, parts.path, query, headers, body))
        if self.hangs:
            self._closing.wait()
            return
        handler.send_response(self.status)
        if self.to:
            handler.send_header("Location", self.to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
