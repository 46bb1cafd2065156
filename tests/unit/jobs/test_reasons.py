"""Why a mirror is not complete, in words that a person can act on."""

from mirror.jobs import reasons
from mirror.models import AssetCounts, FileCounts, ListingCounts, RunError, Summary


def a_run(exit_code: int, *errors: RunError, started: str = "2025-01-01T00:00:00Z") -> Summary:
    """A run that ended so, over two accounts."""
    return Summary(
        exit_code=exit_code,
        dest="/m",
        accounts=["a@x", "b@x"],
        listing=ListingCounts(),
        assets=AssetCounts(),
        files=FileCounts(),
        failures=[],
        started=started,
        errors=list(errors),
    )


def test_nothing_speaks_against_complete_runs() -> None:
    """One over each account that is to be mirrored."""
    run = a_run(0)
    assert list(reasons.of_runs([run], {"a@x": [run], "b@x": [run]})) == []
    assert list(reasons.of_runs([], {None: []})) == []


def test_the_last_run_speaks_first() -> None:
    """With its exit code, and the account that stood in its way."""
    run = a_run(4, RunError("b@x", 4, "refused"))
    assert list(reasons.of_runs([run], {"b@x": [run]})) == [
        "the last run was refused: the token, the subscription or the account (exit 4, for b@x)"
    ]


def test_an_account_without_a_run_is_named() -> None:
    """So is one whose last run over all of it was hindered, though a later, limited one was not."""
    hindered, limited = a_run(7, RunError(None, 7, "away")), a_run(0)
    found = list(reasons.of_runs([hindered, limited], {"a@x": [hindered], "b@x": []}))
    assert found == [
        "the last run over all of a@x could not reach the API, or got no listing from it (exit 7)",
        "no run has mirrored all of b@x yet",
    ]


def test_a_run_from_the_future_proves_nothing() -> None:
    """The clock was wrong then, or is now."""
    run = a_run(0, started="2999-01-01T00:00:00Z")
    [found] = reasons.of_runs([run], {None: [run]})
    assert "dated in the future (2999-01-01T00:00:00Z); set the clock" in found


def test_files_speak_with_what_to_do() -> None:
    """Missing and damaged files, each with its number."""
    assert list(reasons.of_files(0, 0)) == []
    one, two = reasons.of_files(1, 2)
    assert one.startswith("1 recorded file is missing or cut; `kling-mirror verify --repair`")
    assert two.startswith("the last `verify` found 2 damaged files; `kling-mirror verify --repair`")


def test_an_exit_code_of_a_later_version_is_no_secret() -> None:
    """It is said that it is not known."""
    assert reasons.meaning(a_run(99)) == "ended in a way that this version does not know"
