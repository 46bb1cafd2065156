"""A proxy on loopback, for HTTP and SOCKS 5, that takes any name for loopback."""

import contextlib
import socket
import socketserver
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_HOST = "127.0.0.1"


class Proxy:
    """Passes requests on, and remembers them.

    Args:
        login: what `Proxy-Authorization` must be; "" for nobody is let in, None for everybody.

    Attributes:
        targets: `host:port` of each connection that was asked for.
        heads: of the requests that could be read on the way.
    """

    def __init__(self, *, login: str | None = None) -> None:
        self.targets: list[str] = []
        self.heads: list[bytes] = []
        self.login = login
        self._server = _Server((_HOST, 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"{_HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    proxy: Proxy


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Speak SOCKS if the client does, else HTTP."""
        with contextlib.suppress(OSError, ValueError):
            first = self.connection.recv(1, socket.MSG_PEEK)
            if first == b"\5":
                self._socks()
            elif first:
                self._http()

    def _socks(self) -> None:
        _, count = self.rfile.read(2)
        self.rfile.read(count)
        self.wfile.write(b"\5\0")  # no login
        _, _, _, kind = self.rfile.read(4)
        sizes = {1: 4, 4: 16}
        raw = self.rfile.read(sizes[kind] if kind in sizes else self.rfile.read(1)[0])
        families = {1: socket.AF_INET, 4: socket.AF_INET6}
        host = socket.inet_ntop(families[kind], raw) if kind in families else raw.decode()
        port = int.from_bytes(self.rfile.read(2))
        self.server.proxy.targets.append(f"{host}:{port}")
        with socket.create_connection((_HOST, port)) as far:
            self.wfile.write(b"\5\0\0\1\0\0\0\0\0\0")
            self._relay(far)

    def _http(self) -> None:
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line)
        head, proxy = b"".join(lines), self.server.proxy
        proxy.heads.append(head)
        method, target, _ = lines[0].decode("latin-1").split()
        if proxy.login is not None and f"Basic {proxy.login}".encode() not in head:
            self.wfile.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n"
                b'Proxy-Authenticate: Basic realm="office"\r\nConnection: close\r\n\r\n'
            )
            return
        if method == "CONNECT":
            proxy.targets.append(target)
            with socket.create_connection((_HOST, int(target.rpartition(":")[2]))) as far:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._relay(far)
            return
        parts = urlsplit(target)
        proxy.targets.append(parts.netloc)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        kept = [
            line for line in lines[1:] if not line.lower().startswith((b"connection", b"proxy"))
        ]
        with socket.create_connection((_HOST, parts.port or 80)) as far:
            first = f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode()
            far.sendall(first + b"".join(kept) + b"\r\n")
            self._relay(far)

    def _relay(self, far: socket.socket) -> None:
        """Pass bytes on in both directions until either side ends."""
        back = threading.Thread(target=_pump, args=(far, self.connection), daemon=True)
        back.start()
        _pump(self.connection, far)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
