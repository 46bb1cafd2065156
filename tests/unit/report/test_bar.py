"""The bar: what it says, and how it leaves."""

import io
import os
import pty
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest

from mirror.report.bar import Bar


@pytest.fixture
def terminal() -> Iterator[TextIO]:
    """The program's side of a terminal."""
    reader, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        yield stream
    os.close(reader)


@pytest.mark.parametrize(
    ("columns", "shown"),
    [(100, "| 3/7 files  1.5 MB  0 B/s  ETA "), (60, "| 3/7  1.5 MB  0 B/s")],
)
def test_it_says_what_matters(terminal: TextIO, columns: int, shown: str) -> None:
    """Files and bytes, their rate, and the time left where there is room for it."""
    termios.tcsetwinsize(terminal.fileno(), (24, columns))
    bar = Bar(terminal, redraw_s=0.1)
    bar.total, bar.n, bar.byte_count = 7, 3, 1_500_000
    text = str(bar)
    bar.close()
    assert text.startswith(" 43%|")
    assert shown in text
    assert len(text) <= columns


def test_the_rate_is_of_the_last_seconds() -> None:
    """A number from what came in lately, whatever the run's average is."""
    bar = Bar(io.StringIO(), redraw_s=0.0)
    bar.byte_count = 1_000_000
    assert bar.format_dict["speed"] != "0 B"
    bar.close()


def test_closing_cannot_fail() -> None:
    """A stream that is gone by then is nobody's trouble, nor is a bar that never came to be."""
    stream = io.StringIO()
    bar = Bar(stream, redraw_s=0.1)
    stream.close()
    bar.close()
    Bar.__new__(Bar).close()
