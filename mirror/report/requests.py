"""The requests of a run, for those who asked to see them: `-vv` and the log file.

Each module that sends requests logs them at debug level under its own name; Python users see them
with a handler of their own on the logger `mirror`.
"""

import contextlib
import logging
from collections.abc import Callable

_LOGGER = logging.getLogger("mirror")


class Requests(logging.Handler):
    """Passes every request on, with its outcome, as one line. Call `close` when it is done.

    Args:
        show: takes the line, from any thread.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self._show = show
        _LOGGER.addHandler(self)
        _LOGGER.setLevel(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one request on; a closed or full output never fails it."""
        with contextlib.suppress(OSError, ValueError):
            self._show(record.getMessage())

    def close(self) -> None:
        """Pass on nothing more."""
        _LOGGER.removeHandler(self)
        super().close()
