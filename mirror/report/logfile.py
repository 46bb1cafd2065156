"""The log file: what runs did, a line for each thing, as text or as JSON.

A JSON line has `time` (ISO 8601 UTC), `level` (`debug`, `info`, `warning`, `error`), `run` (a UUID,
the ping's `rid`), `event` and `message`; by `event` also

    start     version, dest
    file      kind, id, updateTime, role, path, size, sha256
    failed    id, updateTime, role, error
    warning
    error     exit_code, where, hint
    request
    summary   summary: as `sync --json` prints it, without `failures`
"""

import io
import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

from mirror import __version__
from mirror.clock import now_iso
from mirror.errors import MirrorError
from mirror.models import Action, Entry, FailedFile, Kind, Summary, to_json
from mirror.progress import Progress
from mirror.report.console import failure_in_words, file_in_words
from mirror.report.requests import Requests
from mirror.text import masked, printable

_PRIVATE = 0o600
"""Names and accounts are nobody else's business."""


class LogFile(Progress):
    """A run's progress for a file that is rotated by size.

    Args:
        path: its folder must be there: a volume that is not mounted is not written over.
        as_json: a JSON object a line; else text.
        max_bytes: a file that would grow larger is renamed to `.1`; None for never.
        keep: how many of the renamed ones are kept.
        run_id: stands in each line of JSON, and in the first of text.
        with_requests: whether each request is noted too.
        secrets: never written; the list may grow while the log is in use.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        as_json: bool,
        max_bytes: int | None,
        keep: int,
        run_id: str,
        with_requests: bool,
        secrets: list[str],
    ) -> None:
        self._run_id = run_id
        self._handler = _Handler(
            path,
            maxBytes=max_bytes or 0,
            backupCount=keep,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._as_json = as_json
        self._secrets = secrets
        self._requests = Requests(self._request) if with_requests else None

    @property
    def trouble(self) -> BaseException | None:
        """What kept a line from being written, or None."""
        return self._handler.trouble

    def start(self, dest: Path | None) -> None:
        """The run begins."""
        place = None if dest is None else str(dest)
        self._note("start", f"run {self._run_id} → {place}", version=__version__, dest=place)

    def error(self, error: MirrorError) -> None:
        """Why the run is not complete."""
        fields = {"exit_code": int(error.exit_code), "where": error.where, "hint": error.hint}
        self._note("error", str(error), level="error", **fields)

    def summary(self, summary: Summary, words: str) -> None:
        """How the run ended."""
        told = msgspec.structs.replace(summary, failures=[])
        self._note("summary", f"exit {summary.exit_code}: {words}", summary=told)

    def close(self) -> None:
        """Let go of the file."""
        if self._requests is not None:
            self._requests.close()
        try:
            self._handler.close()
        except OSError as error:  # it holds lines that could not be written, and tries again
            self._handler.trouble = self._handler.trouble or error

    def expect(self, files: int) -> None:
        """A count is nothing to note."""

    def advance(self, files: int) -> None:
        """A count is nothing to note."""

    def planned(self, action: Action) -> None:
        """What is planned is noted once it is done."""

    def received(self, count: int) -> None:
        """The summary has it."""

    def done(self, action: Action, entry: Entry) -> None:
        """The asset is mirrored."""
        if action.kind is Kind.UNCHANGED:
            return
        for role in action.fetch:
            if (stored := entry.file(role)) is not None:
                self._note(
                    "file",
                    file_in_words(action, stored),
                    kind=action.kind,
                    id=entry.id,
                    updateTime=entry.update_time_ms,
                    role=role,
                    path=stored.path,
                    size=stored.size,
                    sha256=stored.sha256,
                )

    def failed(self, action: Action | None, failure: FailedFile) -> None:
        """The asset could not be mirrored."""
        self._note(
            "failed",
            failure_in_words(action, failure),
            level="warning",
            id=failure.id,
            updateTime=failure.update_time_ms,
            role=failure.role,
            error=failure.error,
        )

    def warn(self, text: str) -> None:
        """Something that a person should know."""
        self._note("warning", text, level="warning")

    def _request(self, text: str) -> None:
        """Note a request and its outcome."""
        self._note("request", text, level="debug")

    def _note(self, event: str, message: str, *, level: str = "info", **fields: object) -> None:
        known = {"time": now_iso(), "level": level}
        if self._as_json:
            known |= {"run": self._run_id, "event": event, "message": message}
            line = to_json(known | fields).decode()
        else:
            line = f"{known['time']} {level.upper():7} {printable(message)}"
        self._handler.handle(logging.makeLogRecord({"msg": masked(line, self._secrets)}))


class _Handler(RotatingFileHandler):
    """Keeps the first error for the end, rather than print a traceback for each line."""

    trouble: BaseException | None = None

    def _open(self) -> io.TextIOWrapper:
        """Open the file for appending, readable for its owner alone."""
        return open(
            self.baseFilename,
            "a",
            encoding=self.encoding,
            errors=self.errors,
            opener=lambda path, flags: os.open(path, flags, _PRIVATE),
        )

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's name
        """Take down what went wrong."""
        self.trouble = self.trouble or sys.exception()
