"""The head of an answer: what is read from it, and what a status means that is no file."""

import pytest

from mirror.errors import ExpiredUrlError, FetchError
from mirror.net.response import Answer
from tests.unit.net.answers import answered


class _Headers(Answer[dict[str, str]]):
    """An answer whose result is its header."""

    def _take(self, data: bytes) -> None:
        """Drop it."""

    def _result(self) -> dict[str, str]:
        if not self.is_file:
            self._refuse()
        self._check_uncoded()
        return {**self.headers, "(whole)": str(self._has_length)}


def a_request() -> _Headers:
    """One that nobody counts the bytes of."""
    return _Headers(url="https://cdn.example/a", on_bytes=lambda _: None)


def test_the_last_header_counts() -> None:
    """Behind a 100, a proxy's answer or a redirect."""
    headers = answered(
        a_request, b"HTTP/1.1 100 Continue", b"X: 1", b"", b"HTTP/1.1 200 OK", b"Y: 2", body=b"x"
    )
    assert headers == {"y": "2", "(whole)": "False"}


def test_what_comes_twice_is_joined() -> None:
    """Two values are a list, as RFC 9110 says; the same value twice is one."""
    headers = answered(a_request, b"HTTP/1.1 200 OK", b"A: 1", b"a:1", b"B: 1", b"B: 2", body=b"x")
    assert (headers["a"], headers["b"]) == ("1", "1, 2")


@pytest.mark.parametrize(
    ("lines", "is_whole"),
    [
        ([b"Content-Length: 5"], True),
        ([b"Transfer-Encoding: chunked"], True),
        ([b"Transfer-Encoding: Chunked"], True),
        ([b"Transfer-Encoding: gzip, chunked"], True),
        ([b"Transfer-Encoding: identity", b"Content-Length: 5"], True),
        ([], False),
        ([b"Transfer-Encoding: identity"], False),
        ([b"Transfer-Encoding: chunked, identity"], False),
        ([b"Content-Length: 5", b"Content-Length: 9"], False),
        ([b"Content-Length: five"], False),
        ([b"Content-Length: -5"], False),
    ],
    ids=ascii,
)
def test_completeness_needs_a_length_or_a_marked_end(lines: list[bytes], *, is_whole: bool) -> None:
    """The end of a connection proves nothing."""
    headers = answered(a_request, b"HTTP/1.1 200 OK", *lines, body=b"12345")
    assert headers["(whole)"] == str(is_whole)


@pytest.mark.parametrize("coding", [b"gzip", b"identity, br", b"X-GZIP", b"zstd;q=1", b"aes128gcm"])
def test_an_encoded_file_is_refused(coding: bytes) -> None:
    """What was not asked for would be mirrored as it came."""
    with pytest.raises(FetchError, match="compressed"):
        answered(a_request, b"HTTP/1.1 200 OK", b"Content-Encoding: " + coding, body=b"x")


@pytest.mark.parametrize("coding", [b"", b"identity", b"utf-8", b"none", b"aws-chunked, binary"])
def test_words_that_are_no_coding_are_let_pass(coding: bytes) -> None:
    """Some servers send the character set there, or nonsense."""
    assert answered(a_request, b"HTTP/1.1 200 OK", b"Content-Encoding: " + coding, body=b"x")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_expired_url_is_one_to_look_up_again(status: int) -> None:
    """A fresh URL may be good; the same one is not asked for again."""
    with pytest.raises(ExpiredUrlError, match=str(status)) as caught:
        answered(a_request, f"HTTP/1.1 {status} No".encode())
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(202, True), (204, True), (429, True), (503, True), (302, False), (400, False), (451, False)],
)
def test_other_statuses_are_failures(status: int, *, retryable: bool) -> None:
    """With the server's wish to wait, where there is one."""
    with pytest.raises(FetchError, match=str(status)) as caught:
        answered(a_request, f"HTTP/1.1 {status} No".encode(), b"Retry-After: 7")
    assert (caught.value.retryable, caught.value.retry_after_s) == (retryable, 7)


def test_an_error_page_is_named_by_its_title() -> None:
    """What a person would have seen in a browser."""
    page = b"<html><head><title>Hotel Wifi</title></head>"
    with pytest.raises(FetchError, match='503 with the page "Hotel Wifi"'):
        answered(a_request, b"HTTP/1.1 503 Busy", body=page)


def test_a_bot_check_is_no_expired_url() -> None:
    """A fresh URL would meet the same check."""
    with pytest.raises(FetchError, match="bot check") as caught:
        answered(a_request, b"HTTP/1.1 403 Forbidden", b"CF-Mitigated: challenge", body=b"<html>")
    assert not isinstance(caught.value, ExpiredUrlError)


def test_a_proxy_that_wants_a_login_says_so() -> None:
    """Though libcurl only says that no tunnel came about."""
    fault = FetchError("CONNECT tunnel failed, response 407")
    with pytest.raises(FetchError, match="a proxy wants a login") as caught:
        answered(a_request, b"HTTP/1.1 407 Proxy Authentication Required", fault=fault)
    assert not caught.value.retryable


def test_a_page_without_end_is_cut() -> None:
    """No more of it is taken than a megabyte."""
    with pytest.raises(ExpiredUrlError, match="404"):
        answered(a_request, b"HTTP/1.1 404 Not Found", body=bytes(2 << 20))
