"""A program at a real terminal: what is typed goes through a pty, what a person sees is read."""

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_TAKE_THE_TERMINAL = (
    "import fcntl, os, signal, sys, termios\n"
    "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"  # tests in the background ignore it
    "os.setsid()\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execvpe(sys.argv[1], sys.argv[1:], os.environ)\n"
)
"""Makes the pty the process's own terminal, so that Ctrl-C reaches it as a signal."""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")
_LONGEST_WAIT_S = 60

_LINES, _COLUMNS = 24, 400  # so wide that no path of a test's breaks a sentence

CTRL_C = "\x03"
CTRL_D = "\x04"


class Terminal:
    """A program in a terminal of its own. Use it as a context manager.

    Attributes:
        seen: all that the program showed so far, without control sequences.
    """

    def __init__(self, command: Sequence[object], *, env: Mapping[str, str], cwd: Path) -> None:
        self._master, slave = pty.openpty()
        self._modes = termios.tcgetattr(slave)
        termios.tcsetwinsize(slave, (_LINES, _COLUMNS))
        self._slave = slave
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_THE_TERMINAL, *map(str, command)],
            stdin=slave, stdout=slave, stderr=slave, env={**env, "TERM": "xterm"}, cwd=cwd,
        )  # fmt: skip
        self.seen = ""
        self._read_upto = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._slave)
        os.close(self._master)

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._process.pid

    @property
    def modes_are_restored(self) -> bool:
        """Whether the terminal is as it was before: its echo, above all."""
        return termios.tcgetattr(self._slave) == self._modes

    def expect(self, text: str) -> str:
        """Read until the program shows this, behind what was expected before; returns what came."""
        until = time.monotonic() + _LONGEST_WAIT_S
        while (found := self.seen.find(text, self._read_upto)) < 0:
            assert time.monotonic() < until, f"no {text!r} in:\n{self.seen}"
            assert self._read(until), f"ended without {text!r}:\n{self.seen}"
        begin, self._read_upto = self._read_upto, found + len(text)
        return self.seen[begin : self._read_upto]

    def type(self, text: str) -> None:
        """Type or paste this as it is; Enter is a newline of its own."""
        os.write(self._master, text.encode())

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, then type the answer and Enter."""
        self.expect(question)
        self.type(f"{text}\n")

    def end(self) -> int:
        """Read to the program's end; returns its exit code."""
        until = time.monotonic() + _LONGEST_WAIT_S
        while self._process.poll() is None:
            assert time.monotonic() < until, f"goes on after:\n{self.seen}"
            self._read(time.monotonic() + 0.05)
        while self._read(time.monotonic()):
            pass
        return self._process.returncode

    def _read(self, until: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return False
        self.seen += _CONTROL.sub("", os.read(self._master, 1 << 16).decode(errors="replace"))
        return True
