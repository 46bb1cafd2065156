"""The console: what it prints for whom, and that no stream in trouble can end a run."""

import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec import Raw

from mirror.models import Action, Asset, Entry, FailedFile, Kind, RunError, StoredFile
from mirror.report.console import FILES, NORMAL, QUIET, Console, in_words
from tests.unit.report.conftest import MakeResult

ASSET = Asset("12@5", "12", 5, None, "a\x1b[31m.mp4", "video", {}, None, Raw(b"{}"))
STORED = StoredFile(
    size=2000, sha256="", etag=None, last_modified=None, content_type=None, url="", path="video/a",
    fetched="",
)  # fmt: skip
ENTRY = Entry("12", 5, None, "video", "a.mp4", None, "current", None, STORED, None, Raw(b"{}"))
NEW = Action(ASSET, Kind.NEW, ("resource",), None)
FAILURE = FailedFile("12", 5, "cover", "the server answered 404")


def shown(*, verbosity: int = NORMAL, news_only: bool = False, **options: bool) -> str:
    """What a run of one asset, one failure and one warning prints."""
    stream = io.StringIO()
    console = Console(bar=False, news_only=news_only, verbosity=verbosity, stream=stream, **options)
    console.planned(NEW)
    console.done(NEW, ENTRY)
    console.failed(NEW, FAILURE)
    console.warn("the listing is odd")
    console.close()
    return stream.getvalue()


def test_problems_are_a_line_each() -> None:
    """Which asset, which file, why; without anything that a terminal would obey."""
    assert shown().splitlines() == [
        r"kling-mirror: a\x1b[31m.mp4 (12): cover failed: the server answered 404",
        "kling-mirror: the listing is odd",
    ]


def test_verbose_shows_files_and_a_dry_run_its_plan() -> None:
    """`-v` has a line for each file; a plan is silenced by `-q`."""
    assert "new: video/a (2 kB)\n" in shown(verbosity=FILES)
    assert "new: " not in shown(shows_plan=False)
    assert r"would fetch: new video 12 a\x1b[31m.mp4" in shown(shows_plan=True)
    assert "would fetch" not in shown(shows_plan=True, verbosity=QUIET)


def test_many_problems_are_counted(make_result: MakeResult) -> None:
    """The first twenty are printed, the others counted at the end; `-v` prints all."""
    for verbosity, lines in ((NORMAL, 22), (FILES, 31)):
        stream = io.StringIO()
        console = Console(bar=False, news_only=True, verbosity=verbosity, stream=stream)
        for number in range(30):
            console.warn(f"problem {number}")
        console.summarize(make_result(3, failed=30, listed=30).summary, news=True, dry_run=False)
        assert len(stream.getvalue().splitlines()) == lines
        assert ("10 more problems" in stream.getvalue()) == (verbosity == NORMAL)


@pytest.mark.parametrize(
    ("news_only", "news", "verbosity", "is_shown"),
    [
        (True, False, NORMAL, False),
        (True, True, NORMAL, True),
        (False, False, NORMAL, True),
        (False, True, QUIET, False),
    ],
)
def test_who_sees_a_summary(
    make_result: MakeResult, *, news_only: bool, news: bool, verbosity: int, is_shown: bool
) -> None:
    """Off a terminal only news counts; `-q` shows none."""
    stream = io.StringIO()
    console = Console(bar=False, news_only=news_only, verbosity=verbosity, stream=stream)
    console.summarize(make_result(unchanged=1).summary, news=news, dry_run=False)
    assert bool(stream.getvalue()) == is_shown


def test_a_run_in_words(make_result: MakeResult) -> None:
    """Counts that are not zero, what was received, where to; a dry run says that it was one."""
    summary = make_result(new=1200, failed=1, gone=2, unchanged=3).summary
    summary.files.fetched, summary.files.reused, summary.files.bytes = 1201, 1, 5_000_000
    assert in_words(summary) == (
        "1,200 new, 1 failed, 2 gone from Kling (kept here), 3 unchanged; "
        "1,201 files fetched, 1 reused (5 MB) in 0.0 s → /mirror"
    )
    assert in_words(make_result().summary, dry_run=True) == (
        "dry run: Kling lists no asset; nothing was written"
    )


def test_accounts_that_failed_are_counted(make_result: MakeResult) -> None:
    """Where some of several accounts failed, the summary says how many went well."""
    summary = make_result(5, new=1).summary
    summary.accounts = ["a@x", "b@x", "c@x"]
    assert "accounts" not in in_words(summary)
    summary.errors = [RunError("a@x", 5, "x"), RunError(None, 5, "y")]
    assert "1 new (from 2 of 3 accounts)" in in_words(summary)


class Broken(io.StringIO):
    """A stream that nobody can write to any more."""

    def write(self, _: str) -> int:
        """Fail as a pipe without a reader does."""
        raise BrokenPipeError


def test_a_broken_stream_ends_no_run(make_result: MakeResult) -> None:
    """Every event goes on without a word, with a bar or without."""
    closed = io.StringIO()
    closed.close()
    for stream in (Broken(), closed):
        for bar in (False, True):
            console = Console(bar=bar, news_only=False, verbosity=FILES, stream=stream)
            console.planned(NEW)
            console.received(1000)
            console.done(NEW, ENTRY)
            console.failed(NEW, FAILURE)
            console.summarize(make_result(3).summary, news=True, dry_run=False)


_DRAWS = """
import io
from mirror.report.console import Console
stream = io.StringIO()
console = Console(bar=True, news_only=False, verbosity=0, stream=stream)
console.expect(3)
console.warn("the listing is odd")
console.close()
print(stream.getvalue())
"""


@pytest.mark.parametrize(
    "variable",
    [
        {"TQDM_NCOLS": "abc"},
        {"TQDM_MININTERVAL": "x"},
        {"TQDM_WRITE_BYTES": "1"},
        {"TQDM_LOCK_ARGS": "1"},
        {"TQDM_BAR_FORMAT": "{nope}"},
        {"COLUMNS": "abc"},
    ],
    ids=str,
)
def test_an_odd_environment_costs_the_bar_at_most(variable: Mapping[str, str]) -> None:
    """Settings of tqdm's that mean nothing are one line, no traceback, and no lost message."""
    done = subprocess.run(
        [sys.executable, "-c", _DRAWS],
        env={"PYTHONPATH": str(Path(__file__).parents[3]), **variable},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "kling-mirror: the listing is odd\n" in done.stdout
    assert done.stdout.count("no progress bar: ") <= 1
