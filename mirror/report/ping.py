"""Pings: a watcher elsewhere hears that a run began, and how it ended, or that none came.

The protocol is that of healthchecks.io's pinging API, which others have taken over: POST to the
check's URL with `/start`, to the URL itself for success, with `/fail` for anything else; `rid`
joins the two of one run; the body is kept with the ping.
"""

import contextlib
import queue
import threading
import time
import uuid
from urllib.parse import urlsplit, urlunsplit

import httpx

from mirror import __version__
from mirror.stopping import Stop
from mirror.text import masked, printable

_LIMIT_S = 10.0
_ATTEMPTS = 3
_PAUSE_S = 0.3
_TOO_MANY = 429
_FAILS_FROM = 500
_REDIRECTS_FROM = 300
_ERRORS = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, OverflowError)


class Pinger:
    """The pings of one run, sent from a thread of their own: the run waits for the last one alone.

    Args:
        url: the check's; a secret.
        run_id: a UUID.
        limit_s: the longest wait for the last ping, retries and all.
    """

    def __init__(self, url: str, *, run_id: uuid.UUID, limit_s: float = _LIMIT_S) -> None:
        self._url = url
        self._run_id = run_id
        self._limit_s = limit_s
        self._trouble: str | None = None
        self._pings: queue.SimpleQueue[tuple[str, bytes, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="pings", daemon=True)

    def start(self) -> None:
        """Tell that the run begins; returns at once. It is tried once: the last ping matters."""
        self._pings.put(("/start", b"", 1))
        self._thread.start()

    def finish(self, body: bytes, *, success: bool, stop: Stop) -> str | None:
        """Tell how the run ended.

        Args:
            body: JSON that the watcher keeps.
            success: whether all is well.
            stop: asked to stop, it waits for a moment only.

        Returns:
            What went wrong with the pings, for people, without the URL; or None.
        """
        self._pings.put(("" if success else "/fail", body, _ATTEMPTS))
        self._pings.put(None)
        has_ended = stop.wait_for(self._thread, limit_s=self._limit_s)
        trouble = self._trouble if has_ended else "no answer in time"
        if trouble is None:
            return None
        return printable(f"the ping to {urlsplit(self._url).hostname} failed: {trouble}")

    def _work(self) -> None:
        try:
            with httpx.Client(
                headers={
                    "User-Agent": f"kling-mirror/{__version__}",
                    "Content-Type": "application/json",
                },
                timeout=self._limit_s / _ATTEMPTS,
                # Plain http has nothing to verify, and loading the CA bundle takes its time.
                verify=httpx.create_ssl_context() if self._url.startswith("https:") else False,
                follow_redirects=False,  # the summary goes to nobody whom the user did not name
            ) as client:
                while (ping := self._pings.get()) is not None:
                    trouble = self._send(client, *ping)
                    self._trouble = self._trouble or trouble
        except _ERRORS as error:  # of the proxy's address, or the CA bundle
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
            if status < _FAILS_FROM and status != _TOO_MANY:
                break
        return trouble

    def _place(self, ending: str) -> str:
        """The check's URL with `/start` and the like on its path, and the run in its query."""
        parts = urlsplit(self._url)
        query = f"{parts.query}&rid={self._run_id}".removeprefix("&")
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") + ending, query=query))

    def _masked(self, error: Exception) -> str:
        said = str(error) or type(error).__name__
        with contextlib.suppress(ValueError):
            parts = urlsplit(self._url)
            secrets = parts.path.strip("/"), parts.query, parts.password
            said = masked(said, filter(None, secrets))
        return said
