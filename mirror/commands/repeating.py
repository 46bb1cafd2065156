"""`sync --every`: one process that runs again and again, and waits in between."""

import datetime as dt
import gc
import select
import signal
import socket
import sys
from collections.abc import Callable

from mirror.clock import elapsed_s
from mirror.commands.outcome import outcome
from mirror.errors import ExitCode
from mirror.stopping import Stop

_LOOK_S = 10
"""How often the clock is read: a wait does not notice that the machine was suspended."""
_SOON_S = 3600
"""After how long a run tries again that could not reach the API."""


def repeat(run: Callable[[], int], *, every_s: float, stop: Stop, is_watched: bool = False) -> int:
    """Run now, and again that long after each start, until a signal comes.

    A wrong config ends it only before the first run has worked: later, somebody may be editing it.

    Args:
        run: one run; returns its exit code.
        every_s: from the start of a run to the start of the next.
        stop: a signal sets it.
        is_watched: whether somebody wants to read when the next run begins.

    Returns:
        The exit code of the process.
    """
    is_first = True
    while True:
        start_s = elapsed_s()
        code = _ended(run)
        if stop.signum is not None:
            return ExitCode.of_signal(stop.signum)
        if is_first and code == ExitCode.USAGE:
            return code
        is_first = False
        gc.collect()  # what the run leaves: the threshold at start-up is that of a short process
        wait_s = min(every_s, _SOON_S) if code == ExitCode.API else every_s
        if is_watched:
            _announce(start_s + wait_s - elapsed_s())
        if not _wait_until(start_s + wait_s, stop):
            return ExitCode.of_signal(stop.signum or signal.SIGINT)


def _announce(wait_s: float) -> None:
    """Print when the next run begins, in the time of the reader."""
    start = dt.datetime.now().astimezone() + dt.timedelta(seconds=max(0.0, wait_s))
    sys.stderr.write(f"the next run begins at {start:%Y-%m-%d %H:%M}; Ctrl-C ends the program\n")


def _ended(run: Callable[[], int]) -> int:
    """Run once; an error that nobody expected is printed, and is not the end of all nights."""
    try:
        return outcome(run)
    except Exception:  # noqa: BLE001 - such as a package that is upgraded at this moment
        import traceback  # noqa: PLC0415 - for this case alone

        traceback.print_exc()
        return ExitCode.UNEXPECTED


def _wait_until(end_s: float, stop: Stop) -> bool:
    """Wait until the clock shows this time.

    The signal itself ends the wait, by a byte from Python's own handler: no lock is taken.

    Returns:
        False if a signal came before.
    """
    awaited, written = socket.socketpair()
    with awaited, written:
        written.setblocking(False)
        before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        try:
            while stop.signum is None and (left_s := end_s - elapsed_s()) > 0:
                select.select([awaited], [], [], min(left_s, _LOOK_S))
        finally:
            signal.set_wakeup_fd(before)
    return stop.signum is None
