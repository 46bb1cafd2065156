"""The progress bar."""

import contextlib
import os
import time
from collections import deque
from typing import TextIO

from tqdm import tqdm

from mirror.text import size

_RATE_WINDOW_S = 5.0
_WIDE_COLUMNS = 72
"""On a narrower terminal there is no room for the bar itself."""
_WIDE = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} files  {amount}  {speed}/s  ETA {remaining}"
_NARROW = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}  {amount}  {speed}/s"


class Bar(tqdm):  # type: ignore[type-arg] # tqdm is generic in its stubs only
    """tqdm, with the bytes received and their rate over the last seconds.

    Args:
        stream: the terminal.
        redraw_s: the shortest time between two drawings.

    Attributes:
        byte_count: bytes received so far.
    """

    monitor_interval = 0  # no thread of tqdm's own
    disable = True  # until tqdm says otherwise: `close` looks at it, also after a failed start
    byte_count = 0

    def __init__(self, stream: TextIO, *, redraw_s: float) -> None:
        self._samples: deque[tuple[float, int]] = deque(((time.monotonic(), 0),))
        super().__init__(
            total=0,
            file=stream,
            leave=False,
            dynamic_ncols=True,
            miniters=1,
            mininterval=redraw_s,
            bar_format=_WIDE if _columns(stream) >= _WIDE_COLUMNS else _NARROW,
        )

    def close(self) -> None:
        """Take the bar away. It does not fail: the garbage collector calls it, too."""
        with contextlib.suppress(Exception):
            super().close()

    @property
    def format_dict(self) -> dict[str, object]:
        """The values that the bar's format may use."""
        return {
            **super().format_dict,
            "amount": size(self.byte_count),
            "speed": size(self._speed()),
        }

    def _speed(self) -> float:
        now = time.monotonic()
        self._samples.append((now, self.byte_count))
        while len(self._samples) > 2 and self._samples[1][0] < now - _RATE_WINDOW_S:  # noqa: PLR2004
            self._samples.popleft()
        then, before = self._samples[0]
        return (self.byte_count - before) / (now - then) if now - then > self.mininterval else 0.0


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 80
