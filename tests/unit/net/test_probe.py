"""What a CDN says of a file that is not fetched."""

import pytest

from mirror.errors import ExpiredUrlError, FetchError
from mirror.net.probe import Prober
from tests.unit.net.answers import answered

PART = (b"HTTP/1.1 206 Partial Content", b"Content-Range: bytes 0-0/2000")
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def a_probe() -> Prober:
    """One that nobody counts the bytes of."""
    return Prober(url="https://cdn.example/a", on_bytes=lambda _: None)


def test_one_byte_is_asked_for() -> None:
    """Some CDNs refuse HEAD; a byte is as cheap."""
    asked: list[str] = []

    def probe() -> Prober:
        prober = a_probe()
        asked.extend(prober.request_headers())
        return prober

    answered(probe, *PART, body=b"x")
    assert asked == ["Accept-Encoding: identity", "Range: bytes=0-0"]


def test_the_headers_say_what_the_file_is() -> None:
    """The whole file's length, its validators, and every digest of it."""
    tag = f'ETag: "{MD5}"'.encode()
    found = answered(a_probe, *PART, b"Content-Type: image/png", tag, body=b"x")
    assert (found.size, found.content_type, found.etag) == (2000, "image/png", f'"{MD5}"')
    assert ("md5", MD5) in found.digests


def test_a_server_that_sends_the_whole_file_is_cut_off() -> None:
    """Its length is known then as well; the bytes are not waited for."""
    found = answered(a_probe, b"HTTP/1.1 200 OK", b"Content-Length: 2000", body=bytes(100))
    assert found.size == 2000


@pytest.mark.parametrize(
    "lines",
    [
        [b"HTTP/1.1 206 Partial Content"],
        [b"HTTP/1.1 206 Partial Content", b"Content-Range: bytes 0-0/*"],
        [b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"],
    ],
    ids=ascii,
)
def test_a_file_of_unknown_length_is_not_known(lines: list[bytes]) -> None:
    """Nothing can be compared with it."""
    with pytest.raises(FetchError, match="how long"):
        answered(a_probe, *lines, body=b"x")


def test_refusals_are_those_of_a_fetch() -> None:
    """An expired URL, and an encoded file."""
    with pytest.raises(ExpiredUrlError):
        answered(a_probe, b"HTTP/1.1 403 Forbidden")
    with pytest.raises(FetchError, match="compressed"):
        answered(a_probe, *PART, b"Content-Encoding: gzip", body=b"x")
