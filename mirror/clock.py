"""Times as we record them: ISO 8601, UTC, to the second."""

import datetime as dt


def now_iso() -> str:
    """The time now."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
