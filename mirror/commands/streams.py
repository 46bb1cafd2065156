"""stdout and stderr that never fail, so that the exit code is always the run's own.

Each of them may be closed, full or a pipe without a reader. What cannot be written there is lost;
nothing else happens.
"""

import errno
import io
import os
import select
import sys
from typing import TextIO

_STDERR = 2


class Output(io.FileIO):
    """A descriptor to write to. What it does not take is dropped.

    Attributes:
        trouble: the last reason why something was dropped.
    """

    trouble: OSError | None = None

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # it is never None
        """Write what can be written, and claim to have written all of it."""
        try:
            while (written := super().write(data)) is None:  # the pipe is full, and does not block
                select.select([], [self], [])
        except OSError as error:
            self.trouble = error
            return len(data)
        return written


def guard() -> None:
    """Put such streams in the place of `sys.stdout` and `sys.stderr`."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = guarded(1, sys.stdout)
    sys.stderr = guarded(2, sys.stderr)


def report_lost_output() -> None:
    """Print one line if data on stdout was lost; not if its reader just left."""
    sys.stdout.flush()
    output = getattr(sys.stdout.buffer, "raw", None)
    trouble = output.trouble if isinstance(output, Output) else None
    if trouble is not None and trouble.errno != errno.EPIPE:
        what = f"not all of the output could be written: {trouble.strerror}"
        sys.stderr.write(f"kling-mirror: {what}\n")


def guarded(descriptor: int, stream: TextIO | None) -> TextIO:
    """A stream that never fails.

    Args:
        descriptor: where to write.
        stream: the present one, which says how; None if the descriptor was closed.
    """
    is_terminal = stream is not None and stream.isatty()
    if (
        os.name == "nt" and stream is not None and is_terminal
    ):  # Python writes to Windows' console in a way of its own
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(Output(descriptor, "w", closefd=False)),  # type: ignore[type-var]
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=is_terminal or descriptor == _STDERR,
        write_through=getattr(stream, "write_through", False),
    )
