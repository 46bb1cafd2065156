"""The state of the mirror in words: the first line, what is named, and what is counted."""

import datetime as dt

import msgspec
import pytest

from mirror.jobs.status import AccountTotal, FolderTotal, Status, Total
from mirror.models import Failure, RunError, Scope, Summary
from mirror.report.status_text import in_words
from mirror.storage.interface import Holder
from tests.unit.report.conftest import MakeResult

NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
YESTERDAY = "2026-03-09T10:00:00Z"
SAFE = Status(
    dest="/mirror",
    is_complete=True,
    reasons=[],
    last_complete=YESTERDAY,
    scope=Scope(),
    current=3,
    only_here=0,
    superseded=0,
    bytes=3000,
    free=10**12,
    reserve=0,
    types={"video": Total(3, 3000)},
    accounts=[],
    history=FolderTotal(),
    trash=FolderTotal(),
    missing=0,
    damaged=0,
    last_verified=None,
    verified_by_checksum=0,
    failures=[],
    at_work=None,
)


def said(*, max_age_s: float | None = None, whole: bool = False, **changes: object) -> list[str]:
    """What is said of a safe mirror with some changes."""
    state = msgspec.structs.replace(SAFE, **changes)
    return in_words(state, now=NOW, max_age_s=max_age_s, all_failures=whole)


LISTED = "everything that Kling listed 26 hours ago (2026-03-09 10:00) is here"


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, f"Safe: {LISTED}."),
        ({"max_age_s": 3600.0}, f"Out of date: {LISTED}, but later uploads are not."),
        ({"current": 0}, "Safe: Kling listed no asset 26 hours ago (2026-03-09 10:00)."),
        (
            {"scope": Scope(content_type=("video", "image"), no_covers=True)},
            f"Safe within its limits (only video and image, no covers): {LISTED}.",
        ),
        (
            {"is_complete": False, "reasons": ["a file is missing"]},
            (
                "Not safe: a file is missing. Last complete: 26 hours ago (2026-03-09 10:00)."
                " Run `kling-mirror sync`."
            ),
        ),
        (
            {"is_complete": False, "reasons": ["x"], "last_complete": None, "current": 0},
            "Not safe: nothing is mirrored yet. Run `kling-mirror sync`.",
        ),
    ],
)
def test_the_first_line(changes: dict[str, object], first: str) -> None:
    """It answers whether the mirror is safe, since when, within what limits, or why not."""
    assert said(**changes)[0] == first  # type: ignore[arg-type]


def test_what_else_matters(make_result: MakeResult) -> None:
    """Further reasons, the last run's errors and limits, a run at work, a full disk."""
    run = make_result(5).summary
    run.errors = [RunError(None, 5, "the listing cannot be trusted")]
    run.scope = Scope(file_name="holiday")
    lines = said(
        is_complete=False,
        reasons=["one", "two"],
        runs=[run],
        at_work=Holder(77, YESTERDAY),
        last_verified=YESTERDAY,
        free=5,
        reserve=1000,
    )
    notes = lines[1 : lines.index("")]
    assert notes == [
        "  Also: two.",
        "  → the listing cannot be trusted",
        "  The last run was limited: only names with 'holiday'. The rest was not updated.",
        "  Last verified 26 hours ago (2026-03-09 10:00): all files that were here then.",
        "  A run is at work: process 77, since 26 hours ago (2026-03-09 10:00).",
        (
            "  The disk has 5 B free, less than the 1 kB of `min_free`: the next `sync` will stop."
            " Free some space."
        ),
    ]


def test_a_bucket_that_was_not_read_is_not_called_read() -> None:
    """What only the service's own checksums say is said to be that."""
    lines = said(last_verified=YESTERDAY, verified_by_checksum=1200)
    [line] = [line for line in lines if "Last verified" in line]
    assert line.endswith("here then, 1,200 of them by the service's checksums alone.")


def test_totals() -> None:
    """By type and in all; what exists only here, history and trash, where there is any."""
    lines = said(
        types={"image": Total(1, 10), "video": Total(1200, 3_000_000)},
        only_here=2,
        superseded=1,
        history=FolderTotal(2, 300),
        trash=FolderTotal(4, 1000),
    )
    block = lines[lines.index("") + 1 :]
    assert block == [
        "  image        1 asset       10 B",
        "  video    1,200 assets      3 MB",
        "  total    1,201 assets      3 MB",
        "  2 of them exist only here: Kling no longer lists them",
        "  history keeps 1 earlier version in 2 files (300 B)",
        "  trash has 4 files (1 kB); `kling-mirror prune --empty-trash` deletes them",
        "  4 kB used, 1 TB free in /mirror",
    ]


def failure(number: int, error: str, name: str | None = "a.mp4") -> Failure:
    """A file that failed."""
    return Failure(
        str(number), 5, "me@x", "resource", error, 2, YESTERDAY, YESTERDAY, name, "video"
    )


def test_failures_are_named_by_reason() -> None:
    """Name, type, id and account of the first ones; `-v` names all; large numbers do not divide."""
    failures = [failure(number, f"{1000 + number} of 5000 bytes came") for number in range(5)]
    failures.append(failure(9, "the server answered 403", None))
    lines = said(failures=failures)
    block = lines[lines.index("Waiting to be fetched (6); each run tries again:") + 1 :]
    assert block == [
        "  5 x resource: 1000 of 5000 bytes came",
        *(
            f"    a.mp4  video  {number}  me@x  failed in 2 runs, first 26 hours ago"
            for number in range(3)
        ),
        "    and 2 more",
        "  1 x resource: the server answered 403",
        "    video  9  me@x  failed in 2 runs, first 26 hours ago",
        "  All of them: `kling-mirror list --state failed`",
    ]
    assert sum("failed in" in line for line in said(failures=failures, whole=True)) == 6
    many = [failure(number, f"reason {number}") for number in range(8)]
    assert "  and 3 more reasons" in said(failures=many)


def test_accounts_are_listed_where_there_are_several() -> None:
    """Each with its total, its last complete run, and what failed or is gone."""
    accounts = [AccountTotal("a@x", 1, 0, 10, 0, YESTERDAY), AccountTotal(None, 2, 1, 20, 3)]
    lines = said(accounts=accounts)
    assert lines[lines.index("Accounts:") + 1 :] == [
        "  a@x                 1 asset       10 B  complete 26 hours ago",
        "  (no account)        2 assets      20 B  never complete, 3 failed, 1 only here",
    ]
    assert "Accounts:" not in said(accounts=accounts[:1])


def test_runs(make_result: MakeResult) -> None:
    """When, how it ended, what it did, within which limits; a text that is no time stays."""
    done: Summary = make_result(0, new=1200, gone=1).summary
    done.started, done.duration_s = YESTERDAY, 4.4
    odd = make_result(77).summary
    odd.started, odd.scope = "once", Scope(email=("a@x", "b@x"))
    lines = said(runs=[done, odd])
    assert lines[lines.index("Last runs (local time):") + 1 :] == [
        "  2026-03-09 10:00  26 hours ago    exit 0    1,200 new, 1 gone (4 s)",
        (
            "  once  once            exit 77   no change, only a@x and b@x; it ended in a way that"
            " this version does not know (0 s)"
        ),
    ]
