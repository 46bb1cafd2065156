"""The log of runs: which of them speak of all that is wanted of an account."""

import datetime as dt
from pathlib import Path

import pytest

from mirror.models import AssetCounts, FileCounts, ListingCounts, RunError, Scope, Summary, to_json
from mirror.storage import runs
from mirror.storage.root import Root

ALL = Scope()


def a_run(
    exit_code: int = 0, *errors: RunError, scope: Scope = ALL, accounts: tuple[str, ...] = ()
) -> Summary:
    """A run."""
    return Summary(
        exit_code=exit_code,
        dest="/m",
        accounts=list(accounts),
        listing=ListingCounts(),
        assets=AssetCounts(),
        files=FileCounts(),
        failures=[],
        started="2025-01-01T00:00:00Z",
        scope=scope,
        errors=list(errors),
    )


def test_a_spoilt_line_costs_that_run_alone(tmp_path: Path) -> None:
    """A line that was cut, a time that is none: the others are read, oldest first."""
    log = tmp_path / ".kling-mirror" / "runs.jsonl"
    log.parent.mkdir()
    good = [to_json(a_run(code)) for code in (0, 3)]
    bad = to_json(a_run()).replace(b"2025-01-01T00:00:00Z", b"yesterday")
    log.write_bytes(b"\n".join((good[0], bad, b"[]", b"\xff", good[1], good[0][:40])))
    assert [run.exit_code for run in runs.read(Root(tmp_path).storage)] == [0, 3]
    assert runs.read(Root(tmp_path / "none").storage) == []


@pytest.mark.parametrize(
    ("ran", "wanted", "is_limited"),
    [
        (Scope(), Scope(), False),
        (Scope(), Scope(content_type=("video",)), False),
        (Scope(content_type=("video",)), Scope(), True),
        (Scope(content_type=("video",)), Scope(content_type=("video",)), False),
        (Scope(content_type=("video",)), Scope(content_type=("video", "image")), True),
        (Scope(content_type=("video", "image")), Scope(content_type=("video",)), False),
        (Scope(file_name="a"), Scope(file_name="a"), False),
        (Scope(file_name="a"), Scope(file_name="b"), True),
        (Scope(no_covers=True), Scope(), True),
        (Scope(), Scope(no_covers=True), False),
        (Scope(since=5), Scope(), True),
        (Scope(exclude=("1",)), Scope(), True),
        (Scope(exclude=("1",)), Scope(exclude=("1", "2")), False),
        (Scope(since=5), Scope(since=5), False),
        (Scope(since=5), Scope(since=6), False),
        (Scope(until=5), Scope(until=6), True),
        (Scope(until=5), Scope(since=1, until=4), False),
    ],
)
def test_a_run_that_left_out_what_is_wanted_is_limited(
    ran: Scope, wanted: Scope, *, is_limited: bool
) -> None:
    """What nobody wants may be left out."""
    assert runs.is_limited(ran, wanted) == is_limited


def test_a_run_is_over_the_accounts_that_it_names() -> None:
    """Or over all there are; one that is alone need not be named."""
    named, alone = a_run(accounts=("a@x",)), a_run()
    everybody = a_run(scope=Scope(all_accounts=True), accounts=("b@x",))
    every = (named, alone, everybody)
    assert runs.over("a@x", every, Scope(), is_alone=False) == [named, everybody]
    assert runs.over("a@x", every, Scope(), is_alone=True) == [named, alone, everybody]
    assert runs.over("a@x", every, Scope(no_covers=True), is_alone=False) == [named, everybody]


def test_another_account_s_trouble_is_not_one_s_own() -> None:
    """A run is complete for an account that nothing stood in the way of."""
    assert runs.is_complete(a_run(), "a@x")
    others = a_run(4, RunError("b@x", 4, "refused"))
    assert runs.is_complete(others, "a@x")
    assert not runs.is_complete(others, "b@x")
    assert not runs.is_complete(a_run(7, RunError(None, 7, "away")), "a@x")
    assert not runs.is_complete(a_run(3), "a@x")


def test_a_time_in_the_future_is_found_out() -> None:
    """Some minutes are the difference of two clocks."""
    now = dt.datetime.now(dt.UTC)
    assert not runs.is_ahead((now + dt.timedelta(minutes=1)).isoformat())
    assert runs.is_ahead((now + dt.timedelta(hours=1)).isoformat())
