"""A wish to stop reaches whatever runs, and nobody waits for what does not end."""

import signal
import threading

import pytest

from mirror.errors import ExitCode, Interrupted
from mirror.stopping import Stop, batches, next_size


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


@pytest.mark.parametrize(
    ("size", "took_s", "following"),
    [(1, 0.0, 128), (1, 0.25, 2), (128, 0.1, 128), (128, 6.4, 10), (1, 30.0, 1)],
)
def test_a_batch_is_no_larger_than_half_a_second(size: int, took_s: float, following: int) -> None:
    """What was learned from the one before; at least one, at most what the job allows."""
    assert next_size(size, took_s, most=128) == following


def test_batches_leave_nothing_out() -> None:
    """The first is one item, to learn how long it takes."""
    cut = [*batches([*range(1000)], most=300)]
    assert [item for batch in cut for item in batch] == [*range(1000)]
    assert len(cut[0]) == 1
    assert max(map(len, cut)) <= 300
    assert [*batches([], most=300)] == []
