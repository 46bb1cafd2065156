"""What can go wrong with an answer of the service: the effects that a `Fault` takes."""

import datetime as dt
import gzip
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from mirror.demo.server import Request, Response, json_response
from tests.lib.misbehaving import FOR_EVER, Answer, Effect, Ending, Scripted

HTML = b"<!DOCTYPE html><html><head><title>503</title></head><body>Try again later</body></html>"


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


def drips(after: int, *, every_s: float = 0.1) -> Effect:
    """So many bytes of the body at once, then a byte at a time, for as long as it takes."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        body = bytes(response.body)
        drops = [step for byte in body[after:] for step in (every_s, bytes([byte]))]
        return _scripted(response, response.head() + body[:after], *drops, ending=Ending.CLOSE)

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


def loses_last_page() -> Effect:
    """An empty page in place of the last one, wherever that is."""

    def effect(request: Request, answer: Answer) -> Response:
        number = int(request.query["pageNum"])
        response = answer(request)
        if number > 1 and not items_of(answer(_asking(request, pageNum=number + 1))):
            return lists_nothing()(request, answer)
        return response

    return effect


def stale(number: int) -> Effect:
    """The page of another number, in place of the one that was asked for."""
    return lambda request, answer: answer(_asking(request, pageNum=number))


def without(*names: str) -> Effect:
    """The listing without some fields of its items."""

    def drop(items: list[Any]) -> None:
        for item in items:
            for name in names:
                item.pop(name, None)

    return edits(drop)


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


def unframed(upto: int, coding: str | None = None) -> Effect:
    """A body without length and chunks, under a transfer coding, cut by the connection's end."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        body = bytes(response.body[:upto])
        response.headers |= {"Connection": "close", "Transfer-Encoding": "chunked"}
        line = b"" if coding is None else f"Transfer-Encoding: {coding}\r\n".encode()
        head = response.head().replace(b"Transfer-Encoding: chunked\r\n", line)
        return _scripted(response, head + body, ending=Ending.CLOSE)

    return effect


def gzips() -> Effect:
    """The file compressed, though that was not asked for."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        response.headers["Content-Encoding"] = "gzip"
        return replace(response, body=gzip.compress(bytes(response.body)))

    return effect


def as_part(first: int, size: int) -> Effect:
    """206 with the whole body, said to be the part from a byte on of so many."""
    part = alters({"Content-Range": f"bytes {first}-{size - 1}/{size}"})
    return lambda request, answer: replace(part(request, answer), status=206)


def serves(body: bytes, content_type: str | None = None) -> Effect:
    """Another body under the file's own name, and Content-Type if none is given; status 200."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(replace(request, headers={}))
        if content_type is not None:
            response.headers["Content-Type"] = content_type
        return replace(response, body=body)

    return effect
