"""A wish to stop reaches whatever runs, and nobody waits for what does not end."""

import signal
import threading

import pytest

from mirror.errors import ExitCode, Interrupted
from mirror.stopping import Stop


def test_nothing_stops_before_it_is_asked_to() -> None:
    """A check goes by until then, and raises from then on, with the signal's exit code."""
    stop = Stop()
    stop.check()
    stop.set(signal.SIGTERM)
    for _ in range(2):
        with pytest.raises(Interrupted) as caught:
            stop.check()
        assert caught.value.exit_code is ExitCode.SIGTERM


def test_a_callback_is_called_within_its_block_alone() -> None:
    """When the stop comes, or at once if it came before; never after the block."""
    called: list[str] = []
    stop = Stop()
    with stop.calling(lambda: called.append("too late")):
        pass
    with stop.calling(lambda: called.append("in time")):
        stop.set()
    with stop.calling(lambda: called.append("at once")):
        pass
    assert called == ["in time", "at once"]


def test_a_thread_that_ends_is_waited_for() -> None:
    """The wait ends with the thread, long before its limit."""
    thread = threading.Thread(target=lambda: None, daemon=True)
    thread.start()
    assert Stop().wait_for(thread, limit_s=60)


def test_a_thread_that_hangs_is_left() -> None:
    """At its limit; and a stop does not wait for the limit."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait, daemon=True)
    thread.start()
    assert not Stop().wait_for(thread, limit_s=0.01)
    stop = Stop()
    stop.set()
    assert not stop.wait_for(thread, limit_s=3600)
    end.set()
    thread.join()
