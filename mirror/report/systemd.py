"""systemd's notifications: the service has started, the service is about to end.

The protocol is sd_notify(3): a datagram to the socket that `NOTIFY_SOCKET` names.
"""

import contextlib
import os
import socket

from mirror.jobs.result import Result
from mirror.report.watchers import Watcher


class Notifier(Watcher):
    """Notifies systemd. A datagram that does not arrive is not missed."""

    def start(self) -> None:
        """Notify that the run begins."""
        _send(b"READY=1")

    def end(self, result: Result, words: str) -> None:  # noqa: ARG002 - the exit code says it
        """Notify that the run is at its end."""
        _send(b"STOPPING=1")


def _send(state: bytes) -> None:
    if not hasattr(socket, "AF_UNIX"):
        return
    address = os.environ["NOTIFY_SOCKET"]
    if address.startswith("@"):  # the abstract namespace
        address = f"\0{address[1:]}"
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifying,
    ):
        notifying.setblocking(False)
        notifying.sendto(state, address)
