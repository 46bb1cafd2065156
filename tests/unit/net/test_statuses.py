"""Which HTTP statuses are worth another try."""

import pytest

from mirror.net.statuses import is_retried


@pytest.mark.parametrize("status", [408, 421, 425, 429, 500, 502, 503, 504, 507, 520, 599])
def test_what_passes_is_retried(status: int) -> None:
    """Timeouts, limits, and whatever is the server's own trouble."""
    assert is_retried(status)


@pytest.mark.parametrize("status", [200, 206, 301, 304, 400, 401, 402, 403, 404, 410, 416, 451])
def test_what_stays_is_not_retried(status: int) -> None:
    """Results, refusals, and what only another request can change."""
    assert not is_retried(status)


def test_a_broken_session_is_not_retried() -> None:
    """596 is useapi.net's own, though it looks like a server's trouble: a person must mend it."""
    assert not is_retried(596)
