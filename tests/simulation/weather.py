"""What goes wrong at the service during one run, by name, so that a failure's steps can be read.

`LISTING` holds what falsifies the listing for as long as the run lasts, `PASSING` what spoils a few
answers of the API and is over then, `FILES` what happens to a file. The number of each says where
or how much; what it means is its own affair.
"""

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mirror.demo.server import Request, Response, json_response
from mirror.demo.service import ASSETS_PATH
from tests.lib import effects
from tests.lib.effects import HTML, items_of
from tests.lib.misbehaving import Answer, Effect, Ending, Fault, Scripted
from tests.simulation.truth import Asset

FOR_EVER = 99
"""So many times is always."""


@dataclass(frozen=True)
class FileFault:
    """What happens to the requests for one file."""

    name: str
    which: int
    """The asset, counted over all that are listed."""
    role: str
    times: int

    @property
    def is_harmless(self) -> bool:
        """Whether a second attempt mends it, or it does no harm."""
        return self.name in HARMLESS or (self.times == 1 and self.name not in EXPIRED)


@dataclass(frozen=True)
class Weather:
    """What goes wrong in one run: at the most one thing that falsifies the listing throughout."""

    listing: tuple[str, int] | None = None
    passing: tuple[str, int] | None = None
    files: tuple[FileFault, ...] = ()
    signing: str = ""
    """Whether URLs are `fresh` with each listing, or the first of them is `expired` at once."""

    @property
    def is_harmless(self) -> bool:
        """Whether a run is to end as in calm weather."""
        return (
            (self.listing is None or self.listing[0] in HARMLESS_LISTINGS)
            and all(fault.is_harmless for fault in self.files)
            and len(self.files) <= 1
        )

    def faults(self, assets: list[Asset]) -> list[Fault]:
        """The faults, fresh: for one run."""
        found = self.lasting()
        if self.passing is not None:
            name, skip = self.passing
            found.insert(0, Fault(PASSING[name](), ASSETS_PATH, skip=skip, times=1))
        for fault in self.files:
            if assets:
                now = assets[fault.which % len(assets)].now
                path = now.path if fault.role == "resource" else now.cover_path
                times = None if fault.times == FOR_EVER else fault.times
                found.append(Fault(FILES[fault.name](), path, times=times))
        return found

    def lasting(self) -> list[Fault]:
        """What falsifies the listing throughout: by these one sees what no request can show."""
        if self.listing is None:
            return []
        name, number = self.listing
        effect, more = LISTING[name](number)
        return [Fault(_of_listings_alone(effect), ASSETS_PATH, **more)]


def _of_listings_alone(effect: Effect) -> Effect:
    """A refusal stays one: who was not let in sees no listing, falsified or not."""

    def on_listing(request: Request, answer: Answer) -> Response:
        response = answer(request)
        return effect(request, answer) if response.status == 200 else response

    return on_listing


# What falsifies the listing.


def _page(request: Request) -> int:
    return int(request.query.get("pageNum", "1"))


def _asking(request: Request, **query: object) -> Request:
    changed = {name: str(value) for name, value in query.items()}
    return Request(
        request.method, request.path, {**request.query, **changed}, dict(request.headers)
    )


def _without_sort(request: Request, answer: Answer) -> Response:
    return answer(_asking(request, sort="desc"))


def _one_page_late(number: int) -> Effect:
    def effect(request: Request, answer: Answer) -> Response:
        is_stale = _page(request) == max(number, 2)
        return answer(_asking(request, pageNum=max(number, 2) - 1) if is_stale else request)

    return effect


def _clamps_later(size: int) -> Effect:
    def effect(request: Request, answer: Answer) -> Response:
        if _page(request) == 1:
            return answer(request)
        asked = int(request.query.get("pageSize", "20"))
        return answer(_asking(request, pageSize=min(asked, size)))

    return effect


def _refuses_past_end(status: int) -> Effect:
    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        if response.status != 200 or items_of(response) or _page(request) == 1:
            return response
        return json_response(status, {"error": "Invalid parameters: pageNum"})

    return effect


def _appends_unreadable() -> Effect:
    """The last page for ever, with an item that cannot be read and that is signed each time."""
    serials = itertools.count()
    repeats = effects.repeats_last_page()

    def effect(request: Request, answer: Answer) -> Response:
        items = items_of(repeats(request, answer))
        item = {"id": {"odd": 1}, "resource": {"resource": f"https://x.test/?s={next(serials)}"}}
        return json_response(200, {"uploadAssetsList": [*items, item]})

    return effect


def _lists_once_more(number: int) -> Effect:
    """An item that is already on an earlier page stands on this one, too."""

    def effect(request: Request, answer: Answer) -> Response:
        items = items_of(answer(request))
        first = items_of(answer(_asking(request, pageNum=1)))
        again = first[:1] if _page(request) == max(number, 2) and items else []
        return json_response(200, {"uploadAssetsList": [*again, *items]})

    return effect


def _each(change: Callable[[dict[str, Any]], object]) -> Effect:
    return effects.edits(lambda items: [change(item) for item in items])


def _drops(*names: str) -> Effect:
    return _each(lambda item: [item.pop(name, None) for name in names])


def _dates_now(item: dict[str, Any]) -> None:
    item["updateTime"] = time.time_ns() // 1000


def _bares(item: dict[str, Any]) -> None:
    found = item["id"]
    item.clear()
    item["id"] = found


def _always(effect: Effect) -> tuple[Effect, dict[str, Any]]:
    return effect, {}


LISTING: dict[str, Callable[[int], tuple[Effect, dict[str, Any]]]] = {
    "page lost": lambda n: (effects.lists_nothing(), {"when": effects.is_page(n)}),
    "page stale": lambda n: _always(_one_page_late(n)),
    "pages clamped": lambda n: _always(effects.clamps(n)),
    "pages clamped from the second": lambda n: _always(_clamps_later(n)),
    "answers empty for a while": lambda n: (
        effects.lists_nothing(), {"skip": n, "times": 3},
    ),
    "nothing listed": lambda _: _always(effects.lists_nothing()),
    "last page repeated": lambda _: _always(effects.repeats_last_page()),
    "unreadable item, signed anew": lambda _: _always(_appends_unreadable()),
    "item listed twice": lambda n: _always(_lists_once_more(n)),
    "sort ignored": lambda _: _always(_without_sort),
    "sort refused": lambda _: _always(effects.refuses("sort")),
    "pageSize refused": lambda _: _always(effects.refuses("pageSize", unless="20")),
    "400 past the end": lambda _: _always(_refuses_past_end(400)),
    "404 past the end": lambda _: _always(_refuses_past_end(404)),
    "no updateTime": lambda _: _always(_drops("updateTime")),
    "no updateTime for a while": lambda n: (_drops("updateTime"), {"times": n}),
    "no times": lambda _: _always(_drops("updateTime", "createTime")),
    "no times for a while": lambda n: (_drops("updateTime", "createTime"), {"times": n}),
    "updateTime is now": lambda _: _always(_each(_dates_now)),
    "createTime as text": lambda _: _always(_each(lambda item: item.update(createTime="2025-08"))),
    "no userId": lambda _: _always(_drops("userId")),
    "ids alone": lambda _: _always(_each(_bares)),
    "no URLs": lambda _: _always(_drops("resource", "cover")),
    "token refused": lambda _: _always(effects.error(401)),
    "subscription expired": lambda _: _always(effects.error(402)),
    "session broken": lambda _: _always(effects.error(596)),
    "captive portal": lambda _: _always(
        effects.replies(200, HTML, Content_Type="text/html")
    ),
}  # fmt: skip

HARMLESS_LISTINGS = frozenset(
    (
        "pages clamped",
        "last page repeated",
        "item listed twice",
        "sort ignored",
        "sort refused",
        "pageSize refused",
        "400 past the end",
        "404 past the end",
        "createTime as text",
        "no userId",
    )
)
"""Listings that are odd and say all the same what there is."""

DATED_WRONGLY = frozenset(
    (
        "no updateTime",
        "no updateTime for a while",
        "no times",
        "no times for a while",
        "updateTime is now",
        "ids alone",
    )
)
"""Listings whose keys are not the assets' own."""

PASSING: dict[str, Callable[[], Effect]] = {
    "500": lambda: effects.error(500),
    "503": lambda: effects.too_many("seconds", 0, status=503),
    "429": lambda: effects.too_many("seconds", 0),
    "reset": effects.resets,
    "reset in the body": lambda: effects.resets(after=60),
    "JSON cut": lambda: effects.cuts_json(70),
    "202": lambda: effects.replies(202),
    "204": lambda: effects.replies(204),
    "web page": lambda: effects.replies(200, HTML, Content_Type="text/html"),
    "silence": lambda: effects.stalls(10, seconds=0.6),
}

_JSON = json.dumps({"error": "Too many requests, please come back later"}).encode()
_TEXT = b"upstream connect error or disconnect/reset before headers. reset reason: overflow"


def _identity(upto: int) -> Effect:
    """A body that ends too early with its connection, under a coding that means none."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        response.headers |= {"Connection": "close", "Transfer-Encoding": "identity"}
        body = response.head() + bytes(response.body[:upto])
        return Scripted(
            response.status, response.headers, response.body, steps=(body,),
            ending=Ending.CLOSE,
        )  # fmt: skip

    return effect


def _whole_as_part(request: Request, answer: Answer) -> Response:
    """206 with the whole range to a plain GET, as some caches answer."""
    response = answer(request)
    if response.status == 200:
        size = len(response.body)
        response.status = 206
        response.headers["Content-Range"] = f"bytes 0-{size - 1}/{size}"
    return response


def _cut_at_tenths(request: Request, answer: Answer) -> Response:
    """Ends after a tenth of the file, wherever the request begins."""
    whole = answer(Request("GET", request.path, {}, {}))
    return effects.resets(after=len(whole.body) // 10 + 1)(request, answer)


def _drips(request: Request, answer: Answer) -> Response:
    """A byte now and then, for minutes."""
    response = answer(request)
    steps = [it for byte in bytes(response.body) for it in (bytes((byte,)), 0.15)]
    return Scripted(
        response.status, response.headers, response.body, steps=(response.head(), *steps)
    )


FILES: dict[str, Callable[[], Effect]] = {
    "404": lambda: effects.error(404),
    "403": lambda: effects.error(403),
    "410": lambda: effects.error(410),
    "500": lambda: effects.error(500),
    "503": lambda: effects.too_many("seconds", 0, status=503),
    "reset": lambda: effects.resets(after=300),
    "short": lambda: effects.ends(after=500),
    "silence": lambda: effects.stalls(200, seconds=0.6),
    "cut at each tenth": lambda: _cut_at_tenths,
    "web page": lambda: effects.replies(200, HTML, Content_Type="text/html"),
    "JSON": lambda: effects.replies(200, _JSON, Content_Type="application/json"),
    "text": lambda: effects.replies(200, _TEXT, Content_Type="text/plain"),
    "empty": lambda: effects.replies(200, b"", Content_Type="video/mp4"),
    "202": lambda: effects.replies(202),
    "204": lambda: effects.replies(204),
    "gzip": effects.gzips,
    "unframed": lambda: effects.unframed(500),
    "identity": lambda: _identity(500),
    "chunks, cut": lambda: effects.chunked(upto=400),
    "chunks": effects.chunked,
    "206 for all": lambda: _whole_as_part,
    "no validators": lambda: effects.alters({"ETag": None, "Last-Modified": None}),
    "octets": lambda: effects.alters({"Content-Type": "application/octet-stream"}),
    "Range ignored": lambda: effects.ignores("range"),
    "drips": lambda: _drips,
}
HARMLESS = frozenset(("chunks", "206 for all", "no validators", "octets", "Range ignored"))
"""What a file survives, however often it happens."""
EXPIRED = frozenset(("404", "403", "410"))
"""What is not asked for again under the same URL."""
