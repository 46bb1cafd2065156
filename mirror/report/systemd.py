"""systemd's notifications: `systemctl status` shows what a run is at.

The protocol is sd_notify(3): a datagram to the socket that `NOTIFY_SOCKET` names.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from mirror.models import Action, Entry, FailedFile
from mirror.progress import Progress
from mirror.text import printable, size

_EVERY_S = 1.0


class Notifier(Progress):
    """A run's progress for systemd.

    Args:
        address: of its socket; one in the abstract namespace begins with `@`.
    """

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._files = self._done = self._bytes = 0
        self._told_at = 0.0

    def ready(self) -> None:
        """The run begins."""
        self._send("READY=1\nSTATUS=listing")

    def stopping(self, status: str) -> None:
        """The run is at its end, in these words."""
        self._send(f"STOPPING=1\nSTATUS={printable(status)}")

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def expect(self, files: int) -> None:
        """So many more files are to be worked on."""
        self._files += files
        self._tell()

    def advance(self, files: int) -> None:
        """So many of them are done with."""
        self._done += files
        self._tell()

    def planned(self, action: Action) -> None:
        """The listing has this asset."""
        self.expect(len(action.fetch))

    def received(self, count: int) -> None:
        """So many bytes came in."""
        self._bytes += count
        self._tell()

    def done(self, action: Action, entry: Entry) -> None:  # noqa: ARG002 - Progress has it
        """The asset is mirrored."""
        self.advance(len(action.fetch))

    def failed(self, action: Action | None, failure: FailedFile) -> None:  # noqa: ARG002 - as above
        """The asset could not be mirrored."""
        if action is not None:
            self.advance(len(action.fetch))

    def warn(self, text: str) -> None:
        """The journal has it from stderr."""

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= _EVERY_S:
            self._told_at = now
            amount = size(self._bytes)
            self._send(f"STATUS={self._done:,} of {self._files:,} files, {amount} received")

    def _send(self, text: str) -> None:
        """One that does not arrive is not missed."""
        with contextlib.suppress(OSError):
            self._socket.sendto(text.encode(errors="replace"), self._address)


def notifier(environ: Mapping[str, str] = os.environ) -> Notifier | None:
    """A notifier, where systemd is listening."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return None
    return Notifier(address)
