"""Why a mirror may not be called complete: reasons from its runs, its failures and its files."""

from collections.abc import Iterator, Mapping, Sequence

from mirror.errors import ExitCode
from mirror.models import Failure, Summary
from mirror.storage import runs as log
from mirror.storage.manifest import Manifest
from mirror.text import counted


def of_runs(
    runs: Sequence[Summary],
    over: Mapping[str | None, Sequence[Summary]],
    *,
    is_rebuilt: bool = False,
) -> Iterator[str]:
    """The reasons that the last runs give.

    Args:
        runs: oldest first.
        over: by account that is to be complete, the runs over it that count.
        is_rebuilt: whether only those count that came after `verify --rebuild`.
    """
    if not runs:
        return
    newest = runs[-1]
    if newest.exit_code not in (ExitCode.COMPLETE, ExitCode.SOME_FAILED):
        yield f"the last run {_ended(newest)}"
    for account, account_runs in over.items():
        name = account or "the library"
        if not account_runs:
            since = "since the manifest was rebuilt" if is_rebuilt else "yet"
            yield f"no run has mirrored all of {name} {since}"
        elif log.is_ahead(time := account_runs[-1].started):
            yield f"the last run over all of {name} is dated in the future ({time}); set the clock"
        elif account_runs[-1] is not newest and not log.is_complete(account_runs[-1], account):
            yield f"the last run over all of {name} {_ended(account_runs[-1])}"


def of_failures(
    failures: Sequence[Failure], manifest: Manifest, runs: Sequence[Summary]
) -> Iterator[str]:
    """The reasons that failures give: files that could not be fetched yet."""
    missing = sum(failure.key not in manifest.entries for failure in failures)
    if missing:
        total = missing + sum(entry.state == "current" for entry in manifest.entries.values())
        yield f"{missing:,} of {counted(total, 'asset')} could not be mirrored yet"
    if incomplete := len(failures) - missing:
        lacking = f"{counted(incomplete, 'asset')} {'lacks' if incomplete == 1 else 'lack'}"
        yield f"{lacking} a file that could not be fetched yet"
    if not failures and runs and runs[-1].exit_code == ExitCode.SOME_FAILED:
        yield f"the last run {_ended(runs[-1])}"


def of_files(missing: int, damaged: int) -> Iterator[str]:
    """The reasons that the disk gives: missing and damaged files.

    Args:
        missing: recorded files that are not in their places with their sizes.
        damaged: those that the last `verify` found damaged.
    """
    cure = "`kling-mirror verify --repair` restores what it can"
    if missing:
        lacking = f"{counted(missing, 'recorded file')} {'is' if missing == 1 else 'are'}"
        yield f"{lacking} missing or cut; {cure}"
    if damaged:
        yield f"the last `verify` found {counted(damaged, 'damaged file')}; {cure}"


def meaning(run: Summary) -> str:
    """How a run ended, in words that follow "the last run"."""
    try:
        return ExitCode(run.exit_code).story  # type: ignore[call-arg] # looked up, not made
    except ValueError:
        return "ended in a way that this version does not know"


def _ended(run: Summary) -> str:
    """How a run ended, with its exit code and the accounts that failed."""
    emails = dict.fromkeys(error.account for error in run.errors if error.account is not None)
    named = f", for {', '.join(emails)}" if emails and len(run.accounts) > 1 else ""
    return f"{meaning(run)} (exit {run.exit_code}{named})"
