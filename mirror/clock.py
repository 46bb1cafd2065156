"""Times as we record them: ISO 8601, UTC, to the second."""

import time


def now_iso() -> str:
    """The time now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
