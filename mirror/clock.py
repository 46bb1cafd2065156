"""Times as we record them, ISO 8601, UTC, to the second; and a clock that nobody can set."""

import time


def now_iso() -> str:
    """The time now."""
    return iso_of(time.time())


def iso_of(epoch_s: float) -> str:
    """A time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_s))


def elapsed_s() -> float:
    """Seconds that also count while the machine is suspended, and that nobody can set."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):  # Linux's; macOS's, where it counts sleep
        if hasattr(time, name):
            return time.clock_gettime(getattr(time, name))
    return time.monotonic()
