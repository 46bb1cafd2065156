"""The state of the mirror, without a lock: by the manifest, the log of runs and a look at the disk.

Every recorded file is looked for, by name and size; none is read.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set

from msgspec import Struct, field

from mirror.jobs import reasons as why
from mirror.models import Entry, Failure, Scope, StoredFile, Summary
from mirror.storage import runs as log
from mirror.storage.interface import Area, Holder, Storage
from mirror.storage.root import Root
from mirror.storage.runs import Verified

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
        only_here: of these, assets that Kling no longer lists.
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
            false exactly if `reasons` has any.
        reasons: why it is not complete, in words.
        last_complete: ISO 8601 UTC: the last run that mirrored the whole `scope` started then. With
            several accounts, the account whose last one is the oldest counts. Null: there was none.
        scope: what `sync` mirrors without flags; a run that left out more does not count.
        current: assets that Kling lists, and that are here.
        only_here: assets that are here, and that Kling no longer lists.
        superseded: earlier versions of assets that are kept.
        bytes: of all files of these.
        free: bytes free on the disk, or null if its file system does not say.
        reserve: bytes that are to stay free; with less, `sync` stops.
        types: of current and only_here, by contentType.
        accounts: the same by account.
        history: the files in `.kling-mirror/history`, earlier versions among them.
        trash: the files in `.kling-mirror/trash`.
        missing: recorded files that are not in their places with their sizes.
        damaged: files that the last `verify` found damaged, and that were not repaired since.
        last_verified: ISO 8601 UTC: when all files were last compared, or null.
        verified_by_checksum: how many of these were not read: a bucket's own checksums were right.
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
    free: int | None
    reserve: int
    types: dict[str, Total]
    accounts: list[AccountTotal]
    history: FolderTotal
    trash: FolderTotal
    missing: int
    damaged: int
    last_verified: str | None
    verified_by_checksum: int
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
    runs = log.read(storage)
    entries = list(manifest.entries.values())
    failures = [failure for failure in manifest.failures.values() if not _is_over(failure, root)]
    states = Counter(entry.state for entry in entries)
    counted = _counted(entries, runs, wanted)
    names = _names([*entries, *manifest.failures.values()], counted)
    verified = log.last_verified(storage)
    runs_before = verified.runs_before if verified is not None else 0
    over = {
        name: log.over(name, runs[runs_before:], wanted, is_alone=len(names) == 1) for name in names
    }
    counted = counted or names
    whole = [time for name in counted if (time := _last_complete(name, over[name])) is not None]
    at_work = storage.holder()
    missing, damaged = _wrong_files(root, entries, verified)
    lost = {entry.key for entry, _ in missing if entry.state == "gone"}
    accounts = _accounts([*entries, *failures], over, lost)
    reasons = [
        *why.of_files(len(missing), damaged),
        *why.of_runs(runs, {name: over[name] for name in counted}, is_rebuilt=runs_before > 0),
        *why.of_failures(failures, manifest, runs),
    ]
    if not (reasons or manifest.is_compact or at_work):
        reasons.append("a run was cut off before its end")
    if not runs:
        reasons.append("no run has come to its end yet")
    elif not log.knows_accounts(runs, wanted):
        reasons.append("no run has been over all accounts yet")
        whole.clear()
    history, trash = (_folder_total(storage, area) for area in ("history", "trash"))
    return Status(
        dest=str(root.dest),
        is_complete=not reasons,
        reasons=reasons,
        last_complete=min(whole) if len(whole) == len(counted) else None,
        scope=wanted,
        current=states["current"],
        only_here=states["gone"] - len(lost),
        superseded=states["superseded"],
        bytes=sum(map(bytes_of, entries)),
        free=root.free(),
        reserve=reserve,
        types=_types(entries),
        accounts=accounts,
        history=history,
        trash=trash,
        missing=len(missing),
        damaged=damaged,
        last_verified=verified.at if verified is not None else None,
        verified_by_checksum=verified.by_checksum if verified is not None else 0,
        failures=failures,
        at_work=at_work,
        runs=runs[: -_SHOWN_RUNS - 1 : -1],
    )


def why_unfit(state: Status, max_age_s: float) -> str | None:
    """Why `status --max-age` exits with 1, or None."""
    if state.missing or state.damaged:
        return "recorded files are missing or damaged"
    if any(log.is_ahead(run.started) for run in state.runs[:1]):
        return "the last run is dated in the future: the clock is wrong now, or was then"
    if state.last_complete is None:
        return "there was no complete run, or none since the manifest was rebuilt"
    then = dt.datetime.fromisoformat(state.last_complete)
    if (dt.datetime.now(dt.UTC) - then).total_seconds() > max_age_s:
        return "the last complete run is too old"
    return None


def bytes_of(entry: Entry) -> int:
    """The bytes of an entry's files."""
    resource, cover = entry.resource, entry.cover
    return (resource.size if resource else 0) + (cover.size if cover else 0)


def _is_over(failure: Failure, root: Root) -> bool:
    """Whether a failed file is here by now, whoever put it there."""
    entry = root.manifest.entries.get(failure.key)
    stored = entry.file(failure.role) if entry is not None else None
    return stored is not None and root.storage.is_intact(stored)


def _wrong_files(
    root: Root, entries: Iterable[Entry], verified: Verified | None
) -> tuple[list[tuple[Entry, StoredFile]], int]:
    """The recorded files that are missing or cut, and how many are known to be damaged.

    A run may have replaced some while they were looked for: these are looked for again.
    """
    is_intact = root.storage.is_intact
    found = {_identity(stored) for stored in verified.damaged} if verified is not None else set()
    missing: list[tuple[Entry, StoredFile]] = []
    damaged = 0
    for entry in entries:
        for stored in entry.files():
            if not is_intact(stored):
                missing.append((entry, stored))
            elif found and _identity(stored) in found:
                damaged += 1
    if missing:
        now = root.manifest_now().entries.values()
        still = {stored for entry in now for stored in entry.files()}
        missing = [it for it in missing if it[1] in still and not is_intact(it[1])]
    return missing, damaged


def _identity(stored: StoredFile) -> tuple[str, str, str]:
    """What identifies a file: a move to history keeps it, a new fetch changes it."""
    return stored.sha256, stored.fetched, stored.url


def _types(entries: Iterable[Entry]) -> dict[str, Total]:
    types: dict[str, Total] = {}
    for entry in entries:
        if entry.state != "superseded":
            total = types.setdefault(entry.content_type or "other", Total())
            total.assets += 1
            total.bytes += bytes_of(entry)
    return dict(sorted(types.items()))


def _names(records: Iterable[Entry | Failure], counted: Iterable[str | None]) -> list[str | None]:
    """Every account that the mirror knows, by email; None alone where it knows no email."""
    names = {record.account for record in records} | {*counted}
    return [*sorted(name for name in names if name is not None)] or [None]


def _counted(entries: Iterable[Entry], runs: Sequence[Summary], wanted: Scope) -> list[str | None]:
    """The accounts that are to be complete: those that are named, or all that Kling lists."""
    if wanted.email:
        return [*wanted.email]
    emails = {entry.account for entry in entries if entry.state == "current"}
    if runs:
        emails |= {*runs[-1].accounts}
    return [*sorted(email for email in emails if email is not None)]


def _accounts(
    records: Iterable[Entry | Failure],
    over: Mapping[str | None, Sequence[Summary]],
    lost: Set[str],
) -> list[AccountTotal]:
    """The totals of each account.

    What has no account belongs to the one account that there is, if there is one.

    Args:
        records: the entries, and the failures that are not over.
        over: the runs over each account.
        lost: keys of gone assets whose files are missing.
    """
    totals = {
        name: AccountTotal(name, last_complete=_last_complete(name, over[name])) for name in over
    }
    default = next(iter(over)) if len(over) == 1 else None
    for record in records:
        name = record.account or default
        total = totals.setdefault(name, AccountTotal(name))
        if isinstance(record, Failure):
            total.failed += 1
        elif record.state != "superseded":
            total.assets += 1
            total.only_here += record.state == "gone" and record.key not in lost
            total.bytes += bytes_of(record)
    return list(totals.values())


def _last_complete(account: str | None, over: Iterable[Summary]) -> str | None:
    """When the last run that mirrored all of an account started, of the runs over it.

    A run that is dated in the future does not count: it would stay the last one for ever.
    """
    complete = (run.started for run in over if log.is_complete(run, account))
    return next((time for time in reversed([*complete]) if not log.is_ahead(time)), None)


def _folder_total(storage: Storage, area: Area) -> FolderTotal:
    total = FolderTotal()
    for found in storage.walk(area):
        total.files += 1
        total.bytes += found.size
    return total
