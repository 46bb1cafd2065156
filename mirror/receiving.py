"""One answer of a CDN, as it comes in: where its bytes go, and whether they are the file.

`Receiver` is what libcurl's callbacks talk to; it knows HTTP and the partial file, not libcurl.
What it has in common with other takers of answers is `Answer`.
"""

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

from msgspec import Struct

from mirror import digests
from mirror.durable import disk_error
from mirror.errors import ExpiredUrlError, FetchError, MirrorError
from mirror.media import HEAD_BYTES, error_page_type
from mirror.partials import Note, Partial, Resume
from mirror.retrying import http_date, retry_after_s

_NOTE_EVERY_BYTES = 8 << 20
OK = 200
_PART = 206
_NOT_MODIFIED = 304
_NO_SUCH_RANGE = 416
_EXPIRED = frozenset((401, 403, 404, 410))
_PASSING = frozenset((408, _NO_SUCH_RANGE, 421, 425, 429))
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_DATE_IS_STRONG_AFTER_S = 60

T = TypeVar("T")


class Received(Struct, frozen=True):
    """A complete, checked partial file, or the news that ours is still the right one.

    Attributes:
        not_modified: the server vouched for the copy whose ETag was sent; no bytes came.
        size: bytes of the file.
        sha256: hex.
        head: its first `media.HEAD_BYTES` bytes.
        transferred: bytes that came over the network for it, this time.
    """

    not_modified: bool
    size: int
    sha256: str
    head: bytes
    etag: str | None
    last_modified: str | None
    content_type: str | None
    transferred: int
    digests: tuple[tuple[str, str], ...]


class Answer(Generic[T]):
    """One request on its way, and the head of what comes back.

    Args:
        url: checked.
        future: resolved with the result, or an error.

    Attributes:
        redirects: how many were followed.
        received: bytes of the body so far.
        announced: bytes that the body is to have, where it goes to the disk; 0 where it does not.
        moved_at: when a byte came last, by `time.monotonic`.
        error: why the transfer is to end before its time.
        where: the file that the disk's errors are about, or "".
        headers: by lower-case name.
    """

    def __init__(self, *, url: str, future: "asyncio.Future[T]") -> None:
        self.url = url
        self.future = future
        self.redirects = 0
        self.received = 0
        self.announced = 0
        self.moved_at = 0.0
        self.error: MirrorError | None = None
        self.where = ""
        self.status = 0
        self.headers: dict[str, str] = {}

    def request_headers(self) -> list[str]:
        """The header lines that ask for what is wanted."""
        raise NotImplementedError

    @property
    def is_file(self) -> bool:
        """Whether the answer claims to be the file, or a part of it."""
        return self.status in (OK, _PART)

    # What libcurl calls. An exception in here would be printed by pycurl and lost: each becomes
    # `self.error`, and the answer -1 ends the transfer.

    def on_header(self, line: bytes) -> None:
        """Take one line of a header: also of a proxy's, of a 100 or of a redirect."""
        text = line.decode("latin-1").strip()
        if text.startswith("HTTP/"):
            self.headers = {}
            self.status = int(text.split(maxsplit=2)[1])
        elif text:
            name, _, value = text.partition(":")
            self.headers[name.strip().lower()] = value.strip()

    def on_body(self, data: bytes) -> int | None:
        """Take bytes of the body."""
        raise NotImplementedError

    # What the driving thread calls once libcurl is done with it.

    def close(self, *, failed: bool) -> None:
        """Let go of what is open."""

    def result(self) -> T:
        """What came.

        Raises:
            FetchError: it is not what was asked for.
        """
        raise NotImplementedError

    def strong_etag(self) -> str | None:
        """The ETag, where it says that every byte is the same."""
        etag = self.headers.get("etag", "")
        return etag if etag.startswith('"') else None

    def refuse(self) -> NoReturn:
        """Say what a status means that is no file.

        Raises:
            FetchError: always.
        """
        what = f"the server answered {self.status}"
        if self.status in _EXPIRED:
            raise ExpiredUrlError(what, retryable=False)
        raise FetchError(
            what,
            retryable=self.status in _PASSING or self.status >= 500,  # noqa: PLR2004
            retry_after_s=retry_after_s(self.headers),
        )


class Receiver(Answer[Received]):
    """A file on its way into its partial file."""

    def __init__(
        self,
        *,
        url: str,
        noted_url: str,
        partial: Partial,
        resume: Resume | None,
        known_etag: str | None,
        check_room: Callable[[], None],
        max_size: int | None,
        future: "asyncio.Future[Received]",
    ) -> None:
        super().__init__(url=url, future=future)
        self.where = str(partial.path)
        self.noted_url = noted_url
        self.partial = partial
        self.resume = resume
        self.known_etag = known_etag
        self._check_room = check_room
        self._max_size = max_size
        self._descriptor = -1
        self._hasher = hashlib.sha256()
        self._head = b""
        self._size = 0
        self._noted = 0
        self._is_worthless = False

    def request_headers(self) -> list[str]:
        """The header lines that ask for what is wanted, and for nothing encoded."""
        lines = ["Accept-Encoding: identity"]
        if self.resume is not None:
            validator = self.resume.note.etag or self.resume.note.last_modified
            lines += [f"Range: bytes={self.resume.note.size}-", f"If-Range: {validator}"]
        elif self.known_etag is not None:
            lines.append(f"If-None-Match: {self.known_etag}")
        return lines

    def on_body(self, data: bytes) -> int | None:
        """Take bytes of the body; those of an error or a redirect are let go."""
        if not self.is_file:
            return None
        try:
            if self._descriptor < 0:
                self._begin()
            self._write(data)
        except MirrorError as error:
            self.error = error
        except OSError as error:
            self.error = disk_error(error, self.partial.path)
        return None if self.error is None else -1

    def _begin(self) -> None:
        if self.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise FetchError("the file came compressed, though that was not asked for")
        offset = self._offset()
        if offset and self.resume is not None:
            self._hasher = self.resume.hasher
            self._head = self.resume.head
        self._size = self._noted = offset
        length = self.headers.get("content-length", "")
        self.announced = int(length) if length.isdigit() else 0
        self._check_size(offset + self.announced)
        self._check_room()
        self._descriptor = self.partial.open(offset)

    def _check_size(self, size: int) -> None:
        if self._max_size is not None and size > self._max_size:
            self._is_worthless = True
            raise FetchError("the file is larger than --max-file-size", retryable=False)

    def _offset(self) -> int:
        """Where the body belongs in the file; only what was asked for is spliced."""
        if self.status == OK:
            return 0
        found = CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
        if self.resume is None or found is None or int(found[1]) != self.resume.note.size:
            self.partial.discard()
            raise FetchError("the server sent another part of the file than was asked for")
        # A server that does not know If-Range sends the rest of whatever it has now.
        known = self.resume.note
        validators = (("etag", known.etag), ("last-modified", known.last_modified))
        if any(self.headers.get(name) != value for name, value in validators if value):
            self.partial.discard()
            raise FetchError("the file changed while it was being fetched")
        return int(found[1])

    def _write(self, data: bytes) -> None:
        if len(self._head) < HEAD_BYTES:
            self._head = (self._head + data)[:HEAD_BYTES]
        self._hasher.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._size += len(data)
        self.received += len(data)
        self._check_size(self._size)
        if self._size - self._noted >= _NOTE_EVERY_BYTES:
            self._check_room()
            self.keep()

    def keep(self) -> None:
        """Vouch for the bytes so far, where the server lets them be continued."""
        etag, last_modified = self.strong_etag(), self._strong_date()
        if self._size and (etag or last_modified) and not self._is_worthless:
            self._noted = self._size
            self.partial.save(self._note(etag, last_modified))

    def _note(self, etag: str | None, last_modified: str | None) -> Note:
        return Note(
            url=self.noted_url,
            size=self._size,
            sha256=self._hasher.copy().hexdigest(),
            etag=etag,
            last_modified=last_modified,
            content_type=self.headers.get("content-type"),
            complete=False,
        )

    def _strong_date(self) -> str | None:
        """Last-Modified, where it may serve with If-Range: RFC 9110 wants it older than the Date.

        A minute is what RFC 7232 asked for; it costs nothing here.
        """
        changed = self.headers.get("last-modified")
        then, now = http_date(changed), http_date(self.headers.get("date"))
        if then is None or now is None:
            return None
        return changed if (now - then).total_seconds() >= _DATE_IS_STRONG_AFTER_S else None

    def close(self, *, failed: bool) -> None:
        """Let go of the file; what came of it stays to be continued."""
        if self._descriptor >= 0:
            if failed:
                with contextlib.suppress(OSError):  # a full disk: then it starts over next time
                    self.keep()
            os.close(self._descriptor)
            self._descriptor = -1
        if self._is_worthless:
            self.partial.discard()

    def result(self) -> Received:
        """What was received.

        Raises:
            FetchError: the answer is not the file.
        """
        if self.status == _NOT_MODIFIED and self.known_etag is not None:
            return self._as_received(not_modified=True)
        if not self.is_file:
            if self.status == _NO_SUCH_RANGE:
                self.partial.discard()
            self.refuse()
        found = CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
        if self.status == _PART and found and int(found[3]) != self._size:
            raise FetchError("the file is not as long as the server said")
        if not self._size:
            self.partial.discard()
            raise FetchError("the file is empty")
        if not self.headers.keys() & {"content-length", "transfer-encoding"}:
            self.partial.discard()
            raise FetchError("the server did not say how long the file is: it may be cut")
        if kind := error_page_type(self._head, self.headers.get("content-type")):
            self.partial.discard()
            raise FetchError(f"the server sent an error page ({kind}) in place of the file")
        return self._as_received(not_modified=False)

    def _as_received(self, *, not_modified: bool) -> Received:
        return Received(
            not_modified=not_modified,
            size=self._size,
            sha256=self._hasher.hexdigest(),
            head=self._head,
            etag=self.headers.get("etag"),
            last_modified=self.headers.get("last-modified"),
            content_type=self.headers.get("content-type"),
            transferred=self.received,
            digests=tuple(digests.declared(self.headers, whole=self.status == OK)),
        )
