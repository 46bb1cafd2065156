"""One retry policy for the API and for files: backoff with jitter, and the server's own wish.

RFC 9110 section 10.2.3 gives `Retry-After` as seconds or as a date. useapi.net may send the same
wish as `retryAfter` in the body, an ISO 8601 time.
"""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import tenacity

from mirror.errors import ApiError, FetchError

_FIRST_WAIT_S = 0.5
_LONGEST_BACKOFF_S = 30.0


class Pause:
    """A wait that all requests to one service share: when one is told to wait, all do."""

    def __init__(self) -> None:
        self._until = 0.0

    def extend(self, seconds: float) -> None:
        """Let nobody go on for so many seconds from now."""
        self._until = max(self._until, time.monotonic() + seconds)

    async def wait(self) -> None:
        """Return once the pause is over; at once where there is none."""
        while (left := self._until - time.monotonic()) > 0:  # noqa: ASYNC110 - time is the event
            await asyncio.sleep(left)


def retrying(*, max_attempts: int, max_wait_s: float) -> tenacity.AsyncRetrying:
    """Retries around one request.

    Use: `async for attempt in retrying(…): with attempt: return await …`.

    Args:
        max_attempts: how often the request is sent at the most.
        max_wait_s: once the waits between the attempts would add up to more than this, the last
            error is raised.
    """
    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(_is_retryable),
        wait=_wait_s,
        stop=lambda state: (
            state.attempt_number >= max_attempts
            or state.idle_for + state.upcoming_sleep > max_wait_s
        ),
        reraise=True,
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


_backoff = tenacity.wait_random_exponential(
    multiplier=_FIRST_WAIT_S, max=_LONGEST_BACKOFF_S, min=_FIRST_WAIT_S / 2
)


def _wait_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, (ApiError, FetchError)) else None
    backoff = float(_backoff(state))
    return backoff if asked is None else asked + backoff / 10
