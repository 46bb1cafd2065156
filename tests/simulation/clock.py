"""The time of day as a machine whose clock is wrong has it."""

import contextlib
import datetime as dt

import time_machine


def moved_clock(seconds: float) -> contextlib.AbstractContextManager[object]:
    """Move the clock of this process within the block; what it waits by stays as it is."""
    if not seconds:
        return contextlib.nullcontext()
    then = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return time_machine.travel(then, tick=True)
