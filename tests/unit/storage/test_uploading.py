"""Many uploads at a time."""

import threading
import time

import pytest

from mirror.storage.uploading import in_parallel


def test_every_item_is_done_once() -> None:
    """However many there are."""
    done: list[int] = []
    in_parallel(done.append, range(100), lambda: None, size_of=lambda _: 1)
    assert sorted(done) == list(range(100))


def test_few_bytes_are_in_flight() -> None:
    """Large bodies wait for each other; one that is larger than the bound goes alone."""
    now, most = 0, 0
    changing = threading.Lock()

    def work(size: int) -> None:
        nonlocal now, most
        with changing:
            now += size
            most = max(most, now)
        time.sleep(0.005)
        with changing:
            now -= size

    in_parallel(work, [40 << 20] * 8 + [200 << 20], lambda: None, size_of=lambda size: size)
    assert most == 200 << 20
    most = 0
    in_parallel(work, [40 << 20] * 8, lambda: None, size_of=lambda size: size)
    assert most == 80 << 20


def test_the_first_error_is_raised() -> None:
    """And nothing more is begun."""
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        raise OSError(number)

    with pytest.raises(OSError, match=r"\d+"):
        in_parallel(work, range(1000), lambda: None, size_of=lambda _: 1)
    assert len(begun) < 1000


def test_a_stop_waits_for_nobody() -> None:
    """What is under way goes on, unattended."""
    is_over = threading.Event()

    def stop() -> None:
        raise KeyboardInterrupt

    def work(_: int) -> None:
        is_over.wait(60)

    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, range(3), stop, size_of=lambda _: 1)
    assert not is_over.is_set()
    is_over.set()
