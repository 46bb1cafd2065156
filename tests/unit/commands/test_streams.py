"""Guarded streams: what is written to them never raises, and data is written as it is."""

import errno
import os
from pathlib import Path

import pytest

from mirror.commands import streams


def _written(descriptor: int, text: str) -> OSError | None:
    """Write a text to a guarded stream; gives what went wrong underneath."""
    stream = streams.guarded(descriptor, None)
    stream.write(text)
    stream.flush()
    output: streams.Output = stream.buffer.raw  # type: ignore[attr-defined]
    return output.trouble


def test_data_arrives(tmp_path: Path) -> None:
    """All of it, in UTF-8; what is no Unicode is escaped."""
    text = "é🎬" * 100_000
    with (tmp_path / "out").open("wb") as file:
        assert _written(file.fileno(), f"{text}\udcff\n") is None
    assert (tmp_path / "out").read_bytes() == text.encode() + rb"\udcff" + b"\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_kept_as_trouble() -> None:
    """And raises nothing."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        trouble = _written(full.fileno(), "text")
    assert trouble is not None
    assert trouble.errno == errno.ENOSPC


def test_a_pipe_without_a_reader_is_kept_as_trouble() -> None:
    """And raises nothing."""
    reading, writing = os.pipe()
    os.close(reading)
    trouble = _written(writing, "text")
    os.close(writing)
    assert trouble is not None
    assert trouble.errno == errno.EPIPE
