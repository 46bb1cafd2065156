"""The threads that write and hash large files, beside the event loop."""

import itertools
import threading
from collections.abc import Callable
from queue import Queue

_CHUNKS_AHEAD = 16


class Writer:
    """A thread that writes and hashes large files, chunk by chunk, in order.

    It starts when there is work for it. At most `_CHUNKS_AHEAD` chunks wait: the network waits for
    the disk, and memory stays flat.
    """

    def __init__(self) -> None:
        self._work: Queue[Callable[[], object] | None] = Queue(_CHUNKS_AHEAD)
        self._thread: threading.Thread | None = None

    def put(self, work: Callable[[], object]) -> None:
        """Have something done, after all that was put before."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
            self._thread.start()
        self._work.put(work)

    def close(self) -> None:
        """Return once all is written."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


class Writers:
    """Two writers in turn: one file's bytes are hashed while those of another go to the disk."""

    def __init__(self) -> None:
        self._writers = (Writer(), Writer())
        self._turns = itertools.cycle(self._writers)

    def next(self) -> Writer:
        """The one for the next large file."""
        return next(self._turns)

    def close(self) -> None:
        """Return once all is written."""
        for writer in self._writers:
            writer.close()
