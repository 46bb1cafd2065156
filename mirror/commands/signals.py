"""Signals that arrive before a command can stop in its own way: noted, and acted on then.

Python's own way would be a traceback in the middle of an import, or no report of the run at all.
"""

import os
import signal
from types import FrameType

from mirror.errors import Interrupted

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Those that ask a run to stop. Windows has no SIGHUP."""

noted: list[int] = []
"""What has arrived so far."""
_before: dict[signal.Signals, "signal._HANDLER"] = {}


def note() -> None:
    """From now on, only note signals; a second one ends the process."""
    for signum in SIGNALS:
        if signal.getsignal(signum) != signal.SIG_IGN:  # under `nohup`, and for jobs of a script
            _before[signum] = signal.signal(signum, _note)


def let_through() -> None:
    """From now on, a signal ends the process as the system has it: for commands that only read.

    Raises:
        Interrupted: one has arrived already.
    """
    for signum, handler in _before.items():
        signal.signal(signum, handler)
    _before.clear()
    if noted:
        raise Interrupted(noted[0])


def _note(signum: int, _: FrameType | None) -> None:
    if noted:
        os._exit(128 + signum)
    noted.append(signum)
