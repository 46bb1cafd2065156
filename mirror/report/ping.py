"""`ping_url`: a ping when a run begins, and another when it ends.

The protocol is that of healthchecks.io, which other monitors speak, too: POST to the check's URL
with `/start`, to the URL itself for success, with `/fail` for any other end; `rid` joins the two
pings of one run, and the monitor keeps the body. A run that never ends is a ping that never comes.
"""

import contextlib
import queue
import threading
import time
from urllib.parse import urlsplit, urlunsplit

import httpx

from mirror.jobs.result import Result
from mirror.net import statuses
from mirror.net.client import open_client
from mirror.net.network import Network
from mirror.report.watchers import Run, Watcher
from mirror.text import masked, printable

_ATTEMPTS = 3
_PAUSE_S = 0.3
_REDIRECTS_FROM = 300
_ERRORS = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, OverflowError)
_MOST_FAILURES = 100
"""Monitors keep some 100 kB of a ping's body."""


class Pinger(Watcher):
    """Sends the pings of one run from a thread: the run waits for the last one only.

    Attributes:
        limit_s: the longest wait for the last ping, with its retries.
    """

    limit_s = 10.0

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._url = str(run.settings.ping_url)
        self._trouble: str | None = None
        self._pings: queue.SimpleQueue[tuple[str, bytes, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="pings", daemon=True)

    def start(self) -> None:
        """Ping that the run begins, and do not wait. One attempt: the last ping matters more."""
        self._pings.put(("/start", b"", 1))
        self._thread.start()

    def end(self, result: Result, words: str) -> str | None:  # noqa: ARG002 - the summary has them
        """Ping how the run ended, and wait for the answer. Trouble is without the URL."""
        body = self.run.summary_of(result, _MOST_FAILURES)
        self._pings.put(("/fail" if result.summary.exit_code else "", body, _ATTEMPTS))
        self._pings.put(None)
        has_ended = self.run.stop.wait_for(self._thread, limit_s=self.limit_s)
        trouble = self._trouble if has_ended else "no answer in time"
        if trouble is None:
            return None
        return printable(f"the ping to {urlsplit(self._url).hostname} failed: {trouble}")

    def _work(self) -> None:
        try:
            with open_client(
                self._url,
                Network(),
                headers={"Content-Type": "application/json"},
                timeout_s=self.limit_s / _ATTEMPTS,
            ) as client:
                while (ping := self._pings.get()) is not None:
                    trouble = self._send(client, *ping)
                    self._trouble = self._trouble or trouble
        except Exception as error:  # noqa: BLE001 - of the proxy's kind or address, the CA bundle, …
            self._trouble = self._masked(error)

    def _send(self, client: httpx.Client, ending: str, body: bytes, attempts: int) -> str | None:
        trouble = None
        for attempt in range(attempts):
            time.sleep(_PAUSE_S * attempt)
            try:
                # The answer's text is of no use, and may be long: it is not read.
                with client.stream("POST", self._place(ending), content=body) as response:
                    status = response.status_code
            except _ERRORS as error:
                trouble = self._masked(error)
                continue
            if status < _REDIRECTS_FROM:
                return None
            trouble = f"{status} {response.reason_phrase}".strip()
            if not statuses.is_retried(status):
                break
        return trouble

    def _place(self, ending: str) -> str:
        """The check's URL with `/start` or `/fail` on its path, and the run in its query."""
        parts = urlsplit(self._url)
        query = f"{parts.query}&rid={self.run.id}".removeprefix("&")
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") + ending, query=query))

    def _masked(self, error: Exception) -> str:
        message = str(error) or type(error).__name__
        with contextlib.suppress(ValueError):
            parts = urlsplit(self._url)
            secrets = parts.path.strip("/"), parts.query, parts.password
            message = masked(message, filter(None, secrets))
        return message
