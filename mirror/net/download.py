"""A file as it comes in: where its bytes go, and whether they are the file.

Small files are written and hashed where they arrive, in the event loop; the bytes of large ones go
to `Writer`, so that a second core hashes while the first one receives.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable

from msgspec import Struct

from mirror.errors import FetchError
from mirror.models import FileFacts
from mirror.net import digests, statuses
from mirror.net.response import CONTENT_RANGE, Answer
from mirror.net.retry import http_date
from mirror.net.strangers import page_title
from mirror.net.writers import Writer, Writers
from mirror.storage.durable import begin_writing, disk_error
from mirror.storage.media import HEAD_BYTES, error_page_type
from mirror.storage.partial import Note, Partial, Resume

_NOTE_EVERY_BYTES = 8 << 20
_CHUNK_BYTES = 512 * 1024
_MOST_DIGITS = 18
_DATE_IS_STRONG_AFTER_S = 60


class Received(Struct, frozen=True):
    """A complete, checked partial file.

    Attributes:
        facts: of the file.
        head: its first `media.HEAD_BYTES` bytes.
        digests: that the server declared of it: hashlib's name of an algorithm, the hex digest.
    """

    facts: FileFacts
    head: bytes
    digests: tuple[tuple[str, str], ...]


class Receiver(Answer[Received]):
    """A file on its way into its partial file.

    Args:
        url: checked.
        noted_url: as listed, without its query.
        partial: where the bytes go.
        resume: what can be continued.
        known: of a copy that may still be right: the result's facts, where it is.
        check_room: called with the number of bytes that are announced; raises where they do not
            fit.
        on_bytes: called with the number of bytes that came in.
        max_size: bytes of the file, at the most, or None.
        is_media: whether an image, a video or a sound is expected: text is none.
        writers: for large files.
    """

    def __init__(
        self,
        *,
        url: str,
        noted_url: str,
        partial: Partial,
        resume: Resume | None,
        known: FileFacts | None,
        check_room: Callable[[int], None],
        on_bytes: Callable[[int], None],
        max_size: int | None,
        is_media: bool,
        writers: Writers,
    ) -> None:
        super().__init__(url=url, on_bytes=on_bytes)
        self.noted_url = noted_url
        self.partial = partial
        self.resume = resume
        self.known = known
        self._check_room = check_room
        self._max_size = max_size
        self._is_media = is_media
        self._writers = writers
        self._writer: Writer | None = None
        self._descriptor = -1
        self._chunks: list[bytes] = []
        self._held = 0
        self._hasher = hashlib.sha256()
        self._head = b""
        self._size = 0
        self._noted = 0
        self._is_worthless = False

    def request_headers(self) -> list[str]:
        """The header lines that ask for the file, for its rest, or whether it has changed."""
        lines = super().request_headers()
        if self.resume is not None:
            validator = self.resume.note.etag or self.resume.note.last_modified
            lines += [f"Range: bytes={self.resume.note.size}-", f"If-Range: {validator}"]
        elif self.known is not None:
            lines.append(f"If-None-Match: {self.known.etag}")
        return lines

    def _take(self, data: bytes) -> None:
        if self._descriptor < 0:
            self._begin()
        self._chunks.append(data)
        self._held += len(data)
        if self._held >= _CHUNK_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Write what has come in since the last time: libcurl gives 16 KiB at a time."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._held = 0
        if self._writer is None:
            self._write(data)
        else:
            self._writer.put(lambda: self._write(data))

    def _begin(self) -> None:
        try:
            self._open()
        except OSError as error:
            raise disk_error(error, self.partial.path) from None

    def _open(self) -> None:
        self._check_uncoded()
        offset = self._offset()
        if offset and self.resume is not None:
            self._hasher = self.resume.hasher
            self._head = self.resume.head
        self._size = self._noted = offset
        self.announced = self._length()
        self._check_size(offset + self.announced)
        self._check_room(self.announced)
        self._descriptor = self.partial.open(offset)
        if not 0 < self.announced < _CHUNK_BYTES:
            self._writer = self._writers.next()

    def _length(self) -> int:
        """The announced length in bytes; 0 if there is none."""
        length = self.headers.get("content-length", "")
        if not length.isdecimal():
            return 0
        if len(length) > _MOST_DIGITS:
            raise FetchError("the server announces more bytes than any disk has")
        return int(length)

    def _check_size(self, size: int) -> None:
        if self._max_size is not None and size > self._max_size:
            self._is_worthless = True
            raise FetchError("the file is larger than --max-file-size", retryable=False)

    def _offset(self) -> int:
        """Where the body belongs in the file; only what was asked for is spliced.

        Some servers answer 206 to a plain request, and send the whole file.
        """
        first, last, total = self._range()
        if self.status == statuses.OK:
            if total and (first, last + 1) != (0, total):
                self.partial.discard()
                raise FetchError("the server sent a part of the file in place of the file")
            return 0
        has_its_length = self._length() in (0, last - first + 1)
        if has_its_length and first == 0 and last + 1 == total:
            return 0
        if not has_its_length or self.resume is None or first != self.resume.note.size:
            self.partial.discard()
            raise FetchError("the server sent another part of the file than requested")
        # A server that does not know If-Range sends the rest of whatever it has now.
        known = self.resume.note
        validators = (("etag", known.etag), ("last-modified", known.last_modified))
        if any(self.headers.get(name) != value for name, value in validators if value):
            self.partial.discard()
            raise FetchError("the file changed while it was being fetched")
        return first

    def _range(self) -> tuple[int, int, int]:
        """The first and the last byte that are announced, and the size of the whole file."""
        found = CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
        return (int(found[1]), int(found[2]), int(found[3])) if found else (-1, -2, 0)

    def _write(self, data: bytes) -> None:
        """Write and hash a chunk. What is wrong with it ends the transfer with the next one."""
        if self.error is not None:
            return
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
            # Only now: a note describes what is on the disk.
            self._hasher.update(data)
            self._size += len(data)
            if len(self._head) < HEAD_BYTES:
                self._head = (self._head + data)[:HEAD_BYTES]
            self._check_size(self._size)
            if self._size - self._noted >= _NOTE_EVERY_BYTES:
                self._check_room(0)
                begin_writing(self._descriptor)  # lest all of it is to be waited for in the end
                self.keep()
        except OSError as error:
            self.error = disk_error(error, self.partial.path)
        except Exception as error:  # noqa: BLE001 - it ends the transfer, never the thread
            self.error = error

    def settle(self, error: BaseException | None) -> None:
        """Resolve `future`, once all bytes are written."""
        if self._held:
            self._flush()
        if self._writer is not None:
            self._writer.put(lambda: self._resolve_from_thread(self._outcome(error)))
        else:
            super().settle(error)

    def abandon(self) -> None:
        """Abandon the transfer; the bytes so far stay and can be continued."""
        if self._held:
            self._flush()
        if self._writer is not None:
            self._writer.put(self._close_abandoned)
        else:
            self._close_abandoned()

    def _close_abandoned(self) -> None:
        with contextlib.suppress(OSError):  # nobody would read the error
            self._close(failed=True)

    def _outcome(self, error: BaseException | None) -> Received | BaseException:
        error = self.error or error
        try:
            self._close(failed=error is not None)
            return super()._outcome(error)
        except OSError as reason:
            return disk_error(reason, self.partial.path)

    def keep(self) -> None:
        """Vouch for the bytes so far, where the server lets them be continued."""
        etag, last_modified = self._strong_etag(), self._strong_date()
        if self._size and (etag or last_modified) and not self._is_worthless:
            self._noted = self._size
            facts = self._facts(etag, last_modified)
            self.partial.save(Note.of(facts, complete=False))

    def _facts(self, etag: str | None, last_modified: str | None) -> FileFacts:
        return FileFacts(
            size=self._size,
            sha256=self._hasher.hexdigest(),
            etag=etag,
            last_modified=last_modified,
            content_type=self.headers.get("content-type"),
            url=self.noted_url,
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

    def _close(self, *, failed: bool) -> None:
        """Close the file; the bytes so far stay and can be continued."""
        if self._descriptor >= 0:
            if failed:
                with contextlib.suppress(OSError):  # a full disk: then it starts over next time
                    self.keep()
            os.close(self._descriptor)
            self._descriptor = -1
        if self._is_worthless:
            self.partial.discard()

    def _result(self) -> Received:
        """The received file.

        Raises:
            FetchError: the answer is not the file.
        """
        if self.status == statuses.NOT_MODIFIED and self.known is not None:
            return Received(self.known, head=b"", digests=())
        if not self.is_file:
            if self.status == statuses.NO_SUCH_RANGE:
                self.partial.discard()
                raise FetchError("the server does not have the requested part of the file")
            self._refuse()
        if self.status == statuses.PART:
            self._check_part()
        if not self._size:
            self.partial.discard()
            raise FetchError("the file is empty")
        if not self._has_length:
            self.partial.discard()
            raise FetchError("the server did not say how long the file is: it may be cut")
        self._check_is_no_page()
        return Received(
            facts=self._facts(self.headers.get("etag"), self.headers.get("last-modified")),
            head=self._head,
            digests=tuple(digests.declared(self.headers, whole=self.status == statuses.OK)),
        )

    def _check_part(self) -> None:
        """Check that the received part is the announced one, and the last one.

        Raises:
            FetchError: it is not; what can be continued is kept.
        """
        first, last, total = self._range()
        if self.received != last - first + 1:
            self.partial.discard()
            raise FetchError("the server sent another part of the file than it announced")
        if self._size < total:
            self.keep()
            raise FetchError("the server sent less of the file than requested")

    def _check_is_no_page(self) -> None:
        """Check that the server did not send a page in place of the file.

        Raises:
            FetchError: it is one.
        """
        content_type = self.headers.get("content-type")
        if kind := error_page_type(self._head, content_type, is_media=self._is_media):
            self.partial.discard()
            title = page_title(self._head)
            kind = f"{kind}: {title}" if title else kind
            raise FetchError(f"the server sent an error page ({kind}) in place of the file")
