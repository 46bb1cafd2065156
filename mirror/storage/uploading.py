"""Many uploads at a time, in threads that a stop need not wait for."""

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

_THREADS = 12
_MOST_BYTES = 96 << 20
"""In flight at a time: the library holds a copy of each body."""
_LOOK_S = 0.05


def in_parallel(
    work: Callable[[T], None],
    items: Iterable[T],
    check_stop: Callable[[], None],
    *,
    size_of: Callable[[T], int],
) -> None:
    """Do something blocking for each item, in several threads.

    Args:
        work: is called with each item.
        items: all of them.
        check_stop: raises if that is to stop; what is under way then goes on, unattended.
        size_of: bytes that an item takes.

    Raises:
        BaseException: the first error of the work, or what `check_stop` raises.
    """
    waiting = list(items)[::-1]
    errors: list[BaseException] = []
    changed = threading.Condition()
    sizes: list[int] = []
    is_over = False

    def run() -> None:
        while True:
            with changed:
                changed.wait_for(
                    lambda: (
                        is_over
                        or not waiting
                        or not sizes
                        or sum(sizes) + size_of(waiting[-1]) <= _MOST_BYTES
                    )
                )
                if is_over or not waiting:
                    return
                item = waiting.pop()
                sizes.append(size_of(item))
            try:
                work(item)
            except BaseException as error:  # noqa: BLE001 - raised below
                errors.append(error)
                with changed:
                    waiting.clear()
            with changed:
                sizes.remove(size_of(item))
                changed.notify_all()

    threads = [
        threading.Thread(target=run, name="upload", daemon=True)
        for _ in range(min(_THREADS, len(waiting)))
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                check_stop()
                thread.join(_LOOK_S)
    finally:
        with changed:
            is_over = True
            changed.notify_all()
    if errors:
        raise errors[0]
