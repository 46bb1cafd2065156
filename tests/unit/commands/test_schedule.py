"""When the job runs, where nobody said it."""

import datetime as dt
from pathlib import Path

from mirror.commands import schedule


def test_the_time_is_some_minute_of_the_night() -> None:
    """From 3 to 6, not the same for all mirrors."""
    times = {schedule.night_time(Path(f"/mirror/{n}")) for n in range(200)}
    assert len(times) > 50
    assert all(dt.time(3) <= time < dt.time(6) for time in times)
