"""Our times, as they stand in the manifest."""

import datetime as dt
import re

from mirror.clock import now_iso


def test_a_time_is_utc_to_the_second() -> None:
    """The form is the contract's, and the time is now, wherever the machine is."""
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    text = now_iso()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    assert before <= dt.datetime.fromisoformat(text) <= dt.datetime.now(dt.UTC)
