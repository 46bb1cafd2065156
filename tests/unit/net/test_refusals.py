"""What the API's answers mean: who is refused, what may be asked again, and what to do."""

import httpx
import pytest

from mirror.errors import AccessError, ApiError, ExitCode, MirrorError
from mirror.net.refusals import malformed, refusal

EMAIL = "me@example.com"
PAGE = b"<html><head><title>Just a moment...</title></head><body></body></html>"


def refused(
    status: int, body: bytes = b"", *, account: str | None = EMAIL, **headers: str
) -> MirrorError:
    """The error of such an answer; `retry_after="1"` is a header."""
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return refusal(
        status, named, body, host="api.example", account=account, asked="pageNum=1 pageSize=100"
    )


@pytest.mark.parametrize(
    ("status", "what", "hint"),
    [
        (401, "the token was refused", "init"),
        (402, "subscription has expired", "renew"),
        (403, f"{EMAIL} may not be read", "--email"),
        (404, f"{EMAIL} is not configured", "--email"),
        (596, f"session of {EMAIL} is broken", "delete the account"),
    ],
)
def test_what_a_person_must_mend(status: int, what: str, hint: str) -> None:
    """Exit 4, with the account's name, the API's own words and the way out."""
    error = refused(status, b'{"error": "Its own words", "code": 1}')
    assert isinstance(error, AccessError)
    assert (error.exit_code, error.status, error.where) == (ExitCode.ACCESS, status, "api.example")
    assert what in error.what
    assert f"({status}: Its own words)" in error.what
    assert hint in error.hint


def test_without_an_email_it_is_the_subscription_s_account() -> None:
    """There is no name to give."""
    assert "the subscription's Kling account" in refused(404, account=None).what


@pytest.mark.parametrize("status", [202, 204, 408, 425, 429, 500, 502, 503, 504, 520])
def test_what_may_pass(status: int) -> None:
    """Exit 7 in the end; it is asked again before that."""
    error = refused(status, b'{"error": {"code": 7, "message": "Upstream down"}}')
    assert isinstance(error, ApiError)
    assert (error.exit_code, error.status, error.retryable) == (ExitCode.API, status, True)
    assert f"keeps failing ({status}: Upstream down)" in error.what


def test_a_wish_to_wait_is_in_the_message() -> None:
    """From the header, or from the body."""
    error = refused(429, retry_after="90")
    assert isinstance(error, ApiError)
    assert error.retry_after_s == 90
    assert "asks to wait 90 s" in error.what
    body = b'{"error": "Slow down", "retryAfter": "1994-11-06T08:50:07Z"}'
    error = refused(429, body, date="Sun, 06 Nov 1994 08:49:37 GMT")
    assert isinstance(error, ApiError)
    assert error.retry_after_s == 30


@pytest.mark.parametrize("status", [400, 405, 418, 451])
def test_what_stays(status: int) -> None:
    """Exit 7 at once, with the request that was refused."""
    error = refused(status, b'{"error": "Invalid parameters"}')
    assert isinstance(error, ApiError)
    assert (error.status, error.retryable) == (status, False)
    assert f"pageNum=1 pageSize=100 ({status}: Invalid parameters)" in error.what
    assert "--api-url" in error.hint


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_but_named(status: int) -> None:
    """Login pages of hotels work so; a query may be a secret."""
    error = refused(status, location="http://login.hotel.example/wifi?mac=00")
    assert isinstance(error, ApiError)
    assert not error.retryable
    assert "to http://login.hotel.example/wifi)" in error.what
    assert "captive portal" in error.hint


@pytest.mark.parametrize(
    ("status", "headers", "who"),
    [
        (407, {}, "a proxy wants a login"),
        (511, {}, "captive portal"),
        (403, {"cf_mitigated": "challenge"}, "bot check"),
    ],
)
def test_strangers_are_not_taken_for_the_api(
    status: int, headers: dict[str, str], who: str
) -> None:
    """Exit 7, though the status may be one of the API's own for a refusal."""
    error = refused(status, PAGE, **headers)
    assert isinstance(error, ApiError)
    assert not error.retryable
    assert who in error.what


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_page_is_named_by_its_title(status: int) -> None:
    """The API answers in JSON: whose page it is, a person can guess."""
    assert f'({status}: a web page, "Just a moment...")' in refused(status, PAGE).what


def test_an_answer_that_is_no_listing_says_what_it_is() -> None:
    """It may be another one in a moment."""
    error = malformed("this: []", b"[]", where="api.example/assets")
    assert (error.retryable, error.where) == (True, "api.example/assets")
    assert "this: []" in error.what
    error = malformed("a web page: <html>", PAGE, where="api.example/assets")
    assert 'a web page, "Just a moment..."' in error.what
    assert "captive portal" in error.hint
