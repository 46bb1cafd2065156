"""What HTTP statuses mean to the API's client, the transfers and the pings."""

OK = 200
PART = 206
NOT_MODIFIED = 304
BAD_REQUEST = 400
UNAUTHORIZED = 401
PROXY_LOGIN = 407
NO_SUCH_RANGE = 416
NETWORK_LOGIN = 511
SESSION_BROKEN = 596
"""useapi.net's own: the Kling session of the account is broken."""

EXPIRED = frozenset((401, 403, 404, 410))
"""From a CDN: the listed URL is no longer good, a fresh one may be."""

PAST_THE_END = frozenset((400, 404))
"""From the API, for a page after the first: there may be no such page."""

_RETRIED = frozenset((408, 421, 425, 429))
_NOT_RETRIED = frozenset((NETWORK_LOGIN, SESSION_BROKEN))
_SUCCEEDS_BELOW = 300
_FAILS_FROM = 500


def is_retried(status: int) -> bool:
    """Whether the same request may succeed in a moment.

    A success without content, such as 202 or 204, is retried, too: the result may follow.
    """
    if status < _SUCCEEDS_BELOW or status in _RETRIED:
        return True
    return status >= _FAILS_FROM and status not in _NOT_RETRIED
