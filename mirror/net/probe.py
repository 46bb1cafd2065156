"""A few bytes of a file at a CDN, and what its headers say of the whole: enough to know it by."""

from collections.abc import Callable

from msgspec import Struct

from mirror.errors import FetchError
from mirror.net import digests
from mirror.net.response import CONTENT_RANGE, OK, Answer
from mirror.storage.media import HEAD_BYTES, error_page_type


class Sample(Struct, frozen=True):
    """A part of a file.

    Attributes:
        size: bytes of the whole file.
        data: the part's bytes.
        etag: strong, or None.
        digests: of the whole file: hashlib's name of an algorithm, and the hex digest.
    """

    size: int
    data: bytes
    etag: str | None
    last_modified: str | None
    content_type: str | None
    digests: tuple[tuple[str, str], ...]


class _EnoughError(FetchError):
    """No trouble: all bytes that were wanted are here, and the rest is not waited for."""


class Prober(Answer[Sample]):
    """One request for a part of a file; it is written nowhere.

    Args:
        url: checked.
        start: the first byte that is wanted.
        count: how many are; the file may end before.
        on_bytes: told of bytes that came in.
    """

    def __init__(
        self, *, url: str, start: int, count: int, on_bytes: Callable[[int], None]
    ) -> None:
        super().__init__(url=url, on_bytes=on_bytes)
        self._start = start
        self._count = count
        self._data = b""

    def request_headers(self) -> list[str]:
        """The header lines that ask for the part."""
        last = self._start + self._count - 1
        return [*super().request_headers(), f"Range: bytes={self._start}-{last}"]

    def _take(self, data: bytes) -> None:
        """Take bytes of the part; a server that sends the whole file is cut off behind them."""
        self._data += data
        if self.status == OK and self._start:
            self.error = FetchError("the server sends no parts of files", retryable=False)
        elif len(self._data) > self._count:
            self.error = _EnoughError("that is enough")

    def _outcome(self, error: BaseException | None) -> Sample | BaseException:
        if isinstance(self.error, _EnoughError):
            self.error = error = None
        return super()._outcome(error)

    def _result(self) -> Sample:
        if not self.is_file:
            self._refuse()
        if self.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise FetchError("the file came compressed, though that was not asked for")
        found = CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
        if self.status == OK:
            start, size = 0, self.headers.get("content-length", "")
        else:
            start, size = (int(found[1]), found[3]) if found else (-1, "")
        if start != self._start or not size.isdigit():
            raise FetchError("the server did not say what part of the file it sent")
        data = self._data[: self._count]
        if len(data) != min(self._count, max(0, int(size) - start)):
            raise FetchError("the server sent another part of the file than was asked for")
        kind = error_page_type(data[:HEAD_BYTES], self.headers.get("content-type"))
        if start == 0 and kind:
            raise FetchError(f"the server sent an error page ({kind}) in place of the file")
        return Sample(
            size=int(size),
            data=data,
            etag=self._strong_etag(),
            last_modified=self.headers.get("last-modified"),
            content_type=self.headers.get("content-type"),
            digests=tuple(digests.declared(self.headers, whole=self.status == OK)),
        )
