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


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_until_the_listing_is_known_it_counts_up(terminal: TextIO, columns: int) -> None:
    """No percent and no ETA: the number of files is not known yet."""
    termios.tcsetwinsize(terminal.fileno(), (24, columns))
    bar = Bar(terminal, redraw_s=0.1)
    assert str(bar) == "…"
    bar.is_total_known = False
    bar.total, bar.n, bar.byte_count = 1300, 1209, 402_000_000
    assert str(bar) == "1,209 files, 402 MB, listing …"
    bar.is_total_known = True
    assert "1,209/1,300" in str(bar)
    bar.close()


def test_it_follows_the_terminals_width(terminal: TextIO) -> None:
    """Also if that changes in mid-run."""
    bar = Bar(terminal, redraw_s=0.1)
    bar.total, bar.n = 7, 3
    for columns, has_eta in ((100, True), (40, False), (120, True)):
        termios.tcsetwinsize(terminal.fileno(), (24, columns))
        assert ("ETA" in str(bar), len(str(bar)) <= columns) == (has_eta, True)
    bar.close()


def test_the_time_left_counts_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 8 files under way, 4 more are done, on average; the clock runs from the first byte."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    bar = Bar(io.StringIO(), redraw_s=0.0, at_once=8)
    bar.total = 100
    now = 130.0
    bar.receive(1)
    assert str(bar.format_dict["left"]) == "…"
    now, bar.n = 140.0, 16
    assert str(bar.format_dict["left"]) == "00:40"
    now, bar.n = 180.0, 100
    assert str(bar.format_dict["left"]) == "00:00"
    bar.close()


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
