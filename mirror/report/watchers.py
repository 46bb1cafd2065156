"""Watchers: those who follow a run from elsewhere, such as a log or a ping.

A watcher that fails never fails the run and never delays a stop: it costs one line of warning.
"""

import contextlib
import functools
import importlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from mirror.errors import Interrupted, MirrorError
from mirror.jobs.result import Result, Tally
from mirror.models import to_json
from mirror.progress import Progress, several
from mirror.report.console import in_words
from mirror.settings import Settings
from mirror.stopping import Stop
from mirror.text import masked

_WATCHERS: tuple[tuple[Callable[[Settings], object], str], ...] = (
    (lambda _: os.environ.get("NOTIFY_SOCKET"), "systemd.Notifier"),
    (lambda settings: settings.log_file, "logfile.LogFile"),
    (lambda settings: settings.ping_url, "ping.Pinger"),
    (lambda settings: settings.on_finish, "on_finish.Hook"),
)
"""When each watcher is wanted, and its class in this package, which is loaded only then."""


class Run:
    """A run, as far as those who watch it must know it.

    Attributes:
        settings: the effective ones.
        stop: once it is set, no watcher may wait for long.
        with_requests: whether the log has each request.
        id: the same for all watchers.
        secrets: never passed on; the list grows once the token is read.
    """

    def __init__(self, settings: Settings, stop: Stop, *, with_requests: bool = False) -> None:
        self.settings = settings
        self.stop = stop
        self.with_requests = with_requests
        self.id = str(uuid.uuid4())
        self.secrets = [settings.ping_url] if settings.ping_url else []

    def summary_of(self, result: Result, most_failures: int | None = None) -> bytes:
        """The summary as one line of JSON without secrets, with a limited number of failures."""
        some = result.summary.failures[:most_failures]
        summary = msgspec.structs.replace(result.summary, failures=some)
        return masked(to_json(summary).decode() + "\n", self.secrets).encode()


class Watcher(Progress):
    """The base of all watchers. It gets a run's progress, too, if it overrides those methods.

    `start`, `end` and `close` return what went wrong in words for people, or None.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def start(self) -> str | None:
        """Hear that the run begins; a watcher that returns trouble here gets no further calls."""

    def end(self, result: Result, words: str) -> str | None:
        """Hear how the run ended."""

    def close(self) -> str | None:
        """Close everything: no call comes after this."""


@contextlib.contextmanager
def reporting(
    settings: Settings,
    *,
    stop: Stop,
    warn: Callable[[str], None],
    with_requests: bool = False,
    dry_run: bool = False,
) -> Iterator["Report"]:
    """Report the run inside to its watchers: its start, and its end even if it raises.

    Args:
        settings: they say who watches.
        stop: once it is set, the end is reported in a moment or not at all.
        warn: called with trouble that a watcher has; never while the run is under way.
        with_requests: whether the log has each request.
        dry_run: whether it is one; a dry run has no watchers.
    """
    report = Report(Run(settings, stop, with_requests=with_requests), warn=warn)
    if not dry_run:
        report.start()
    try:
        yield report
    except BaseException as error:
        report.failed(error)
        raise
    finally:
        report.end()


class Report:
    """One run and its watchers. `reporting` makes it."""

    def __init__(self, run: Run, *, warn: Callable[[str], None]) -> None:
        self._run = run
        self._warn = warn
        self._tally = Tally(run.settings.dest.absolute() if run.settings.dest else Path())
        self._result: Result | None = None
        self._watchers: list[Watcher] = []

    def start(self) -> None:
        """Find those who watch, and let them hear that the run begins."""
        for is_wanted, name in _WATCHERS:
            if is_wanted(self._run.settings):
                module, _, class_name = name.partition(".")
                home = importlib.import_module(f"mirror.report.{module}")
                watcher: Watcher = getattr(home, class_name)(self._run)
                if self._has_gone_well(watcher.start):
                    self._watchers.append(watcher)

    def hide(self, secret: str) -> None:
        """Never pass this on to anybody."""
        self._run.secrets.append(secret)

    def beside(self, progress: Progress) -> Progress:
        """A progress that reports to this one and to the watchers."""
        return several(progress, *self._watchers) if self._watchers else progress

    def finished(self, result: Result) -> None:
        """Take the run's result; what is still to come does not change it."""
        self._result = result

    def failed(self, error: BaseException) -> None:
        """Take the error that ended the run before there was a result."""
        if not isinstance(error, MirrorError):
            signum = self._run.stop.signum
            unexpected = MirrorError(f"unexpected error: {type(error).__name__}")
            error = unexpected if signum is None else Interrupted(signum)
        self._tally.note(error)

    def end(self) -> None:
        """Let the watchers hear how the run ended."""
        result = self._result or self._tally.result()
        words = in_words(result.summary)
        if result.errors and not result.summary.assets.listed:
            words = "; ".join(map(str, result.errors))
        for watcher in self._watchers:
            self._has_gone_well(functools.partial(watcher.end, result, words))
        while self._watchers:
            self._has_gone_well(self._watchers.pop().close)

    def _has_gone_well(self, step: Callable[[], str | None]) -> bool:
        """Let a watcher do something; what goes wrong is a warning, which the log keeps, too."""
        try:
            trouble = step()
        except Exception as error:  # noqa: BLE001 - no watcher can fail a run
            trouble = f"a notification failed: {type(error).__name__}: {error}"
        if trouble is None:
            return True
        self._warn(trouble)
        for watcher in self._watchers:
            watcher.warn(trouble)
        return False
