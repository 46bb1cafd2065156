"""useapi.net's Kling API over httpx: pages of the listing, look-ups, accounts.

The only module that holds the token, and it sends it to the API's own host alone: redirects are
not followed. Every error of httpx and every status is translated here, and nowhere else.
"""

import contextlib
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx

from mirror.errors import AccessError, ApiError, MirrorError
from mirror.models import Asset, same_type
from mirror.net import decode as wire
from mirror.net import statuses
from mirror.net.client import USER_AGENT, open_transport, proxy_of
from mirror.net.listing import DOCUMENTED_PAGE_SIZE, Shape
from mirror.net.network import Network, without_login
from mirror.net.refusals import malformed, refusal
from mirror.net.retry import Pause, Policy

T = TypeVar("T")

_log = logging.getLogger(__name__)

_LONGEST_ANSWER = 10
"""An answer may take this many times the stall timeout: one that only drips is cut."""
_CONNECTED = ("connect_tcp.complete", "start_tls.complete")
"""The endings of the names of events that come with a socket, also of a proxy."""
_PAGES_LOOKED_UP = 5
"""A search by name reads this many pages: a keyword may match a whole library."""
_KEYWORD = re.compile(r"[A-Za-z0-9._-]+")  # all that `fileName` may hold


class AbortedError(Exception):
    """The request was ended from our side: its answer is no longer needed."""


class KlingApi:
    """The service, as one subscription's token sees it. A context manager.

    Its methods block, may be called from any thread, and send one request at a time.

    Args:
        url: such as `https://api.useapi.net/v1/kling`.
        token: `user:<number>-<string>`; a password.
        max_attempts: how often one request is sent at the most.
        max_wait_s: the longest total wait for one request's retries.
        stall_timeout_s: no byte for so long ends an attempt.
        max_answer_bytes: an answer that is longer is cut off.

    Raises:
        UsageError: the environment names a proxy or certificates that cannot be used.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        max_attempts: int,
        max_wait_s: float,
        stall_timeout_s: float,
        max_answer_bytes: int,
    ) -> None:
        self._url = url.rstrip("/")
        self._host = urlsplit(url).netloc.rpartition("@")[2]
        self._token = token
        self._policy = Policy(max_attempts, max_wait_s)
        self._max_answer_bytes = max_answer_bytes
        self._longest_answer_s = _LONGEST_ANSWER * stall_timeout_s
        self._pause = Pause(max_wait_s)
        self._one_at_a_time = threading.Lock()
        self._is_aborted = threading.Event()
        self._socket: socket.socket | None = None
        self._overdue_at = float("inf")
        network = Network()
        self._proxy = without_login(proxy_of(url, network, is_secret=True))
        # Without httpx.Client a page costs about half the time: nothing of it is needed here.
        self._transport = open_transport(url, network, is_secret=True)
        self._headers = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Authorization": f"Bearer {token}",
        }
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), stall_timeout_s)
        self._extensions = {"timeout": timeouts, "trace": self._note_socket}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def abort(self) -> None:
        """End what is under way, and refuse what may still be asked. Safe from any thread."""
        self._is_aborted.set()
        self._cut()

    def cut_overdue(self) -> None:
        """End a request whose answer arrives too slowly. Call it regularly, from any thread."""
        if time.monotonic() > self._overdue_at:
            self._cut()

    def page(
        self, number: int, shape: Shape, *, account: str | None, filters: Mapping[str, str]
    ) -> wire.Page:
        """One page of the listing.

        Args:
            number: from 1.
            shape: the page's size, and the order.
            account: the email, or None where the subscription has but one account.
            filters: `contentType` and `fileName`, as the query names them.

        Raises:
            AccessError: the token, subscription or account was refused.
            ApiError: no page came in the end.
        """
        params: dict[str, str | int] = {**filters, "pageSize": shape.page_size, "pageNum": number}
        if shape.order is not None:
            params["sort"] = shape.order
        if account is not None:
            params["email"] = account
        return self._get(
            "/assets/uploaded/",
            params,
            lambda body: wire.decode_page(body, page=number, account=account),
        )

    def look_up(self, asset: Asset) -> Asset | None:
        """The asset as it is listed now, with fresh URLs; None where it is not found.

        It is searched for by its name, in the first pages alone: a keyword that fits everything
        would lead through the whole library.

        Raises:
            AccessError, ApiError: as for `page`.
        """
        keyword = max(_KEYWORD.findall(asset.name or ""), key=len, default="")
        filters = {"fileName": keyword} if keyword else {}
        shape = Shape(DOCUMENTED_PAGE_SIZE)
        seen: set[str] = set()
        for number in range(1, _PAGES_LOOKED_UP + 1):
            try:
                page = self.page(number, shape, account=asset.account, filters=filters)
            except (AccessError, ApiError) as error:
                if number > 1 and error.status in statuses.PAST_THE_END:
                    return None
                raise
            versions = {
                found.key: found
                for found in page.assets
                if found.id == asset.id and same_type(found.content_type, asset.content_type)
            }
            if versions:
                return versions.get(asset.key) or next(iter(versions.values()))
            ids = {found.id for found in page.assets}
            if ids <= seen:
                return None
            seen |= ids
        return None

    def accounts(self) -> list[str]:
        """The emails of the subscription's Kling accounts.

        Raises:
            AccessError, ApiError: as for `page`.
        """
        return self._get("/accounts", {}, wire.decode_accounts)

    def _get(self, path: str, params: Mapping[str, str | int], decode: Callable[[bytes], T]) -> T:
        def request() -> T:
            with self._one_at_a_time:
                while (left_s := self._pause.left_s) > 0:
                    if self._pause.is_too_long:
                        raise self._too_long(left_s)
                    self._sleep(left_s)
                return self._once(path, params, decode)

        return self._policy.call(request, sleep=self._sleep)

    def _too_long(self, left_s: float) -> ApiError:
        return ApiError(
            f"the API asks to wait {left_s:.0f} s more",
            where=self._host,
            hint="try again later; --max-wait allows longer waits",
        )

    def _sleep(self, seconds: float) -> None:
        if self._is_aborted.wait(seconds):
            raise AbortedError

    def _once(self, path: str, params: Mapping[str, str | int], decode: Callable[[bytes], T]) -> T:
        asked = f"GET {path} {_shown(params)}"
        self._overdue_at = time.monotonic() + self._longest_answer_s
        try:
            response, body = self._send(path, params)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, OverflowError) as error:
            if self._is_aborted.is_set():
                raise AbortedError from None
            _log.debug("%s: %r", asked, error)
            reason = str(error) or type(error).__name__
            if time.monotonic() > self._overdue_at:
                reason = f"no whole answer in {self._longest_answer_s:g} s"
            hint = "check the network and --api-url"
            raise ApiError(
                f"the API could not be reached: {reason}",
                where=self._host if not self._proxy else f"{self._host} through {self._proxy}",
                hint=f"{hint}; the environment names a proxy" if self._proxy else hint,
                retryable=not isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)),
            ) from None
        finally:
            self._overdue_at = float("inf")
        _log.debug("%s: %d, %d bytes", asked, response.status_code, len(body))
        if response.status_code != statuses.OK:
            raise self._refused(response, body, params)
        self._pause.end()
        try:
            return decode(body)
        except wire.MalformedAnswerError as error:
            reason = str(error).replace(self._token, "…")
            where = f"{self._host}{path}"
            raise malformed(reason, self._without_token(body), where=where) from None

    def _refused(
        self, response: httpx.Response, body: bytes, params: Mapping[str, str | int]
    ) -> MirrorError:
        error = refusal(
            response.status_code,
            {name: value.replace(self._token, "…") for name, value in response.headers.items()},
            self._without_token(body),
            host=self._host,
            account=str(params["email"]) if "email" in params else None,
            asked=_shown(params),
        )
        if isinstance(error, ApiError) and error.retry_after_s is not None:
            self._pause.extend(error.retry_after_s)
        return error

    def _without_token(self, body: bytes) -> bytes:
        """The answer without the token: some answers echo the request."""
        return body.replace(self._token.encode(), "…".encode())

    def _send(self, path: str, params: Mapping[str, str | int]) -> tuple[httpx.Response, bytes]:
        if self._is_aborted.is_set():
            raise AbortedError
        body = bytearray()
        url = f"{self._url}{path}?{urlencode(params)}"
        request = httpx.Request("GET", url, headers=self._headers, extensions=self._extensions)
        response = self._transport.handle_request(request)
        with contextlib.closing(response):
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > self._max_answer_bytes:
                    raise ApiError(
                        f"the API's answer is longer than {self._max_answer_bytes:,} bytes",
                        where=self._host,
                        hint="try a smaller --page-size, or raise max_answer_size",
                    )
        return response, bytes(body)

    def _note_socket(self, event: str, info: Mapping[str, Any]) -> None:
        """Httpcore's trace: the only way to the socket, which another thread may have to close."""
        if event.endswith(_CONNECTED):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._is_aborted.is_set():  # while it was being connected
                self._cut()

    def _cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError, ValueError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _shown(params: Mapping[str, str | int]) -> str:
    return " ".join(f"{name}={value}" for name, value in params.items())
