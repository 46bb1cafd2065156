"""A request for a CDN's facts about a file, without fetching the file."""

from msgspec import Struct

from mirror.errors import FetchError
from mirror.net import digests, statuses
from mirror.net.response import CONTENT_RANGE, Answer


class RemoteFile(Struct, frozen=True):
    """The facts about a whole file that headers give.

    Attributes:
        size: bytes.
        etag: as it was sent, or None.
        digests: hashlib's name of an algorithm, and the hex digest. An ETag that has the shape of a
            digest is one of them.
    """

    size: int
    etag: str | None
    last_modified: str | None
    content_type: str | None
    digests: tuple[tuple[str, str], ...]


class _EnoughError(FetchError):
    """Not a failure: the headers have arrived, and the rest is not needed."""


class Prober(Answer[RemoteFile]):
    """One request for the first byte of a file: some CDNs refuse HEAD."""

    def request_headers(self) -> list[str]:
        """The header lines that ask for the first byte."""
        return [*super().request_headers(), "Range: bytes=0-0"]

    def _take(self, _: bytes) -> None:
        """Drop the bytes; cut off a server that sends the whole file."""
        if self.status == statuses.OK:
            self.error = _EnoughError("that is enough")

    def _outcome(self, error: BaseException | None) -> RemoteFile | BaseException:
        if isinstance(self.error, _EnoughError):
            self.error = error = None
        return super()._outcome(error)

    def _result(self) -> RemoteFile:
        if not self.is_file:
            self._refuse()
        self._check_uncoded()
        size = self.headers.get("content-length", "")
        if self.status != statuses.OK:
            found = CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
            size = found[3] if found else ""
        if not size.isdigit():
            raise FetchError("the server did not say how long the file is")
        etag = self.headers.get("etag")
        declared = digests.declared(self.headers, whole=self.status == statuses.OK)
        return RemoteFile(
            size=int(size),
            etag=etag,
            last_modified=self.headers.get("last-modified"),
            content_type=self.headers.get("content-type"),
            digests=(*declared, *digests.of_etag(etag)),
        )
