"""The console: a bar on a terminal, otherwise one line, or nothing if there is no news.

Prose goes to stderr; stdout is for data. Nothing that came from the service reaches a terminal
without passing `printable`. A console that cannot be written to falls silent: it never ends a run.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from mirror.models import Action, Entry, FailedFile, Kind, StoredFile, Summary
from mirror.progress import Progress
from mirror.text import Colour, counted, fitted, painted, printable, size

if TYPE_CHECKING:
    from mirror.report.bar import Bar
    from mirror.report.requests import Requests

_REDRAW_S = 0.1
_MOST_PROBLEM_LINES = 20

QUIET, NORMAL, FILES, REQUESTS = -1, 0, 1, 2
"""Verbosity: `-q`, none, `-v`, `-vv`."""


class Console(Progress):
    """Shows a run to people.

    Args:
        bar: whether to draw a progress bar.
        news_only: whether a run without news prints nothing (no terminal).
        verbosity: `QUIET` to `REQUESTS`.
        at_once: how many files are under way at a time.
        defers_failures: whether `summarize` prints the failures, if they are news.
        shows_plan: whether to print every asset that is planned (a dry run).
        stream: where prose goes; stderr if None.
    """

    def __init__(
        self,
        *,
        bar: bool,
        news_only: bool,
        verbosity: int,
        at_once: int = 1,
        defers_failures: bool = False,
        shows_plan: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self._news_only = news_only
        self._shows_plan = shows_plan
        self._verbosity = verbosity
        self._stream = stream or sys.stderr
        self._lock = threading.RLock()
        self._drawn_at = 0.0
        self._defers_failures = defers_failures
        self._problems = 0
        self._failures: list[str] = []
        self._bar: Bar | None = None
        if bar and verbosity > QUIET:
            with self._drawing():
                self._bar = _bar(self._stream, at_once)
        self._requests = _requests(self._print) if verbosity >= REQUESTS else None

    def listing(self) -> None:
        """Count up, without percent and ETA, until the listing is known."""
        if self._bar is not None:
            self._bar.is_total_known = False

    def listed(self) -> None:
        """Show how much of everything is done."""
        if self._bar is not None:
            self._bar.is_total_known = True
            self._redraw()

    def expect(self, files: int) -> None:
        """Expect this many more files."""
        if self._bar is not None:
            self._bar.total = (self._bar.total or 0) + files
            self._redraw()

    def advance(self, files: int) -> None:
        """Count this many of the expected files as finished."""
        if self._bar is not None:
            self._bar.n += files
            self._redraw()

    def planned(self, action: Action) -> None:
        """Expect the files of an asset, and print the plan if that is wanted."""
        if self._shows_plan and self._verbosity > QUIET and action.kind is not Kind.UNCHANGED:
            asset = action.asset
            self._print(f"would fetch: {action.kind} {asset.content_type} {asset.id} {asset.name}")
        self.expect(len(action.fetch))

    def received(self, count: int) -> None:
        """Count the bytes of files as they arrive."""
        if self._bar is not None:
            self._bar.receive(count)
            self._redraw()

    def done(self, action: Action, entry: Entry) -> None:
        """Count an asset's files as finished; print them if that is wanted."""
        self.advance(len(action.fetch))
        if self._verbosity >= FILES and action.kind is not Kind.UNCHANGED:
            for role in action.fetch:
                if (stored := entry.file(role)) is not None:
                    self._print(file_in_words(action, stored))

    def failed(self, action: Action | None, failure: FailedFile) -> None:
        """Print a file that could not be mirrored."""
        if action is not None:
            self.advance(len(action.fetch))
        words = failure_in_words(action, failure)
        if self._defers_failures:
            self._failures.append(words)  # `summarize` knows whether they are news
        else:
            self._problem(words, "red")

    def warn(self, text: str) -> None:
        """Print a problem: the first ones, or all with `-v`."""
        self._problem(text, "yellow")

    def _problem(self, text: str, colour: Colour) -> None:
        self._problems += 1
        if self._problems <= _MOST_PROBLEM_LINES or self._verbosity >= FILES:
            self._print(text, colour)

    def close(self) -> None:
        """Remove the bar, and stop showing requests."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._bar is not None:
            with self._drawing():
                self._bar.close()
            self._bar = None

    def summarize(
        self, summary: Summary, *, news: bool, dry_run: bool, same_failures: bool = False
    ) -> None:
        """Print the run in one line, if there is something to say.

        Args:
            summary: how it ended.
            news: whether anything happened.
            dry_run: whether it was one.
            same_failures: whether just those files failed that failed in the last run.
        """
        self.close()
        if not same_failures:
            for words in self._failures:
                self._problem(words, "red")
        if (hidden := self._problems - _MOST_PROBLEM_LINES) > 0 and self._verbosity < FILES:
            self._print(f"{hidden} more problems; `kling-mirror status` lists them", "red")
        if self._verbosity > QUIET and (news or not self._news_only):
            colour: Colour = "red" if summary.exit_code else "green"
            again = "; the same files failed in the last run: `kling-mirror status` names them"
            words = in_words(summary, dry_run=dry_run)
            self._print(words + (again if same_failures and self._failures else ""), colour)

    def _redraw(self) -> None:
        now = time.monotonic()
        if self._bar is not None and now - self._drawn_at >= _REDRAW_S:
            self._drawn_at = now
            with self._drawing():
                self._bar.refresh()

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[None]:
        """Guard what is done with the bar: it goes, with one line, if anything goes wrong."""
        with self._lock:
            try:
                yield
            except Exception as error:  # noqa: BLE001 - no run ends for the sake of its bar
                self._bar = None
                self._print(f"no progress bar: {error}", "yellow")

    def _print(self, text: str, colour: Colour | None = None) -> None:
        """Print a line; with a colour, it is the program's word, and begins with its name."""
        name = "kling-mirror:" if colour else ""
        line = fitted(printable(f"{name} {text}" if colour else text), self._stream)
        if colour:
            line = painted(name, colour, self._stream) + line.removeprefix(name)
        with self._lock:
            if self._bar is not None:
                with self._drawing():
                    self._bar.clear()
            with contextlib.suppress(OSError, ValueError):  # closed, full, or nobody reads it
                self._stream.write(f"{line}\n")
                self._stream.flush()


def _bar(stream: TextIO, at_once: int) -> "Bar":
    from mirror.report.bar import Bar  # noqa: PLC0415 - tqdm, only for those who see it

    return Bar(stream, redraw_s=_REDRAW_S, at_once=at_once)


def _requests(show: Callable[[str], None]) -> "Requests":
    from mirror.report.requests import Requests  # noqa: PLC0415 - logging, for those who see it

    return Requests(show)


def file_in_words(action: Action, stored: StoredFile) -> str:
    """Describe a mirrored file in one line."""
    return f"{action.kind}: {stored.path} ({size(stored.size)})"


def failure_in_words(action: Action | None, failure: FailedFile) -> str:
    """Describe a file that could not be mirrored in one line."""
    name = action.asset.name if action is not None else None
    known = f"{name} ({failure.id})" if name else f"asset {failure.id or '(no id)'}"
    return f"{known}: {failure.role} failed: {failure.error}"


def in_words(summary: Summary, *, dry_run: bool = False) -> str:
    """Describe a run in one line."""
    assets, files = summary.assets, summary.files
    counts = {
        "new": assets.new,
        "changed": assets.changed,
        "repaired": assets.repaired,
        "failed": assets.failed,
        "gone from Kling (kept here)": assets.gone,
        "unchanged": assets.unchanged,
    }
    text = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    text = (text or "Kling lists no asset") + _accounts_in_words(summary)
    if dry_run:
        return f"dry run: {text}; nothing was written"
    moved = f"; {counted(files.fetched, 'file')} fetched" if files.fetched else ""
    moved += f", {files.reused:,} reused" if files.reused else ""
    moved += f" ({size(files.bytes)})" if files.bytes else ""
    return f"{text}{moved} in {summary.duration_s:.1f} s → {summary.dest}"


def _accounts_in_words(summary: Summary) -> str:
    """Say how many accounts went well if some did not; each of those has an error of its own."""
    accounts = set(summary.accounts)
    failed = {error.account for error in summary.errors} & accounts
    if not failed or len(accounts) == 1:
        return ""
    return f" (from {len(accounts) - len(failed)} of {len(accounts)} accounts)"
