"""What a run comes to: its counts, its errors, and the exit code that they make."""

import errno
from pathlib import Path

import pytest

from mirror.errors import (
    AccessError,
    ApiError,
    AssetError,
    DiskError,
    ExitCode,
    Interrupted,
    ListingError,
    MirrorError,
    UsageError,
)
from mirror.jobs.result import Tally
from mirror.models import FailedFile, Kind

ME, YOU = "me@example.com", "you@example.com"
FAILED = FailedFile("7", 5, "resource", "the server answered 500")


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    """The counts of a run over one account."""
    tally = Tally(tmp_path)
    tally.accounts = [None]
    return tally


def test_what_is_listed_is_the_sum_of_its_kinds(tally: Tally) -> None:
    """New, changed, unchanged, repaired and failed; what is filtered or gone is no part of it."""
    for number, kind in enumerate(Kind, start=1):
        tally.count(kind, number)
    tally.failures.append(FAILED)
    tally.filtered, tally.gone = 5, 6
    assets = tally.result().summary.assets
    assert (assets.new, assets.changed, assets.unchanged, assets.repaired) == (1, 2, 3, 4)
    assert (assets.listed, assets.failed, assets.filtered, assets.gone) == (11, 1, 5, 6)


@pytest.mark.parametrize(
    ("kind", "gone", "failures", "has_news"),
    [
        (Kind.UNCHANGED, 0, [], False),
        (Kind.NEW, 0, [], True),
        (Kind.REPAIRED, 0, [], True),
        (Kind.UNCHANGED, 1, [], True),
        (Kind.UNCHANGED, 0, [FAILED], True),
    ],
)
def test_what_is_news(
    *, tally: Tally, kind: Kind, gone: int, failures: list[FailedFile], has_news: bool
) -> None:
    """A run that changed nothing has none, and so prints nothing."""
    tally.count(kind)
    tally.gone = gone
    tally.failures += failures
    assert tally.result().has_news == has_news


@pytest.mark.parametrize(
    ("errors", "failures", "code"),
    [
        ([], [], ExitCode.COMPLETE),
        ([], [FAILED], ExitCode.SOME_FAILED),
        ([ListingError("?")], [FAILED], ExitCode.LISTING),
        ([ListingError("?"), ApiError("?")], [], ExitCode.API),
        ([ApiError("?"), AccessError("?"), ListingError("?")], [], ExitCode.ACCESS),
        ([AccessError("?"), DiskError("?")], [], ExitCode.DISK),
        ([DiskError("?"), Interrupted(2)], [], ExitCode.SIGINT),
        ([Interrupted(15)], [FAILED], ExitCode.SIGTERM),
        ([MirrorError("?"), ApiError("?")], [], ExitCode.API),
    ],
)
def test_the_worst_error_gives_the_exit_code(
    tally: Tally, errors: list[MirrorError], failures: list[FailedFile], code: ExitCode
) -> None:
    """By the rank of each code, in whatever order they came."""
    tally.failures += failures
    for error in errors:
        tally.note(error)
    assert tally.result().exit_code is code


def test_one_trouble_of_several_accounts_is_one_error(tally: Tally) -> None:
    """It names them; the summary has each, with its account."""
    tally.accounts = [ME, YOU]
    for account in tally.accounts:
        tally.note(ApiError("the API keeps failing", where="api.example"), account)
    tally.note(AccessError(f"{YOU} may not be read"), YOU)
    result = tally.result()
    assert [str(error) for error in result.errors] == [
        f"the API keeps failing (api.example, for {ME}, {YOU})",
        f"{YOU} may not be read",
    ]
    assert [(error.account, error.exit_code) for error in result.summary.errors] == [
        (ME, 7),
        (YOU, 7),
        (YOU, 4),
    ]


def test_errors_are_kept_and_the_run_goes_on(tally: Tally) -> None:
    """Ours as they are, the disk's as such; any other is not ours to keep."""

    def fail(error: Exception) -> None:
        raise error

    with tally.noting_errors(ME):
        fail(ListingError("?"))
    with tally.noting_errors():
        fail(OSError(errno.ENOSPC, "No space left on device", "/x"))
    assert tally.met(ExitCode.LISTING)
    assert tally.met(ExitCode.DISK)
    assert not tally.met(ExitCode.API)
    with pytest.raises(ValueError, match="a mistake"), tally.noting_errors():
        fail(ValueError("a mistake"))


def test_a_complete_result_goes_on_and_any_other_raises(tally: Tally) -> None:
    """The worst error, or what failed where nothing else went wrong."""
    assert tally.result().raise_for_errors().exit_code is ExitCode.COMPLETE
    tally.failures.append(FAILED)
    with pytest.raises(AssetError, match="1 asset could not be mirrored"):
        tally.result().raise_for_errors()
    tally.note(ListingError("a listing"))
    tally.note(UsageError("a setting"))
    with pytest.raises(UsageError, match="a setting"):
        tally.result().raise_for_errors()
