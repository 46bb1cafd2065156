"""A Kling service that goes wrong on demand, and what tests of a run over it share.

A `Fault` joins an effect (what goes wrong) with the requests that it hits. Effects are layers
around the right answer, so that several of them work together:

    service.faults += [
        Fault(clamps(7), path=ASSETS_PATH),                # always
        Fault(resets(after=500), path="/cdn/*", times=1),  # the first request only
        Fault(error(502), path=ASSETS_PATH, every=3),      # the 1st, 4th, 7th …
    ]
"""

import datetime as dt
import enum
import gzip
import hashlib
import io
import json
import math
import os
import re
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from threading import Lock
from typing import Any, Self

from mirror import config
from mirror.demo.service import (
    ASSETS_PATH,
    File,
    KlingService,
    Refusal,
    Request,
    Response,
    json_response,
)
from mirror.jobs.result import Result
from mirror.jobs.sync import sync
from mirror.models import Action, Entry, FailedFile
from mirror.progress import Progress
from mirror.stopping import Stop
from mirror.text import complain
from tests.lib.library import TOKEN, Library

Answer = Callable[[Request], Response]
Effect = Callable[[Request, Answer], Response]
"""Makes an answer out of a request and of what would answer it rightly."""

FOR_EVER = math.inf
HTML = b"<!DOCTYPE html><html><head><title>503</title></head><body>Try again later</body></html>"
_UNNOTED = ("runs.jsonl", "lock", "lock.json")


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

    @classmethod
    def over(cls, library: Library) -> Self:
        """A service over a library, not yet started."""
        return cls(accounts=library.accounts, files=library.files, token=TOKEN)

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
            url: str = published[role]["resource"]
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


def _scripted(response: Response, *steps: bytes | float, ending: Ending) -> Scripted:
    return Scripted(response.status, response.headers, response.body, steps=steps, ending=ending)


# Effects on any answer.


def replies(status: int, body: bytes = b"", **headers: str) -> Effect:
    """Always this; `Retry_After="1"` is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _, answer: Response(status, dict(named), body)  # noqa: ARG005


def error(status: int, text: str = "It is broken", *, nested: bool = False) -> Effect:
    """The API's own error body, or the upstream's nested one."""
    said: object = {"code": 1101, "message": text} if nested else text
    body = json.dumps({"error": said, "code": status}).encode()
    return replies(status, body, Content_Type="application/json", Retry_After="0")


def too_many(form: str, seconds: int = 1, *, status: int = 429) -> Effect:
    """Asks to wait: by a header in `seconds`, by a `date` in it, or in the `body`.

    The service's clock is a day late, as its Date header shows: times of its own mean nothing else.
    """

    def effect(_: Request, answer: Answer) -> Response:  # noqa: ARG001
        now = int(time.time()) - 86_400
        body = {"error": "Too many requests", "code": status}
        headers = {"Content-Type": "application/json", "Date": formatdate(now, usegmt=True)}
        if form == "seconds":
            headers["Retry-After"] = str(seconds)
        elif form == "date":
            headers["Retry-After"] = formatdate(now + seconds, usegmt=True)
        else:
            until = dt.datetime.fromtimestamp(now + seconds, dt.UTC)
            body["retryAfter"] = until.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return Response(status, headers, json.dumps(body).encode())

    return effect


def meanwhile(act: Callable[[], object]) -> Effect:
    """The right answer; but the world changes once it is made."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        act()
        return response

    return effect


def resets(after: int | None = None) -> Effect:
    """RST after so many bytes of the body; before the headers, if None."""
    return _breaks(after, ending=Ending.RESET)


def ends(after: int | None = None) -> Effect:
    """A connection closed after so many bytes of the body; before the headers, if None."""
    return _breaks(after, ending=Ending.CLOSE)


def stalls(after: int | None = None, *, seconds: float = FOR_EVER) -> Effect:
    """Silence after so many bytes of the body, then RST."""
    return _breaks(after, seconds, ending=Ending.RESET)


def _breaks(after: int | None, *silence: float, ending: Ending) -> Effect:
    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        begun = () if after is None else (response.head() + bytes(response.body[:after]),)
        return _scripted(response, *begun, *silence, ending=ending)

    return effect


def garbles() -> Effect:
    """What is no HTTP at all."""

    def effect(request: Request, answer: Answer) -> Response:
        return _scripted(answer(request), b"SSH-2.0-OpenSSH_9.6\r\n", ending=Ending.CLOSE)

    return effect


def alters(headers: Mapping[str, str | None]) -> Effect:
    """The right answer with other headers; None takes one away."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        response.headers |= {name: value for name, value in headers.items() if value is not None}
        for name in [name for name, value in headers.items() if value is None]:
            response.headers.pop(name, None)
        return response

    return effect


def ignores(*names: str) -> Effect:
    """The answer to the same request without these headers."""

    def effect(request: Request, answer: Answer) -> Response:
        kept = {name: value for name, value in request.headers.items() if name not in names}
        return answer(replace(request, headers=kept))

    return effect


def redirects(location: str, status: int = 302) -> Effect:
    """Elsewhere."""
    return replies(status, Location=location)


# Effects on the listing.


def is_page(number: int) -> Callable[[Request], bool]:
    """Whether a request is for this page; `Fault.when`."""
    return lambda request: request.query.get("pageNum") == str(number)


def clamps(size: int) -> Effect:
    """Pages of at most so many items, whatever was asked."""

    def effect(request: Request, answer: Answer) -> Response:
        asked = int(request.query.get("pageSize", "20"))
        return answer(_asking(request, pageSize=min(asked, size)))

    return effect


def refuses(name: str, *, unless: str = "") -> Effect:
    """400 to a parameter, but for one value of it."""

    def effect(request: Request, answer: Answer) -> Response:
        if request.query.get(name, unless) == unless:
            return answer(request)
        return json_response(400, {"error": f"Invalid parameters: {name}"})

    return effect


def repeats_last_page() -> Effect:
    """The last page again and again, in place of the empty one behind it."""

    def effect(request: Request, answer: Answer) -> Response:
        number = int(request.query["pageNum"])
        response = answer(request)
        while number > 1 and not items_of(response):
            number -= 1
            response = answer(_asking(request, pageNum=number))
        return response

    return effect


def edits(change: Callable[[list[Any]], object]) -> Effect:
    """The listing, with its items changed in place."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        items = items_of(response)
        change(items)
        return json_response(response.status, {"uploadAssetsList": items})

    return effect


def lists_nothing() -> Effect:
    """An empty page."""
    return replies(200, b'{"uploadAssetsList": []}', Content_Type="application/json")


def cuts_json(at: int) -> Effect:
    """JSON that breaks off in an answer that is complete as HTTP."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        return replace(response, body=bytes(response.body[:at]))

    return effect


def items_of(response: Response) -> list[Any]:
    """What a page lists."""
    found: list[Any] = json.loads(bytes(response.body)).get("uploadAssetsList", [])
    return found


def _asking(request: Request, **query: int) -> Request:
    changed = {name: str(value) for name, value in query.items()}
    return replace(request, query={**request.query, **changed})


# Effects on a file.


def is_resumed(request: Request) -> bool:
    """Whether a request is for the rest of a file; `Fault.when`."""
    return "range" in request.headers


def chunked(upto: int | None = None) -> Effect:
    """Chunks without a length: the whole body, or cut off in the midst of it."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        response.headers["Transfer-Encoding"] = "chunked"
        body = bytes(response.body[:upto])
        steps = [b"%x\r\n%s\r\n" % (len(body), body), *([b"0\r\n\r\n"] if upto is None else [])]
        return _scripted(response, response.head(), *steps, ending=Ending.CLOSE)

    return effect


def unframed(upto: int) -> Effect:
    """A body of neither length nor chunks, that ends too early with its connection."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        body = bytes(response.body[:upto])
        response.headers |= {"Connection": "close", "Transfer-Encoding": "chunked"}
        head = response.head().replace(b"Transfer-Encoding: chunked\r\n", b"")
        return _scripted(response, head + body, ending=Ending.CLOSE)

    return effect


def gzips() -> Effect:
    """The file compressed, though that was not asked for."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        response.headers["Content-Encoding"] = "gzip"
        return replace(response, body=gzip.compress(bytes(response.body)))

    return effect


def serves(body: bytes, content_type: str | None = None) -> Effect:
    """Another body under the file's own name, and Content-Type if none is given; status 200."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(replace(request, headers={}))
        if content_type is not None:
            response.headers["Content-Type"] = content_type
        return replace(response, body=body)

    return effect


# A run in this process, for tests that need no exit status of a process and no stderr.


class Notes(Progress):
    """Progress that remembers."""

    def __init__(self) -> None:
        self.plans: list[Action] = []
        self.entries: list[Entry] = []
        self.failures: list[FailedFile] = []
        self.warnings: list[str] = []
        self.traces: list[str] = []
        self.bytes = 0

    def planned(self, action: Action) -> None:
        """An asset is to be fetched."""
        self.plans.append(action)

    def received(self, count: int) -> None:
        """Bytes came in."""
        self.bytes += count

    def done(self, action: Action, entry: Entry) -> None:  # noqa: ARG002 - the base's
        """An asset is mirrored."""
        self.entries.append(entry)

    def failed(self, action: Action | None, failure: FailedFile) -> None:  # noqa: ARG002
        """An asset could not be mirrored."""
        self.failures.append(failure)

    def warn(self, text: str) -> None:
        """Something that a person should know."""
        self.warnings.append(text)

    def trace(self, text: str) -> None:
        """A request."""
        self.traces.append(text)


def run_sync(
    service: KlingService, dest: Path, *, notes: Notes | None = None, **settings: object
) -> Result:
    """Sync as the program does, with short waits; settings by name, and `dry_run`."""
    dry_run = bool(settings.pop("dry_run", False))
    flags = {"max_wait": 5, "max_attempts": 2, "stall_timeout": 1, "min_free": 0, **settings}
    loaded = config.load(
        {**flags, "dest": str(dest), "api_url": service.api_url},
        environ={},
        config_path=Path(os.devnull),
    )
    return sync(
        loaded,
        service.token,
        state_folder=dest.parent / "state",
        progress=notes or Notes(),
        stop=Stop(),
        dry_run=dry_run,
    )


def told(result: Result) -> str:
    """What the program then says on stderr of a run's errors."""
    stream = io.StringIO()
    for trouble in result.errors:
        complain(trouble, stream=stream)
    return stream.getvalue()


# What is looked at afterwards.


def manifest_of(dest: Path) -> dict[str, Any]:
    """`manifest.json`."""
    found: dict[str, Any] = json.loads((dest / "manifest.json").read_text())
    return found


def entry_of(dest: Path, item: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest's entry of an item as it is listed now."""
    found: dict[str, Any] = manifest_of(dest)["assets"][f"{item['id']}@{item['updateTime']}"]
    return found


def stored_of(dest: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every file that the manifest records, after the entry that it belongs to."""
    entries = manifest_of(dest)["assets"].values()
    return [
        (entry, entry[role]) for entry in entries for role in ("resource", "cover") if entry[role]
    ]


def snapshot(dest: Path) -> dict[str, str]:
    """The SHA-256 of every file in the tree, but for the log of runs and the lock."""
    return {
        path.relative_to(dest).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(dest.rglob("*"))
        if path.is_file() and path.name not in _UNNOTED
    }


def media_in(dest: Path) -> set[str]:
    """The paths of all files in the tree that are not the program's own."""
    own = ("manifest.json", "manifest.json.bak", "SHA256SUMS")
    return {
        path for path in snapshot(dest) if path not in own and not path.startswith(".kling-mirror/")
    }


def left_over(dest: Path) -> list[Path]:
    """The bytes of files that are still on their way."""
    return [path for path in (dest / ".kling-mirror/partial").iterdir() if path.suffix != ".json"]


def check_output(out: str, err: str) -> None:
    """See that what the program said is fit for a person: short errors, no secret, no traceback."""
    for told in (out, err):
        assert TOKEN not in told
        assert "Traceback" not in told
        assert "x-kcdn-pid" not in told, "the query of a URL may be a secret"
    for message in re.split(r"^(?=kling-mirror: )", err, flags=re.MULTILINE):
        lines = message.splitlines()
        assert len(lines) <= 3, message
        assert all(line.startswith("  ") for line in lines[1:]), message


def check_mirror(dest: Path, library: Library) -> None:
    """See that the mirror is what the library is: each file's bytes, each record, each sum."""
    listed = {
        f"{item['id']}@{item['updateTime']}": item
        for items in library.accounts.values()
        for item in items
    }
    assets = manifest_of(dest)["assets"]
    assert {key for key, entry in assets.items() if entry["state"] == "current"} == set(listed)
    assert manifest_of(dest)["failures"] == {}
    for key, item in listed.items():
        for role in ("resource", "cover"):
            path = item[role]["resource"].partition("?")[0]
            stored = assets[key][role]
            assert (stored is None) == (not path), (key, role)
            if path:
                assert (dest / stored["path"]).read_bytes() == library.files[path].body, (key, role)
    check_records(dest)
    current = {
        stored["path"] for entry, stored in stored_of(dest) if entry["state"] != "superseded"
    }
    assert media_in(dest) == current
    assert left_over(dest) == []


def check_records(dest: Path) -> None:
    """See that all that is recorded is true: size, SHA-256, and the line in SHA256SUMS."""
    lines = (dest / "SHA256SUMS").read_text().splitlines()
    sums = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    for _, stored in stored_of(dest):
        body = (dest / stored["path"]).read_bytes()
        digest = hashlib.sha256(body).hexdigest()
        recorded = (stored["size"], stored["sha256"], sums[stored["path"]])
        assert recorded == (len(body), digest, digest), stored["path"]
    assert set(sums) == {stored["path"] for _, stored in stored_of(dest)}
