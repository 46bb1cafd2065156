"""The threads beside the event loop: all is done, in order, before they are left."""

import threading
from functools import partial

from mirror.net.writers import Writer, Writers


def test_work_is_done_in_order_and_elsewhere() -> None:
    """More than may wait at once; closing returns once all is done."""
    writer = Writer()
    done: list[int] = []
    threads: set[int] = set()

    def work(number: int) -> None:
        done.append(number)
        threads.add(threading.get_ident())

    for number in range(100):
        writer.put(partial(work, number))
    writer.close()
    assert done == list(range(100))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_files_take_turns() -> None:
    """One is hashed while another is written."""
    writers = Writers()
    one, other = writers.next(), writers.next()
    assert one is not other
    assert writers.next() is one
    writers.close()


def test_no_thread_is_started_without_work() -> None:
    """A run of small files needs none."""
    before = threading.active_count()
    Writers().close()
    assert threading.active_count() == before
