"""`log_file`: a line for each thing that runs did, as text or as JSON.

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

import msgspec

from mirror import __version__
from mirror.clock import now_iso
from mirror.jobs.result import Result
from mirror.models import Action, Entry, FailedFile, Kind, to_json
from mirror.report.console import failure_in_words, file_in_words
from mirror.report.requests import Requests
from mirror.report.watchers import Run, Watcher
from mirror.text import decodable, masked, printable

_PRIVATE = 0o600
"""Only the owner may read it: it has names and accounts."""


class LogFile(Watcher):
    """Writes a run to a file that is rotated by size.

    The file's folder must be there: a log must not hide that a volume is not mounted.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._as_json = run.settings.log_format == "json"
        self._path = str(run.settings.log_file)

    def start(self) -> str | None:
        """Open the file, and note that the run begins."""
        settings = self.run.settings
        try:
            self._handler = _Handler(
                self._path,
                maxBytes=settings.log_size or 0,
                backupCount=settings.log_keep,
                encoding="utf-8",
                errors="backslashreplace",
            )
        except OSError as error:
            return f"no log is written: {self._path}: {error.strerror}"
        self._requests = Requests(self._request) if self.run.with_requests else None
        dest = None if settings.dest is None else decodable(settings.dest)
        self._note("start", f"run {self.run.id} → {dest}", version=__version__, dest=dest)
        return None

    def end(self, result: Result, words: str) -> None:
        """Note why the run is not complete, and its summary."""
        for error in result.errors:
            fields = {"exit_code": int(error.exit_code), "where": error.where, "hint": error.hint}
            self._note("error", str(error), level="error", **fields)
        summary = msgspec.structs.replace(result.summary, failures=[])
        self._note("summary", f"exit {summary.exit_code}: {words}", summary=summary)

    def close(self) -> str | None:
        """Close the file; the first line that could not be written is trouble."""
        if self._requests is not None:
            self._requests.close()
        try:
            self._handler.close()
        except OSError as error:  # it holds lines that could not be written, and tries again
            self._handler.trouble = self._handler.trouble or error
        trouble = self._handler.trouble
        return None if trouble is None else f"the log file is not complete: {trouble}"

    def done(self, action: Action, entry: Entry) -> None:
        """Note each file that was fetched."""
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
        """Note a file that could not be mirrored."""
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
        """Note a warning."""
        self._note("warning", text, level="warning")

    def _request(self, text: str) -> None:
        """Note a request and its outcome."""
        self._note("request", text, level="debug")

    def _note(self, event: str, message: str, *, level: str = "info", **fields: object) -> None:
        known = {"time": now_iso(), "level": level}
        if self._as_json:
            known |= {"run": self.run.id, "event": event, "message": message}
            line = to_json(known | fields).decode()
        else:
            line = f"{known['time']} {level.upper():7} {printable(message)}"
        self._handler.handle(logging.makeLogRecord({"msg": masked(line, self.run.secrets)}))


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
        """Keep what went wrong."""
        self.trouble = self.trouble or sys.exception()
