"""A service whose files come at a measured pace."""

from typing import Any

from mirror.demo.service import KlingService


class Paced(KlingService):
    """A service whose files come at a measured pace, and which counts their bytes."""

    chunk_bytes = 64 * 1024
    pause_s = 0.0
    """Before each chunk."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(**options)
        self._count = [0]

    @property
    def sent_bytes(self) -> int:
        """Of bodies of files, handed to the network since the last `count_anew`."""
        return self._count[0]

    def count_anew(self) -> None:
        """Count from 0, without what answers that are under way still send."""
        self._count = [0]

    def send(self, handler: Any, response: Any) -> None:  # noqa: ANN401 - passed through
        """Write a file's answer chunk by chunk; any other at once."""
        count = self._count
        is_file = handler.path.startswith("/cdn/") and response.status in (200, 206)
        if not is_file:
            super().send(handler, response)
            return
        handler.wfile.write(response.head())
        body = memoryview(response.body)
        for start in range(0, len(body), self.chunk_bytes):
            if self.pause_s and self.closing.wait(self.pause_s):
                return
            chunk = body[start : start + self.chunk_bytes]
            handler.wfile.write(chunk)
            count[0] += len(chunk)
