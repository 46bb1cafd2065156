"""systemd's notifications: the service has started, is alive, is about to end.

The protocol is sd_notify(3): a datagram to the socket that `NOTIFY_SOCKET` names.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

from mirror.jobs.result import Result
from mirror.report.watchers import Watcher


class Notifier(Watcher):
    """Notifies systemd of a single run. A datagram that does not arrive is not missed."""

    def start(self) -> None:
        """Notify that the run begins."""
        _send(os.environ["NOTIFY_SOCKET"], b"READY=1")

    def end(self, result: Result, words: str) -> None:  # noqa: ARG002 - the exit code says it
        """Notify that the run is at its end."""
        _send(os.environ["NOTIFY_SOCKET"], b"STOPPING=1")


@contextlib.contextmanager
def service() -> Iterator[None]:
    """Be a service that stays for the whole block, if systemd started this process.

    The runs inside no longer see the socket: the end of a run is not the end of the service. As
    long as this process gets time from the system, the watchdog hears from it.
    """
    address = os.environ.pop("NOTIFY_SOCKET", "")
    watchdog_s = _watchdog_s()
    if not address:
        yield
        return
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(watchdog_s / 2):
            _send(address, b"WATCHDOG=1")

    _send(address, b"READY=1")
    if watchdog_s:
        threading.Thread(target=beat, name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        _send(address, b"STOPPING=1")


def _watchdog_s() -> float:
    """The time within which systemd wants to hear from this process; 0 for never.

    The variables are removed: they are not meant for commands that this process starts.
    """
    of_process = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
    microseconds = os.environ.pop("WATCHDOG_USEC", "")
    is_meant = of_process == str(os.getpid()) and microseconds.isdecimal()
    return int(microseconds) / 1e6 if is_meant else 0.0


def _send(address: str, state: bytes) -> None:
    if not hasattr(socket, "AF_UNIX"):
        return
    if address.startswith("@"):  # the abstract namespace
        address = f"\0{address[1:]}"
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifying,
    ):
        notifying.setblocking(False)
        notifying.sendto(state, address)
