"""How long ago a `prune` was, by the name of what it moved to the trash."""

import datetime as dt

import pytest

from mirror.jobs.prune import is_older

DAY_S = 86_400.0


def name(days: float) -> str:
    """The name that a `prune` so many days ago gave."""
    then = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    return then.strftime("%Y-%m-%dT%H%M%SZ")


@pytest.mark.parametrize(
    ("days", "more", "is_it"),
    [(31, "", True), (31, "-2", True), (29, "", False), (-400, "", False)],
)
def test_a_prune_has_an_age(days: float, more: str, *, is_it: bool) -> None:
    """Its name has its time, and a number if it was not the only one; the future is not old."""
    assert is_older(name(days) + more, 30 * DAY_S) is is_it


@pytest.mark.parametrize("text", ["", "mine", "2025-01-01", "2025-13-41T000000Z", "x-2"])
def test_what_has_no_time_has_no_age(text: str) -> None:
    """It is deleted with all the rest alone."""
    assert not is_older(text, DAY_S)
    assert is_older(text, None)
