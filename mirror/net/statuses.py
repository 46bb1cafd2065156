"""What HTTP statuses mean to whoever asked: the API's client, the transfers, the pings."""

OK = 200
PART = 206
NOT_MODIFIED = 304
BAD_REQUEST = 400
UNAUTHORIZED = 401
NO_SUCH_RANGE = 416
SESSION_BROKEN = 596
"""useapi.net's own: the Kling session of the account is broken."""

EXPIRED = frozenset((401, 403, 404, 410))
"""From a CDN: the listed URL is no longer good, a fresh one may be."""

_RETRIED = frozenset((408, 421, 425, 429))
_FAILS_FROM = 500


def is_retried(status: int) -> bool:
    """Whether the same request may succeed in a moment."""
    return status in _RETRIED or (status >= _FAILS_FROM and status != SESSION_BROKEN)
