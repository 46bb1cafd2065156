"""What the commands need from the process: signals, how it was started, who runs it."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from mirror.commands.signals import SIGNALS, noted
from mirror.errors import UsageError

if TYPE_CHECKING:
    from mirror.stopping import Stop

_SCRIPT = "kling-mirror"
_STOP_GRACE_S = 1.8
_OTHER_FILES = 160
"""Open files besides two for each transfer: above all those of a batch that is synced."""
_FEWEST_FILES = 12


@contextlib.contextmanager
def stoppable() -> Iterator["Stop"]:
    """A `Stop` that SIGINT, SIGTERM and SIGHUP set; under `nohup` SIGHUP stays ignored.

    A name server or a network disk may block a thread for longer than a stop may take. What is
    durable is safe at any moment: after a grace period the process just ends, as it does on a
    second signal.
    """
    import threading  # noqa: PLC0415 - commands that only read are not stoppable

    from mirror.stopping import Stop  # noqa: PLC0415

    stop = Stop()
    graces: list[threading.Timer] = []

    def on_signal(signum: int, _: FrameType | None = None) -> None:
        if stop.signum is not None:
            os._exit(128 + signum)
        stop.set(signum)
        graces.append(threading.Timer(_STOP_GRACE_S, os._exit, (128 + signum,)))
        graces[-1].daemon = True
        graces[-1].start()

    caught = [signum for signum in SIGNALS if not _is_nohup(signum)]
    before = {signum: signal.signal(signum, on_signal) for signum in caught}
    try:
        for signum in noted[:1]:
            on_signal(signum)
        yield stop
    finally:
        for grace in graces:
            grace.cancel()
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _is_nohup(signum: signal.Signals) -> bool:
    return signum.name == "SIGHUP" and signal.getsignal(signum) == signal.SIG_IGN


def allow_open_files(jobs: int) -> None:
    """Raise the limit of open files to what this many transfers need, if the system allows it.

    Raises:
        UsageError: it is so low that nothing works.
    """
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * jobs + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if most < _FEWEST_FILES:
        raise UsageError(
            f"this process may open only {most} files at a time",
            hint=f"allow it more: `ulimit -n {needed}`",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def program() -> list[str]:
    """The command that starts this program from anywhere: words, with absolute paths."""
    import shutil  # noqa: PLC0415

    started_as = Path(sys.argv[0]).absolute()
    beside = Path(sys.executable).parent
    folders = [started_as.parent, beside] if started_as.stem == _SCRIPT else [beside]
    for folder in folders:
        if (found := shutil.which(_SCRIPT, path=str(folder))) is not None:
            return [found]
    return [sys.executable, "-m", "mirror"]


def is_root() -> bool:
    """Whether the user is root; always False on Windows."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
