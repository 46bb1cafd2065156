"""What earlier runs left for `status`: the log of runs, and what the last `verify` found."""

import datetime as dt
from collections.abc import Iterable

import msgspec

from mirror.errors import ExitCode
from mirror.models import NOT_JSON, Scope, StoredFile, Summary
from mirror.storage.interface import Storage
from mirror.storage.layout import PRIVATE_FOLDER

VERIFIED = f"{PRIVATE_FOLDER}/verified.json"
"""The document in which `verify` saves its findings."""

_CLOCKS_DIFFER_S = 300
"""The clocks of two machines that share a mirror may differ by this much."""


class Verified(msgspec.Struct, frozen=True):
    """The findings of the last `verify` that finished; `.kling-mirror/verified.json`.

    Attributes:
        at: when it began, ISO 8601 UTC.
        damaged: the records of files that have other bytes, or cannot be read. What is missing, or
            has another size, `status` sees for itself.
        runs_before: how many runs the log had when `verify --rebuild` last made a manifest that may
            lack something: what they mirrored need not be in it.
        by_checksum: how many files were not read: a bucket's own checksums were right.
    """

    at: str
    damaged: list[StoredFile]
    runs_before: int = 0
    by_checksum: int = 0


def last_verified(storage: Storage) -> Verified | None:
    """The findings of the last `verify`; None if there are none, or they cannot be read."""
    try:
        return msgspec.json.decode(storage.read_document(VERIFIED), type=Verified)
    except (OSError, *NOT_JSON):
        return None


def is_ahead(time: str) -> bool:
    """Whether a recorded time is in the future: the clock was wrong then, or is now."""
    then = dt.datetime.fromisoformat(time)
    return (then - dt.datetime.now(dt.UTC)).total_seconds() > _CLOCKS_DIFFER_S


def read(storage: Storage) -> list[Summary]:
    """The last runs, oldest first; a line that cannot be read is skipped."""
    try:
        lines = storage.read_runs().splitlines()
    except OSError:
        return []
    runs = []
    for line in lines:
        try:
            run = msgspec.json.decode(line, type=Summary)
            if dt.datetime.fromisoformat(run.started).tzinfo is not None:
                runs.append(run)
        except (*NOT_JSON, ValueError):
            continue
    return runs


def is_limited(run: Scope, wanted: Scope) -> bool:
    """Whether a run left out something of an account's library that is wanted."""
    leaves_types = run.content_type and not (
        wanted.content_type and set(wanted.content_type) <= set(run.content_type)
    )
    leaves_names = run.file_name is not None and run.file_name != wanted.file_name
    is_later = run.since is not None and (wanted.since is None or run.since > wanted.since)
    is_earlier = run.until is not None and (wanted.until is None or run.until < wanted.until)
    leaves_covers = run.no_covers and not wanted.no_covers
    leaves_some = not set(run.exclude) <= set(wanted.exclude)
    return bool(
        leaves_types or leaves_names or is_later or is_earlier or leaves_covers or leaves_some
    )


def over(
    account: str | None, runs: Iterable[Summary], wanted: Scope, *, is_alone: bool
) -> list[Summary]:
    """The runs that were asked to mirror everything that is wanted of an account.

    A run over all accounts also counts for an account that the subscription no longer has.

    Args:
        account: the email, or None.
        runs: to choose from.
        wanted: what is to be mirrored.
        is_alone: whether the mirror knows no other account: then it need not be named.
    """
    return [
        run
        for run in runs
        if not is_limited(run.scope, wanted)
        and (run.scope.all_accounts or account in run.accounts or (is_alone and not run.accounts))
    ]


def knows_accounts(runs: Iterable[Summary], wanted: Scope) -> bool:
    """Whether the accounts to mirror are known; `all_accounts` alone does not name them."""
    if wanted.email or not wanted.all_accounts:
        return True
    return any(run.scope.all_accounts and run.accounts for run in runs)


def is_complete(run: Summary, account: str | None) -> bool:
    """Whether a run mirrored everything of an account, even if other accounts failed."""
    if run.exit_code == ExitCode.COMPLETE:
        return True
    hindered = any(error.account in (None, account) for error in run.errors)
    return bool(run.errors) and not hindered and not run.assets.failed
