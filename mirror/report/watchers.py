"""What is told of a run to those who do not watch it: a ping, a log, a command, systemd.

Whatever goes wrong with any of them is a warning: it fails no run, and delays no stop.
"""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mirror.errors import Interrupted, MirrorError
from mirror.jobs.result import Result, Tally
from mirror.models import Action, Entry, FailedFile, to_json
from mirror.progress import Progress
from mirror.report.console import in_words
from mirror.report.systemd import notifier
from mirror.settings import Settings
from mirror.stopping import Stop
from mirror.text import masked

if TYPE_CHECKING:
    from mirror.report.logfile import LogFile

_MOST_FAILURES_PINGED = 100
"""Watchers keep some 100 kB of a ping's body."""


@contextlib.contextmanager
def reporting(
    settings: Settings,
    *,
    stop: Stop,
    warn: Callable[[str], None],
    with_requests: bool = False,
    dry_run: bool = False,
) -> Iterator["Report"]:
    """Around a run: tells that it begins, and how it ended, a `MirrorError` inside included.

    Args:
        settings: `ping_url`, `log_file` and its like, `on_finish`.
        stop: asked to stop, the end is told in a moment or not at all.
        warn: told what went wrong with the telling; never called while the run is under way.
        with_requests: whether the log has each request.
        dry_run: nobody is told of one.
    """
    if dry_run:
        settings = msgspec.structs.replace(settings, ping_url=None, log_file=None, on_finish=None)
    report = Report(settings, stop=stop, warn=warn, with_requests=with_requests)
    report.begin()
    try:
        yield report
    except BaseException as error:
        report.failed(error)
        raise
    finally:
        report.end()


class Report:
    """One run, as it is told to others. `reporting` makes it."""

    def __init__(
        self,
        settings: Settings,
        *,
        stop: Stop,
        warn: Callable[[str], None],
        with_requests: bool,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._warn_person = warn
        self._run_id = uuid.uuid4()
        self._secrets = [settings.ping_url] if settings.ping_url else []
        self._tally = Tally(settings.dest.absolute() if settings.dest else Path())
        self._result: Result | None = None
        self._notifier = notifier()
        self._log = self._opened_log(with_requests=with_requests)
        self._pinger = None
        if settings.ping_url is not None:
            from mirror.report.ping import Pinger  # noqa: PLC0415 - httpx, for those who want it

            self._pinger = Pinger(settings.ping_url, run_id=self._run_id)

    def begin(self) -> None:
        """Tell that the run begins."""
        if self._log is not None:
            self._log.start(self._settings.dest)
        if self._pinger is not None:
            self._pinger.start()
        if self._notifier is not None:
            self._notifier.ready()

    def hide(self, secret: str) -> None:
        """Never tell this to anybody."""
        self._secrets.append(secret)

    def beside(self, progress: Progress) -> Progress:
        """A progress that tells this one, and whoever listens to the run besides."""
        others = [listener for listener in (self._log, self._notifier) if listener is not None]
        return _Several(progress, *others) if others else progress

    def finished(self, result: Result) -> None:
        """The run has ended; what is still to come does not change how."""
        self._result = result

    def failed(self, error: BaseException) -> None:
        """The run ended before there was a result."""
        if not isinstance(error, MirrorError):
            signum = self._stop.signum
            unexpected = MirrorError(f"unexpected error: {type(error).__name__}")
            error = unexpected if signum is None else Interrupted(signum)
        self._tally.note(error)

    def end(self) -> None:
        """Tell how it ended."""
        result = self._result or self._tally.result()
        summary = result.summary
        words = in_words(summary)
        if result.errors and not summary.assets.listed:
            words = "; ".join(map(str, result.errors))
        if self._notifier is not None:
            self._notifier.stopping(f"exit {summary.exit_code}: {words}")
        if self._log is not None:
            for error in result.errors:
                self._log.error(error)
            self._log.summary(summary, words)
        self._ping(result)
        self._run_hook(result)
        if self._log is not None:
            self._log.close()
            if self._log.trouble is not None:
                self._warn_person(f"the log file is not complete: {self._log.trouble}")
        if self._notifier is not None:
            self._notifier.close()

    def _ping(self, result: Result) -> None:
        if self._pinger is not None:
            told = self._told(result, most_failures=_MOST_FAILURES_PINGED)
            is_complete = not result.summary.exit_code
            self._warn(self._pinger.finish(told, success=is_complete, stop=self._stop))

    def _run_hook(self, result: Result) -> None:
        if (command := self._settings.on_finish) is not None:
            from mirror.report import on_finish as hook  # noqa: PLC0415 - subprocess, for those who want it

            code = result.summary.exit_code
            self._warn(hook.run(command, self._told(result), exit_code=code, stop=self._stop))

    def _warn(self, trouble: str | None) -> None:
        if trouble is not None:
            self._warn_person(trouble)
            if self._log is not None:
                self._log.warn(trouble)

    def _told(self, result: Result, most_failures: int | None = None) -> bytes:
        some = result.summary.failures[:most_failures]
        told = msgspec.structs.replace(result.summary, failures=some)
        return masked(to_json(told).decode() + "\n", self._secrets).encode()

    def _opened_log(self, *, with_requests: bool) -> "LogFile | None":
        settings = self._settings
        if settings.log_file is None:
            return None
        from mirror.report.logfile import LogFile  # noqa: PLC0415 - logging, for those who want it

        try:
            return LogFile(
                settings.log_file,
                as_json=settings.log_format == "json",
                max_bytes=settings.log_size,
                keep=settings.log_keep,
                run_id=str(self._run_id),
                with_requests=with_requests,
                secrets=self._secrets,
            )
        except OSError as error:
            self._warn_person(f"no log is written: {settings.log_file}: {error.strerror}")
            return None


class _Several(Progress):
    """A run's progress for several listeners at once."""

    def __init__(self, *listeners: Progress) -> None:
        self._listeners = listeners

    def expect(self, files: int) -> None:
        """So many more files are to be worked on."""
        for listener in self._listeners:
            listener.expect(files)

    def advance(self, files: int) -> None:
        """So many of them are done with."""
        for listener in self._listeners:
            listener.advance(files)

    def planned(self, action: Action) -> None:
        """The listing has this asset."""
        for listener in self._listeners:
            listener.planned(action)

    def received(self, count: int) -> None:
        """So many bytes came in."""
        for listener in self._listeners:
            listener.received(count)

    def done(self, action: Action, entry: Entry) -> None:
        """The asset is mirrored."""
        for listener in self._listeners:
            listener.done(action, entry)

    def failed(self, action: Action | None, failure: FailedFile) -> None:
        """The asset could not be mirrored."""
        for listener in self._listeners:
            listener.failed(action, failure)

    def warn(self, text: str) -> None:
        """Something that a person should know."""
        for listener in self._listeners:
            listener.warn(text)
