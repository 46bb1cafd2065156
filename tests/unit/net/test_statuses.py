"""Which HTTP statuses are worth another try."""

import pytest

from mirror.net.statuses import is_retried


@pytest.mark.parametrize("status", [202, 204, 408, 421, 425, 429, 500, 503, 507, 599])
def test_what_passes_is_retried(status: int) -> None:
    """Timeouts, limits, whatever is the server's own trouble, and a success that brings nothing."""
    assert is_retried(status)


@pytest.mark.parametrize("status", [301, 304, 400, 401, 402, 403, 404, 410, 416, 451])
def test_what_stays_is_not_retried(status: int) -> None:
    """Results, refusals, and what only another request can change."""
    assert not is_retried(status)


@pytest.mark.parametrize("status", [511, 596])
def test_what_a_person_must_mend_is_not_retried(status: int) -> None:
    """A login that the network wants, and useapi.net's own status for a broken session."""
    assert not is_retried(status)
