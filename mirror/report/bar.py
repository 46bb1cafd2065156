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
_WIDE = "{percentage:3.0f}%|{bar}| {done}/{whole} files  {amount}  {speed}/s  ETA {left}"
_NARROW = "{percentage:3.0f}%|{bar}| {done}/{whole}  {amount}  {speed}/s"
_ROOM_FOR_CTRL_C = 3
"""Terminals show it behind the bar; on a full line, it would push the bar out of reach."""
_STARTING = "…"
_COUNTING = "{done} files, {amount}, listing …"


class Bar(tqdm):  # type: ignore[type-arg] # tqdm is generic in its stubs only
    """tqdm, with the bytes received and their rate over the last seconds.

    Args:
        stream: the terminal.
        redraw_s: the shortest time between two drawings.
        at_once: how many files are under way at a time; half of each is done, on average.

    Attributes:
        byte_count: bytes received so far.
        is_total_known: whether all files are expected by now; else there is no share of them.
    """

    monitor_interval = 0  # no thread of tqdm's own
    disable = True  # until tqdm says otherwise: `close` looks at it, also after a failed start
    byte_count = 0
    is_total_known = True

    def __init__(self, stream: TextIO, *, redraw_s: float, at_once: int = 1) -> None:
        self._under_way = at_once / 2
        self._began_at: float | None = None
        self._samples: deque[tuple[float, int]] = deque(((time.monotonic(), 0),))
        super().__init__(
            total=0,
            file=stream,
            leave=False,
            dynamic_ncols=True,
            miniters=1,
            mininterval=redraw_s,
            bar_format=_WIDE,
        )

    def close(self) -> None:
        """Take the bar away. It does not fail: the garbage collector calls it, too."""
        with contextlib.suppress(Exception):
            was_open = not self.disable
            super().close()
            if was_open and self.fp.isatty() and os.environ.get("TERM") != "dumb":
                self.fp.write("\r\x1b[K")  # with the ^C that a terminal shows

    def receive(self, count: int) -> None:
        """Count bytes; the first ones start the clock of the time that is left."""
        self.byte_count += count
        if self._began_at is None:
            self._began_at = time.monotonic()

    @property
    def format_dict(self) -> dict[str, object]:
        """The values that the bar's format may use."""
        values = super().format_dict
        columns = values["ncols"] or _WIDE_COLUMNS
        form = _WIDE if columns >= _WIDE_COLUMNS else _NARROW
        return {
            **values,
            "ncols": max(columns - _ROOM_FOR_CTRL_C, 1),
            "bar_format": self._form(form),
            "left": self._left(),
            "done": f"{self.n:,}",
            "whole": f"{self.total or 0:,}",
            "amount": size(self.byte_count),
            "speed": size(self._speed()),
        }

    def _form(self, form: str) -> str:
        if not self.is_total_known:
            return _COUNTING
        return form if self.total else _STARTING

    def _left(self) -> str:
        """The time that is left, if all files take as long as those so far."""
        if not self.n or self._began_at is None:
            return "…"
        total = self.total or 0
        begun = min(self.n + self._under_way, total)
        passed_s = time.monotonic() - self._began_at
        return str(self.format_interval(passed_s * (total - begun) / begun))

    def _speed(self) -> float:
        now = time.monotonic()
        self._samples.append((now, self.byte_count))
        while len(self._samples) > 2 and self._samples[1][0] < now - _RATE_WINDOW_S:  # noqa: PLR2004
            self._samples.popleft()
        then, before = self._samples[0]
        return (self.byte_count - before) / (now - then) if now - then > self.mininterval else 0.0
