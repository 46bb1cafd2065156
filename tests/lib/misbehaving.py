"""A Kling service that goes wrong on demand.

A `Fault` joins an effect (what goes wrong, see `tests.lib.effects`) with the requests that it hits.
Effects are layers around the right answer, so that several of them work together:

    service.faults += [
        Fault(clamps(7), path=ASSETS_PATH),                # always
        Fault(resets(after=500), path="/cdn/*", times=1),  # the first request only
        Fault(error(502), path=ASSETS_PATH, every=3),      # the 1st, 4th, 7th …
    ]
"""

import enum
import math
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler
from socket import SO_LINGER, SOL_SOCKET
from threading import Lock
from typing import Any

from mirror.demo.server import Request, Response
from mirror.demo.service import ASSETS_PATH, File, KlingService, Refusal

Answer = Callable[[Request], Response]
Effect = Callable[[Request, Answer], Response]
"""Makes an answer out of a request and of what would answer it rightly."""

FOR_EVER = math.inf


class Ending(enum.Enum):
    """How a connection ends."""

    CLOSE = "properly: FIN"
    RESET = "abruptly: RST"


@dataclass(slots=True)
class Scripted(Response):
    """An answer that goes onto the wire step by step: bytes, or seconds of silence."""

    steps: tuple[bytes | float, ...] = ()
    ending: Ending = Ending.CLOSE


def _any(_: Request) -> bool:
    return True


def _layer(effect: Effect, inner: Answer) -> Answer:
    return lambda request: effect(request, inner)


@dataclass(slots=True)
class Fault:
    """Something that goes wrong with some of the requests.

    Attributes:
        effect: what goes wrong.
        path: a pattern that the request's path matches.
        when: what else must be true of the request.
        skip: so many of these requests go well at first.
        times: so many are hit; None for all.
        every: of those left, each n-th is hit.
        met: how many matched so far.
        hit_at: when each was hit, by `time.monotonic`.
    """

    effect: Effect
    path: str = "*"
    when: Callable[[Request], bool] = _any
    skip: int = 0
    times: int | None = None
    every: int = 1
    met: int = field(default=0, init=False)
    hit_at: list[float] = field(default_factory=list, init=False)

    @property
    def hits(self) -> int:
        """How many were hit so far."""
        return len(self.hit_at)

    def strikes(self, request: Request) -> bool:
        """Whether this request is hit; counts it."""
        if not fnmatchcase(request.path, self.path) or not self.when(request):
            return False
        turn = self.met - self.skip
        self.met += 1
        is_hit = turn >= 0 and turn % self.every == 0 and self.hits != self.times
        if is_hit:
            self.hit_at.append(time.monotonic())
        return is_hit


@dataclass(slots=True)
class Signing:
    """URLs that expire: every listing of a URL signs it anew, in its query.

    Attributes:
        void: so many of a URL's signatures, from the first, never work.
        uses: how often each works; None for ever.
        status: the answer once it does not.
    """

    void: int = 0
    uses: int | None = None
    status: int = 403


class Misbehaving(KlingService):
    """The service, with faults that are switched on and off while it runs.

    Attributes:
        faults: the first is the outermost.
        signing: how URLs expire; None for never.
        arrivals: when each request came, by `time.monotonic`.
    """

    def __init__(
        self,
        *,
        accounts: dict[str, list[dict[str, Any]]],
        files: dict[str, File],
        token: str,
        port: int = 0,
    ) -> None:
        super().__init__(accounts=accounts, files=files, token=token, port=port)
        self.faults: list[Fault] = []
        self.signing: Signing | None = None
        self.arrivals: list[tuple[float, Request]] = []
        self._signed: Counter[str] = Counter()
        self._used: Counter[tuple[str, int]] = Counter()
        self._turn = Lock()

    def fail(self, effect: Effect, path: str = "*", **options: Any) -> Fault:  # noqa: ANN401 - Fault's
        """Switch a fault on."""
        fault = Fault(effect, path, **options)
        self.faults.append(fault)
        return fault

    def asked(self, path: str) -> list[Request]:
        """The requests for one path."""
        return [request for request in self.requests if request.path == path]

    def look_ups(self) -> list[Request]:
        """The requests that look one asset up again."""
        return [request for request in self.asked(ASSETS_PATH) if "fileName" in request.query]

    def pages(self) -> list[tuple[str, str | None, str | None]]:
        """`pageNum`, `pageSize` and `sort` of each page that was asked for."""
        queries = [request.query for request in self.asked(ASSETS_PATH)]
        return [(query["pageNum"], query.get("pageSize"), query.get("sort")) for query in queries]

    def forget(self) -> None:
        """Forget what was asked so far."""
        self.requests.clear()
        self.arrivals.clear()

    def respond(self, request: Request) -> Response:
        """Answer through the faults that hit the request."""
        with self._turn:
            self.arrivals.append((time.monotonic(), request))
            struck = [fault for fault in self.faults if fault.strikes(request)]
        answer: Answer = super().respond
        for fault in reversed(struck):
            answer = _layer(fault.effect, answer)
        return answer(request)

    def publish(self, item: dict[str, Any]) -> dict[str, Any]:
        """List an item, its URLs signed if they are to expire."""
        published = super().publish(item)
        if self.signing is None:
            return published
        for role in ("resource", "cover"):
            media = published.get(role)
            url = str(media.get("resource")) if isinstance(media, dict) else ""
            if url.startswith(self.url):
                path = url.removeprefix(self.url).partition("?")[0]
                self._signed[path] += 1
                mark = "&" if "?" in url else "?"
                signed = f"{url}{mark}sig={self._signed[path]}"
                published[role] = {**published[role], "resource": signed}
        return published

    def file(self, request: Request) -> Response:
        """Serve a file, if the signature in its URL is still good."""
        if self.signing is not None:
            serial = int(request.query.get("sig", "0"))
            with self._turn:
                self._used[request.path, serial] += 1
                used = self._used[request.path, serial]
            is_spent = self.signing.uses is not None and used > self.signing.uses
            if serial <= self.signing.void or is_spent:
                raise Refusal(self.signing.status, "The URL has expired")
        return super().file(request)

    def send(self, handler: BaseHTTPRequestHandler, response: Response) -> None:
        """Write an answer, or act out its script."""
        if not isinstance(response, Scripted):
            super().send(handler, response)
            return
        handler.close_connection = True
        for step in response.steps:
            if isinstance(step, bytes):
                handler.wfile.write(step)
            else:
                self.closing.wait(None if step == FOR_EVER else step)
        if response.ending is Ending.RESET:
            handler.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
