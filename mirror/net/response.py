"""One request to a CDN, and the head of its answer: what all receivers of answers have in common.

libcurl's callbacks talk to an `Answer`; it knows HTTP, not libcurl.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

from mirror.errors import ExpiredUrlError, FetchError
from mirror.net import statuses
from mirror.net.retry import retry_after_s
from mirror.net.strangers import page_title, stranger

T = TypeVar("T")

CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_LINE = re.compile(
    r"^(?:HTTP/[0-9.]+[ \t]+([0-9]{3})|([^\s:]+)[ \t]*:([^\n]*))",
    re.MULTILINE | re.ASCII,
)
_TOKEN = re.compile(r"[^\s,;]+")
_LONGEST_PAGE_BYTES = 1 << 20
_PAGE_HEAD_BYTES = 2048
_CODINGS = frozenset(
    ("gzip", "x-gzip", "compress", "x-compress", "deflate", "br", "zstd", "dcb", "dcz", "aes128gcm")
)
"""Content codings that IANA knows; servers send other words too, such as `utf-8`."""


class Answer(Generic[T]):
    """One request on its way, and what comes back.

    Args:
        url: checked; a redirect replaces it.
        on_bytes: called with the count of the file's bytes that came in.

    Attributes:
        future: resolved with the result, or an error.
        redirects: how many were followed.
        received: bytes of the file so far.
        announced: bytes that the body is to have, where it goes to the disk; 0 where it does not.
        moved_at: when a byte of the file came last, by the event loop's clock.
        counted_at: since when its rate is measured.
        counted: how much of `received` came before that.
        error: why the transfer is to end before its time; what a callback raised, too.
        header_lines: as they came, until something needs them.
        headers: by lower-case name; what came several times is joined by commas.
    """

    def __init__(self, *, url: str, on_bytes: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_bytes = on_bytes
        self.url = url
        self.future: asyncio.Future[T] = self._loop.create_future()
        self.redirects = 0
        self.received = 0
        self.announced = 0
        self.moved_at = self.counted_at = 0.0
        self.counted = 0
        self.error: BaseException | None = None
        self.status = 0
        self.header_lines: list[bytes] = []
        self.headers: dict[str, str] = {}
        self._page_bytes = 0
        self._page_head = b""

    def request_headers(self) -> list[str]:
        """The header lines that ask for what is wanted, and for nothing encoded."""
        return ["Accept-Encoding: identity"]

    @property
    def is_file(self) -> bool:
        """Whether the answer claims to be the file, or a part of it."""
        return self.status in (statuses.OK, statuses.PART)

    def on_body(self, data: bytes) -> int | None:
        """Take bytes of the body; those of an error or a redirect are dropped.

        libcurl calls it. An exception in here would be printed by pycurl and lost: each becomes
        `error`, and the answer -1 ends the transfer.
        """
        try:
            if self.header_lines:
                self._read_header()
            if self.is_file:
                self.moved_at = self._loop.time()
                self._on_bytes(len(data))
                self.received += len(data)
                self._take(data)
            else:
                self._drop(data)
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            self.error = error
        return None if self.error is None else -1

    def settle(self, error: BaseException | None) -> None:
        """Resolve `future`: the transfer is over.

        Args:
            error: why libcurl gave up, if it did.
        """
        if self.header_lines:
            self._read_header()
        self._resolve(self._outcome(error))

    def abandon(self) -> None:
        """Cancel the result: nobody waits for it any more."""

    def _drop(self, data: bytes) -> None:
        """Keep only the head of a page.

        Raises:
            FetchError: it has no end in sight.
        """
        self._page_bytes += len(data)
        self._page_head = (self._page_head + data)[:_PAGE_HEAD_BYTES]
        if self._page_bytes > _LONGEST_PAGE_BYTES:
            self._refuse()

    def _take(self, data: bytes) -> None:
        raise NotImplementedError

    def _result(self) -> T:
        """The result of the request.

        Raises:
            FetchError: it is not what was asked for.
        """
        raise NotImplementedError

    def _outcome(self, error: BaseException | None) -> T | BaseException:
        try:
            if self.status == statuses.PROXY_LOGIN:  # libcurl only says that there is no tunnel
                self._refuse()
            return self.error or error or self._result()
        except Exception as reason:  # noqa: BLE001 - it is raised where the answer is awaited
            return reason

    def _resolve(self, outcome: T | BaseException) -> None:
        if self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)

    def _resolve_from_thread(self, outcome: T | BaseException) -> None:
        with contextlib.suppress(RuntimeError):  # the loop ended: nobody waits any more
            self._loop.call_soon_threadsafe(self._resolve, outcome)

    def _read_header(self) -> None:
        """Read the lines that came: also of a proxy's header, of a 100, of a redirect."""
        text = b"".join(self.header_lines).decode("latin-1")
        self.header_lines.clear()
        for status, given_name, given_value in _LINE.findall(text):
            if status:
                self.headers = {}
                self.status = int(status)
                continue
            name, value = given_name.lower(), given_value.strip()
            known = self.headers.get(name, value)
            self.headers[name] = value if known == value else f"{known}, {value}"

    def _strong_etag(self) -> str | None:
        """The ETag, where it says that every byte is the same."""
        etag = self.headers.get("etag", "")
        return etag if etag.startswith('"') else None

    @property
    def _has_length(self) -> bool:
        """Whether a cut body would be noticed: its length is given, or its end is marked."""
        codings = _TOKEN.findall(self.headers.get("transfer-encoding", "").lower())
        return codings[-1:] == ["chunked"] or self.headers.get("content-length", "").isdecimal()

    def _check_uncoded(self) -> None:
        """Check that the body is the file itself.

        Raises:
            FetchError: it is compressed, or otherwise encoded.
        """
        codings = self.headers.get("content-encoding", "").lower()
        if not _CODINGS.isdisjoint(_TOKEN.findall(codings)):
            raise FetchError("the server sent the file compressed, which was not asked for")

    def _refuse(self) -> NoReturn:
        """Raise the error that a status without a file stands for.

        Raises:
            FetchError: always.
        """
        what = f"the server answered {self.status}"
        wait_s = retry_after_s(self.headers)
        if wait_s is not None:
            what += f", and asks to wait {wait_s:.0f} s"
        who = stranger(self.status, self.headers)
        if who is not None:
            raise FetchError(f"{what}: {who}", retryable=False)
        if title := page_title(self._page_head):
            what += f" with the page {title}"
        if self.status in statuses.EXPIRED:
            raise ExpiredUrlError(what, retryable=False)
        raise FetchError(
            what,
            retryable=statuses.is_retried(self.status),
            retry_after_s=wait_s,
        )
