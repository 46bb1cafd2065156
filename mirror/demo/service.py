"""A Kling service on loopback: the listing of uploaded assets, the accounts, and the files.

It answers as the documentation of the API says, and as a well-kept CDN does, so that `demo` and
the tests run a real sync over real sockets without a token or a network. Each step of an answer is
a method of `KlingService`; a test that needs a service which misbehaves overrides the step.

The facts of the API are from https://useapi.net/docs/api-kling-v1, those of HTTP from RFC 9110.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, Self

from mirror.demo.server import LoopbackServer, Request, Response, json_response

ASSETS_PATH = "/v1/kling/assets/uploaded/"
ACCOUNTS_PATH = "/v1/kling/accounts"
CDN_PATH = "/cdn/"
CONTENT_TYPES = ("video", "image", "audio")

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class File:
    """What the CDN serves under one path. An empty `etag` or `last_modified` is not sent."""

    body: bytes
    content_type: str
    etag: str
    """Strong, with its quotes."""
    last_modified: str
    """A date as HTTP writes it: `Tue, 05 Aug 2025 10:00:00 GMT`."""

    @classmethod
    def of(cls, body: bytes, content_type: str, *, modified_ms: int) -> Self:
        """Make a file with the validators of a real CDN; `modified_ms` is epoch milliseconds."""
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        return cls(body, content_type, etag, formatdate(modified_ms // 1000, usegmt=True))


class Refusal(Exception):  # noqa: N818 - no error of ours: the answer to a wrong request
    """Raised by any step instead of answering: `respond` makes the API's error object of it."""

    def __init__(self, status: int, text: str, **more: object) -> None:
        super().__init__(text)
        self.response = json_response(status, {"error": text, **more})


class KlingService(LoopbackServer):
    """The service, on a free port unless one is given; it runs as a context manager.

    `accounts` maps each account's email to its assets, as the API lists them. A resource or cover
    that begins with `/` is listed as a URL of this service, whose path without the query is its
    key in `files`; any other is listed as it is. Both may be changed while the service runs.
    """

    def __init__(
        self,
        *,
        accounts: dict[str, list[dict[str, Any]]],
        files: dict[str, File],
        token: str,
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.accounts = accounts
        self.files = files
        self.token = token
        self.max_page_size = 100
        """The largest `pageSize` that is not refused. The API does not publish its own."""

    @property
    def api_url(self) -> str:
        """What a client is given as `--api-url`. Raises as `url` does."""
        return f"{self.url}/v1/kling"

    def api_requests(self) -> list[Request]:
        """Return the requests to the API."""
        return [request for request in self.requests if request.path.startswith("/v1/")]

    def cdn_requests(self) -> list[Request]:
        """Return the requests for files."""
        return [request for request in self.requests if request.path.startswith(CDN_PATH)]

    # The steps of an answer, each for a test to override.

    def respond(self, request: Request) -> Response:
        """Find the step that answers a request."""
        try:
            if request.method not in {"GET", "HEAD"}:
                return json_response(405, {"error": "Method not allowed"})
            if request.path == ASSETS_PATH:
                return self.listing(request)
            if request.path == ACCOUNTS_PATH:
                return self.account_list(request)
            if request.path.startswith(CDN_PATH):
                return self.file(request)
        except Refusal as refusal:
            return refusal.response
        return json_response(404, {"error": "Not found"})

    def listing(self, request: Request) -> Response:
        """Answer one page of an account's assets.

        Raises:
            Refusal: The token, a parameter or the account is wrong.
        """
        self.check_token(request)
        query = request.query
        page = _whole_number(query, "pageNum", default=1)
        size = _whole_number(query, "pageSize", default=20)
        if size > self.max_page_size:
            raise Refusal(400, f"Invalid parameters: pageSize is at most {self.max_page_size}")
        order = query.get("sort", "desc")
        if order not in {"asc", "desc"}:
            raise Refusal(400, "Invalid parameters: sort is asc or desc")
        items = self.select(self.account(request), query)
        items = sorted(items, key=_created, reverse=order == "desc")
        items = items[(page - 1) * size : page * size]
        return json_response(200, {"uploadAssetsList": [self.publish(item) for item in items]})

    def account_list(self, request: Request) -> Response:
        """Answer the configured accounts.

        Raises:
            Refusal: The token is wrong, or there is no account.
        """
        self.check_token(request)
        if not self.accounts:
            raise Refusal(404, "No Kling account is configured")
        accounts = {
            email: {
                "email": email,
                "session": {
                    "userId": next((item["userId"] for item in items if "userId" in item), 0),
                    "ExpireTime": 1798761600000,
                    "ExpireTimeUTC": "2027-01-01T00:00:00.000Z",
                },
                "maxJobs": 5,
                "password": "…secured…",
            }
            for email, items in self.accounts.items()
        }
        return json_response(200, accounts)

    def file(self, request: Request) -> Response:
        """Answer a file, or the part of it that was asked for, or that it has not changed.

        Raises:
            Refusal: There is no such file, or the request carries a token: none may reach a CDN.
        """
        if "authorization" in request.headers:
            raise Refusal(400, "A request for a file must not carry a token")
        file = self.files.get(request.path)
        if file is None:
            raise Refusal(404, "Not found")
        validators = {"ETag": file.etag, "Last-Modified": file.last_modified}
        headers = {name: value for name, value in validators.items() if value}
        if _is_unchanged(request, file):
            return Response(304, headers, b"")
        headers |= {"Content-Type": file.content_type, "Accept-Ranges": "bytes"}
        part = _wanted_part(request, file)
        if part is None:
            return Response(200, headers, file.body)
        size = len(file.body)
        if not part:
            return Response(416, {"Content-Range": f"bytes */{size}"}, b"")
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        return Response(206, headers, memoryview(file.body)[part.start : part.stop])

    # What the steps above are made of.

    def check_token(self, request: Request) -> None:
        """Refuse everyone but the bearer of the token.

        Raises:
            Refusal: It is missing or wrong.
        """
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthorized", code=401)

    def account(self, request: Request) -> Sequence[dict[str, Any]]:
        """Return the assets of the account that was asked for; a single one need not be named.

        Raises:
            Refusal: None was named among several, or the one named is not configured.
        """
        email = request.query.get("email")
        if email is None and len(self.accounts) > 1:
            raise Refusal(400, "Invalid parameters: email is required with several accounts")
        if email is None:
            email = next(iter(self.accounts), None)
        if email is None or email not in self.accounts:
            raise Refusal(404, f"Kling account {email or '(none)'} is not configured")
        return self.accounts[email]

    def select(
        self, items: Sequence[dict[str, Any]], query: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Return the items of one type and of one keyword in the name, where these are asked for.

        Raises:
            Refusal: There is no such type.
        """
        wanted = query.get("contentType")
        if wanted not in {None, *CONTENT_TYPES}:
            raise Refusal(400, "Invalid parameters: contentType is video, image or audio")
        keyword = query.get("fileName", "").casefold()
        return [
            item
            for item in items
            if (wanted is None or item.get("contentType") == wanted)
            and (not keyword or keyword in str(item.get("name", "")).casefold())
        ]

    def publish(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return the item with this service's URLs in place of its paths."""
        published = dict(item)
        for role in ("resource", "cover"):
            media = item.get(role)
            place = media.get("resource") if isinstance(media, dict) else None
            if isinstance(place, str) and place.startswith("/"):
                published[role] = {**item[role], "resource": self.url + place}
        return published


def _whole_number(query: Mapping[str, str], name: str, *, default: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise Refusal(400, f"Invalid parameters: {name} is a number from 1")
    return int(text)


def _created(item: dict[str, Any]) -> float:
    created = item.get("createTime")
    return created if isinstance(created, int | float) else 0


def _is_unchanged(request: Request, file: File) -> bool:
    """Whether the client has this file already (RFC 9110, 13.2.2: the tag beats the date)."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        known = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return known == ["*"] or (file.etag != "" and file.etag.removeprefix("W/") in known)
    since = _timestamp_s(request.headers.get("if-modified-since", ""))
    modified = _timestamp_s(file.last_modified)
    return since is not None and modified is not None and modified <= since


def _timestamp_s(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def _wanted_part(request: Request, file: File) -> range | None:
    """Return the bytes that are asked for: none in an impossible range, None for the whole file.

    A request for several ranges is answered with the whole file, as the RFC allows.
    """
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    condition = request.headers.get("if-range")
    if match is None or request.method != "GET":
        return None
    if condition is not None and (
        condition.startswith("W/") or condition not in {file.etag, file.last_modified}
    ):
        return None
    first, last = match.groups()
    size = len(file.body)
    if first and last and int(last) < int(first):
        return None
    if first:
        return range(int(first), min(int(last) + 1, size) if last else size)
    return range(max(size - int(last), 0), size) if last else None
