"""One retry policy for the API and for files: backoff with jitter, and the server's own wish.

RFC 9110 section 10.2.3 gives `Retry-After` as seconds or as a date. useapi.net may send the same
wish as `retryAfter` in the body, an ISO 8601 time.
"""

import contextlib
import datetime as dt
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

import tenacity

from mirror.errors import ApiError, FetchError

T = TypeVar("T")

_FIRST_WAIT_S = 0.5
_LONGEST_BACKOFF_S = 30.0


class Pause:
    """A wait that all requests to one host share: when one is asked to wait, all do.

    Args:
        max_wait_s: the longest that is waited for, from the first wish to wait until a request
            succeeds again.
    """

    def __init__(self, max_wait_s: float) -> None:
        self._max_wait_s = max_wait_s
        self._since = math.inf
        self._until = 0.0

    def extend(self, seconds: float) -> None:
        """Make all requests wait for this many seconds from now."""
        now = time.monotonic()
        self._since = min(self._since, now)
        self._until = max(self._until, now + seconds)

    def end(self) -> None:
        """Note that a request succeeded."""
        self._since = math.inf

    @property
    def left_s(self) -> float:
        """The seconds that are left; 0 if there is no wait."""
        return max(0.0, self._until - time.monotonic())

    @property
    def is_too_long(self) -> bool:
        """Whether it is not worth waiting for: all requests fail at once until it is over."""
        left_s = self.left_s
        return left_s > 0 and max(left_s, self._until - self._since) > self._max_wait_s


class Policy(NamedTuple):
    """How often one request is sent, and for how long.

    tenacity takes over where the first attempt has failed: it costs as much as a small file does.

    Attributes:
        max_attempts: how often it is sent at the most.
        max_wait_s: once the waits between the attempts would add up to more than this, the last
            error is raised.
    """

    max_attempts: int
    max_wait_s: float

    def call(self, request: Callable[[], T], *, sleep: Callable[[float], None]) -> T:
        """Send a request until it succeeds, or is given up.

        Raises:
            ApiError, FetchError: the last one, or the first that a retry cannot help.
        """
        try:
            return request()
        except (ApiError, FetchError) as error:
            failed = [error]

        def again() -> T:
            if failed:
                raise failed.pop()
            return request()

        return tenacity.Retrying(sleep=sleep, **self._rules())(again)

    async def call_async(self, request: Callable[[], Awaitable[T]]) -> T:
        """The same, for a request that is awaited."""
        try:
            return await request()
        except (ApiError, FetchError) as error:
            failed = [error]

        async def again() -> T:
            if failed:
                raise failed.pop()
            return await request()

        return await tenacity.AsyncRetrying(**self._rules())(again)

    def _rules(self) -> dict[str, Any]:
        return {
            "retry": _if_retryable,
            "wait": _wait_s,
            "stop": self._is_enough,
            "reraise": True,
        }

    def _is_enough(self, state: tenacity.RetryCallState) -> bool:
        return (
            state.attempt_number >= self.max_attempts
            or state.idle_for + state.upcoming_sleep > self.max_wait_s
        )


def retry_after_s(headers: Mapping[str, str], body_wish: object = None) -> float | None:
    """How long the server asks us to wait, in seconds, or None.

    Args:
        headers: of the answer; `Date` in it settles a clock that is wrong on either side.
        body_wish: `retryAfter` of the answer's body: an ISO 8601 time, or seconds.
    """
    now = http_date(headers.get("date")) or dt.datetime.now(dt.UTC)
    for wish in (headers.get("retry-after"), body_wish):
        if wish is None or isinstance(wish, bool):
            continue
        with contextlib.suppress(ValueError, OverflowError):
            return _seconds(str(wish).strip(), now)
    return None


def _seconds(wish: str, now: dt.datetime) -> float:
    if wish.replace(".", "", 1).isascii() and wish.replace(".", "", 1).isdigit():
        return float(wish)
    until = http_date(wish) or dt.datetime.fromisoformat(wish)
    if until.tzinfo is None:
        until = until.replace(tzinfo=dt.UTC)
    return max(0.0, (until - now).total_seconds())


def http_date(text: str | None) -> dt.datetime | None:
    """The time that an HTTP header names, or None where it names none."""
    try:
        date = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=dt.UTC)


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, (ApiError, FetchError)) and error.retryable


_if_retryable = tenacity.retry_if_exception(_is_retryable)
_backoff = tenacity.wait_random_exponential(
    multiplier=_FIRST_WAIT_S, max=_LONGEST_BACKOFF_S, min=_FIRST_WAIT_S / 2
)


def _wait_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, (ApiError, FetchError)) else None
    backoff = float(_backoff(state))
    return backoff if asked is None else asked + backoff / 10
