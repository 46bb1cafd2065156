"""Questions to a person at a terminal: on stderr, answered on stdin.

stdout stays free for data. A secret is never echoed, and the terminal is restored however the
question ends.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from mirror.commands.signals import noted
from mirror.errors import Interrupted
from mirror.text import printable, wrapped

_PASTED_WITHIN_S = 0.1
"""The lines of one paste arrive within this time."""
_POLL_S = 0.2
_UNREADABLE = "\ufffd"


def is_there() -> bool:
    """Whether a person can be asked: both streams are terminals."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def say(text: str) -> None:
    """Print lines for a person, wrapped, without control characters."""
    sys.stderr.write("".join(f"{_fitting(line)}\n" for line in text.split("\n")))
    sys.stderr.flush()


def ask(question: str, *, default: str) -> str:
    """Ask for one line; white space around it is removed.

    Args:
        question: without its mark.
        default: what an empty answer means.

    Raises:
        EOFError: there is no more input.
        KeyboardInterrupt: Ctrl-C.
    """
    while True:
        shown = f" [{default}]" if default else ""
        _prompt(f"{question}?{shown}")
        answer = _line().strip()
        if _UNREADABLE not in answer and answer.isprintable():
            return answer or default
        say("  It has characters that cannot be read. Please enter it again.")


def ask_yes_or_no(question: str, *, default: bool) -> bool:
    """Ask for a decision.

    Raises:
        EOFError, KeyboardInterrupt: as for `ask`.
    """
    while True:
        _prompt(f"{question}? [{'Y/n' if default else 'y/N'}]")
        answer = _line().strip().lower()
        if answer in ("", "y", "yes", "n", "no"):
            return answer[0] == "y" if answer else default
        say("  Please enter y or n.")


def ask_secret(question: str) -> str:
    """Ask for a secret: all lines that are typed or pasted at once, without an echo.

    Raises:
        EOFError, KeyboardInterrupt: as for `ask`.
        Interrupted: SIGTERM.
    """
    try:
        import termios  # noqa: F401, PLC0415 - Windows has none
    except ImportError:
        import getpass  # noqa: PLC0415 - it knows Windows' console

        return getpass.getpass(f"{question}: ", stream=sys.stderr)
    with _no_echo():
        _prompt(f"{question}:")  # who answers at once is not echoed, either
        text = _line()
        while select.select([sys.stdin], [], [], _PASTED_WITHIN_S)[0]:
            text += _line()
    return text


@contextlib.contextmanager
def _no_echo() -> Iterator[None]:
    """Turn the echo off; at the end, drop input that nobody read, and restore the echo."""
    import termios  # noqa: PLC0415 - Windows has none

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    handler = signal.signal(signal.SIGTERM, _interrupt)
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        signal.signal(signal.SIGTERM, handler)
        say("")  # the Enter was not shown, either


def _interrupt(signum: int, _: FrameType | None) -> None:
    raise Interrupted(signum)


def _prompt(text: str) -> None:
    sys.stderr.write(f"{_fitting(text)} ")
    sys.stderr.flush()


def _fitting(line: str) -> str:
    return wrapped(printable(line), shutil.get_terminal_size().columns)


def _line() -> str:
    """Read a line. A signal right before a blocking read would wait for the next key, so poll."""
    while os.name == "posix" and not select.select([sys.stdin], [], [], _POLL_S)[0]:
        if noted:
            raise Interrupted(noted[0])
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line
