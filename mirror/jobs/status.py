"""The state of the mirror, read off the manifest and the log of runs without a lock."""

import datetime as dt
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field

from mirror.errors import ExitCode
from mirror.models import Entry, Failure, Scope, Summary
from mirror.storage import runs as log
from mirror.storage.local import Holder
from mirror.storage.manifest import Manifest
from mirror.storage.root import Root
from mirror.text import counted

_SHOWN_RUNS = 5


class Total(Struct):
    """How many assets of one contentType there are, and the bytes of their files."""

    assets: int = 0
    bytes: int = 0


class AccountTotal(Struct):
    """One account's part of the mirror.

    Attributes:
        account: the email, or null for the subscription's only one, which was never named.
        assets: that are here, without earlier versions.
        only_here: of these, assets that Kling lists no more.
        bytes: of their files.
        failed: assets that could not be mirrored yet.
        last_complete: ISO 8601 UTC, when the last run that mirrored all of it started, or null.
    """

    account: str | None
    assets: int = 0
    only_here: int = 0
    bytes: int = 0
    failed: int = 0
    last_complete: str | None = None


class FolderTotal(Struct):
    """How many files a folder holds, and their bytes."""

    files: int = 0
    bytes: int = 0


class Status(Struct):
    """The state of a mirror: `status --json`.

    Attributes:
        dest: the mirror's folder.
        is_complete: whether everything is here that Kling listed when the last run started;
            false exactly where `reasons` has any.
        reasons: why it is not complete, in words.
        last_complete: ISO 8601 UTC: the last run that mirrored the whole `scope` started then. With
            several accounts, the one whose last is the oldest counts. Null: there was none.
        scope: what `sync` without flags is set to mirror; a run that left out more does not count.
        current: assets that Kling lists, and that are here.
        only_here: assets that Kling lists no more, and that are here.
        superseded: earlier versions of assets that are kept.
        bytes: of all files of these.
        free: bytes free on the disk.
        reserve: bytes that are to stay free; with less, `sync` stops.
        types: of current and only_here, by contentType.
        accounts: the same by account.
        history: the files in `.kling-mirror/history`, earlier versions among them.
        trash: the files in `.kling-mirror/trash`.
        failures: the assets that could not be mirrored yet.
        at_work: the run that holds the mirror's lock, or null.
        runs: the last ones, newest first; what `sync --json` printed, without `failures`.
    """

    dest: str
    is_complete: bool
    reasons: list[str]
    last_complete: str | None
    scope: Scope
    current: int
    only_here: int
    superseded: int
    bytes: int
    free: int
    reserve: int
    types: dict[str, Total]
    accounts: list[AccountTotal]
    history: FolderTotal
    trash: FolderTotal
    failures: list[Failure]
    at_work: Holder | None
    runs: list[Summary] = field(default_factory=list)


def status(root: Root, *, wanted: Scope, reserve: int) -> Status:
    """The state of the mirror.

    Args:
        root: open.
        wanted: what the settings want mirrored.
        reserve: bytes that are to stay free.
    """
    storage, manifest = root.storage, root.manifest
    runs = log.read(storage.runs)
    entries = manifest.entries.values()
    failures = list(manifest.failures.values())
    states = Counter(entry.state for entry in entries)
    names = _names(manifest, runs, wanted)
    over = {name: log.over(name, runs, wanted, is_alone=len(names) == 1) for name in names}
    accounts = _accounts(manifest, over)
    counted = _counted(manifest, runs, wanted) or names
    whole = [time for name in counted if (time := _last_complete(name, over[name])) is not None]
    at_work = storage.holder()
    reasons = [
        *_of_runs(runs, {name: over[name] for name in counted}),
        *_of_failures(manifest, runs),
    ]
    if not (reasons or manifest.is_compact or at_work):
        reasons.append("a run was cut off before its end")
    if not runs:
        reasons.append("no run has come to its end yet")
    elif not log.knows_accounts(runs, wanted):
        reasons.append("no run has been over all accounts yet")
        whole.clear()
    history, trash = map(_folder_total, storage.keeping_folders())
    return Status(
        dest=str(root.dest),
        is_complete=not reasons,
        reasons=reasons,
        last_complete=min(whole) if len(whole) == len(counted) else None,
        scope=wanted,
        current=states["current"],
        only_here=states["gone"],
        superseded=states["superseded"],
        bytes=sum(map(bytes_of, entries)),
        free=shutil.disk_usage(root.dest).free,
        reserve=reserve,
        types=_types(entries),
        accounts=accounts,
        history=history,
        trash=trash,
        failures=failures,
        at_work=at_work,
        runs=runs[: -_SHOWN_RUNS - 1 : -1],
    )


def age_s(state: Status) -> float | None:
    """Seconds since the last complete run started, or None when there was none."""
    if state.last_complete is None:
        return None
    then = dt.datetime.fromisoformat(state.last_complete)
    return (dt.datetime.now(dt.UTC) - then).total_seconds()


def bytes_of(entry: Entry) -> int:
    """The bytes of an entry's files."""
    return sum(stored.size for stored in entry.files())


def _types(entries: Iterable[Entry]) -> dict[str, Total]:
    types: dict[str, Total] = {}
    for entry in entries:
        if entry.state != "superseded":
            total = types.setdefault(entry.content_type or "other", Total())
            total.assets += 1
            total.bytes += bytes_of(entry)
    return dict(sorted(types.items()))


def _names(manifest: Manifest, runs: Sequence[Summary], wanted: Scope) -> list[str | None]:
    """Every account that the mirror knows, by email; None alone where it knows no email."""
    records: list[Entry | Failure] = [*manifest.entries.values(), *manifest.failures.values()]
    names = {record.account for record in records} | {*_counted(manifest, runs, wanted)}
    return [*sorted(name for name in names if name is not None)] or [None]


def _counted(manifest: Manifest, runs: Sequence[Summary], wanted: Scope) -> list[str | None]:
    """The accounts that are to be complete: those that are named, or all that Kling lists."""
    if wanted.email:
        return [*wanted.email]
    emails = {entry.account for entry in manifest.entries.values() if entry.state == "current"}
    if runs:
        emails |= {*runs[-1].accounts}
    return [*sorted(email for email in emails if email is not None)]


def _accounts(
    manifest: Manifest, over: Mapping[str | None, Sequence[Summary]]
) -> list[AccountTotal]:
    """What there is of each account.

    What has no account belongs to the one account that there is, if there is one.

    Args:
        manifest: loaded.
        over: the runs over each account.
    """
    totals = {
        name: AccountTotal(name, last_complete=_last_complete(name, over[name])) for name in over
    }
    default = next(iter(over)) if len(over) == 1 else None
    records: list[Entry | Failure] = [*manifest.entries.values(), *manifest.failures.values()]
    for record in records:
        name = record.account or default
        total = totals.setdefault(name, AccountTotal(name))
        if isinstance(record, Failure):
            total.failed += 1
        elif record.state != "superseded":
            total.assets += 1
            total.only_here += record.state == "gone"
            total.bytes += bytes_of(record)
    return list(totals.values())


def _last_complete(account: str | None, over: Iterable[Summary]) -> str | None:
    """When the last run that mirrored all of an account started, of the runs over it."""
    whole = [run.started for run in over if log.is_complete(run, account)]
    return whole[-1] if whole else None


def _of_runs(
    runs: Sequence[Summary], over: Mapping[str | None, Sequence[Summary]]
) -> Iterator[str]:
    """What the last runs say against the mirror's being complete."""
    if not runs:
        return
    newest = runs[-1]
    if newest.exit_code not in (ExitCode.COMPLETE, ExitCode.SOME_FAILED):
        yield f"the last run {_ended(newest)}"
    for account, its in over.items():
        name = account or "the library"
        if not its:
            yield f"no run has mirrored all of {name} yet"
        elif its[-1] is not newest and not log.is_complete(its[-1], account):
            yield f"the last run over all of {name} {_ended(its[-1])}"


def _of_failures(manifest: Manifest, runs: Sequence[Summary]) -> Iterator[str]:
    """What could not be mirrored yet."""
    missing = sum(key not in manifest.entries for key in manifest.failures)
    if missing:
        total = missing + sum(entry.state == "current" for entry in manifest.entries.values())
        yield f"{missing:,} of {counted(total, 'asset')} could not be mirrored yet"
    if damaged := len(manifest.failures) - missing:
        lacking = f"{counted(damaged, 'asset')} {'lacks' if damaged == 1 else 'lack'}"
        yield f"{lacking} a file that could not be fetched yet"
    if not manifest.failures and runs and runs[-1].exit_code == ExitCode.SOME_FAILED:
        yield f"the last run {_ended(runs[-1])}"


def meaning(run: Summary) -> str:
    """How a run ended, in words that follow "the last run"."""
    try:
        return ExitCode(run.exit_code).story  # type: ignore[call-arg] # looked up, not made
    except ValueError:
        return "ended in a way that this version does not know"


def _ended(run: Summary) -> str:
    """How a run ended, with its exit code and the accounts that stood in its way."""
    emails = dict.fromkeys(error.account for error in run.errors if error.account is not None)
    told = f", for {', '.join(emails)}" if emails and len(run.accounts) > 1 else ""
    return f"{meaning(run)} (exit {run.exit_code}{told})"


def _folder_total(folder: Path) -> FolderTotal:
    total = FolderTotal()
    for parent, _, names in os.walk(folder):
        for name in names:
            total.files += 1
            try:
                total.bytes += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - of many
            except OSError:
                continue
    return total
