"""The state of the mirror in words; the first line answers «am I safe?»."""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from mirror.errors import ExitCode
from mirror.jobs.reasons import meaning
from mirror.jobs.status import AccountTotal, FolderTotal, Status, Total
from mirror.models import Failure, Scope, Summary
from mirror.text import ago, counted, size

_OLD_S = 7 * 86_400.0
"""An older mirror is not called safe, unless --max-age allows more."""

_SHOWN_REASONS = 5
_SHOWN_IDS = 3
_LARGE_NUMBER = re.compile(r"\d[\d,]{3,}")  # of bytes, rather than an HTTP status


def in_words(
    state: Status, *, now: dt.datetime, max_age_s: float | None, all_failures: bool
) -> list[str]:
    """Describe the state of the mirror, line by line.

    Args:
        state: as `status` has it.
        now: the time, with its zone.
        max_age_s: how old the last complete run may be; None for a week.
        all_failures: whether to name every file that failed.
    """
    times = _Times(now)
    lines = [_verdict(state, times, _OLD_S if max_age_s is None else max_age_s)]
    lines += (f"  {note}" for note in _notes(state, times))
    parts: tuple[Iterator[str], ...] = (
        _totals(state),
        _accounts(state.accounts, times),
        _failures(state.failures, times, whole=all_failures),
        _runs(state.runs, times),
    )
    for part in parts:
        if block := list(part):
            lines += ["", *block]
    return lines


class _Times:
    """Describes recorded times (ISO 8601) as seen from now; what is no time stays as it is."""

    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def ago(self, time: str) -> str:
        """How long ago it was."""
        try:
            return ago((self.now - dt.datetime.fromisoformat(time)).total_seconds())
        except (ValueError, TypeError):
            return time

    def local(self, time: str) -> str:
        """The time where the reader is."""
        try:
            return f"{dt.datetime.fromisoformat(time).astimezone(self.now.tzinfo):%Y-%m-%d %H:%M}"
        except (ValueError, OverflowError, OSError):
            return time

    def when(self, time: str) -> str:
        """How long ago it was, and the local time."""
        return f"{self.ago(time)} ({self.local(time)})"


def _verdict(state: Status, times: _Times, max_age_s: float) -> str:
    """The first line."""
    last = state.last_complete
    if not state.is_complete:
        if not (state.runs or state.current or state.only_here or state.failures):
            return "Not safe: nothing is mirrored yet. Run `kling-mirror sync`."
        when = "never" if last is None else times.when(last)
        step = "" if state.runs or state.at_work else " Run `kling-mirror sync`."
        return f"Not safe: {state.reasons[0]}. Last complete: {when}.{step}"
    assert last is not None  # noqa: S101 - what is complete became so at a time
    limits = ", ".join(limits_of(state.scope))
    within = f" within its limits ({limits})" if limits else ""
    listed = f"everything that Kling listed {times.when(last)} is here"
    if not state.current:
        listed = f"Kling listed no asset {times.when(last)}"
    if (times.now - dt.datetime.fromisoformat(last)).total_seconds() > max_age_s:
        return f"Out of date{within}: {listed}, but later uploads are not."
    return f"Safe{within}: {listed}."


def _verified(state: Status, when: str) -> str:
    """When the files were last compared, and how."""
    how = ""
    if state.verified_by_checksum:
        how = f", {state.verified_by_checksum:,} of them by the service's checksums alone"
    return f"Last verified {when}: all files that were here then{how}."


def _notes(state: Status, times: _Times) -> Iterator[str]:
    """What else matters for safety."""
    for reason in state.reasons[1:]:
        yield f"Also: {reason}."
    newest = state.runs[0] if state.runs else None
    for error in newest.errors if newest else ():
        if error.exit_code < ExitCode.SIGHUP:  # of a stop there is no more to say
            yield f"→ {error.error}"
    if newest and limits_of(newest.scope) and newest.scope != state.scope:
        limits = ", ".join(limits_of(newest.scope))
        yield f"The last run was limited: {limits}. The rest was not updated."
        if state.last_complete is None:
            yield "If you want only that, put the limit into the config: `status` then counts it."
    if state.last_verified is not None:
        yield _verified(state, times.when(state.last_verified))
    elif state.current:
        yield "Each file was checked when fetched. `kling-mirror verify` has not read them again."
    if state.at_work is not None:
        since = times.when(state.at_work.since)
        yield f"A run is at work: process {state.at_work.pid}, since {since}."
    if state.free is not None and state.free < state.reserve:
        yield (
            f"The disk has {size(state.free)} free, less than the {size(state.reserve)} of "
            "`min_free`: the next `sync` will stop. Free some space."
        )


def _accounts(accounts: Sequence[AccountTotal], times: _Times) -> Iterator[str]:
    """Each account, if there are several."""
    if len(accounts) < 2:  # noqa: PLR2004 - one account is the whole
        return
    yield "Accounts:"
    width = max(len(total.account or "(no account)") for total in accounts)
    for total in accounts:
        name = total.account or "(no account)"
        last = total.last_complete
        complete = "never complete" if last is None else f"complete {times.ago(last)}"
        failed = f", {total.failed:,} failed" if total.failed else ""
        gone = f", {total.only_here:,} only here" if total.only_here else ""
        yield f"  {name:<{width}}  {_amount(total)}  {complete}{failed}{gone}"


def _runs(runs: Sequence[Summary], times: _Times) -> Iterator[str]:
    """The last runs, newest first."""
    if runs:
        yield "Last runs (local time):"
    for run in runs:
        limits = "".join(f", {limit}" for limit in limits_of(run.scope))
        code = f"exit {run.exit_code}"
        end = "" if run.exit_code == ExitCode.COMPLETE else f"; it {meaning(run)}"
        yield (
            f"  {times.local(run.started)}  {times.ago(run.started):<14}  {code:<8}  "
            f"{_done(run)}{limits}{end} ({run.duration_s:,.0f} s)"
        )


def limits_of(scope: Scope) -> list[str]:
    """Describe what a run leaves out."""
    limits = []
    if scope.email:
        limits.append(f"only {' and '.join(scope.email)}")
    if scope.content_type:
        limits.append(f"only {' and '.join(scope.content_type)}")
    if scope.file_name is not None:
        limits.append(f"only names with {scope.file_name!r}")
    for word, time_ms in (("since", scope.since), ("before", scope.until)):
        if time_ms is not None:
            time = dt.datetime.fromtimestamp(time_ms / 1000).astimezone()
            limits.append(f"only uploads {word} {time:%Y-%m-%d %H:%M}")
    if scope.exclude:
        names = ", ".join(scope.exclude[:_SHOWN_IDS])
        more = (
            ""
            if len(scope.exclude) <= _SHOWN_IDS
            else f" and {len(scope.exclude) - _SHOWN_IDS} more"
        )
        limits.append(f"not {names}{more}")
    if scope.no_covers:
        limits.append("no covers")
    return limits


def _totals(state: Status) -> Iterator[str]:
    types: Mapping[str, Total] = state.types
    width = max(map(len, [*types, "total"]))
    for name, total in types.items():
        yield f"  {name:<{width}}  {_amount(total)}"
    if len(types) > 1:
        every = Total(
            sum(total.assets for total in types.values()),
            sum(total.bytes for total in types.values()),
        )
        yield f"  {'total':<{width}}  {_amount(every)}"
    if state.only_here:
        yield f"  {state.only_here:,} of them exist only here: Kling no longer lists them"
    if state.history.files or state.superseded:
        versions = counted(state.superseded, "earlier version")
        yield f"  history keeps {versions} in {_folder(state.history)}"
    if state.trash.files:
        yield f"  trash has {_folder(state.trash)}; `kling-mirror prune --empty-trash` deletes them"
    is_folder = "://" not in state.dest  # a bucket is never full
    free = "" if state.free is None or not is_folder else f", {size(state.free)} free"
    yield f"  {size(state.bytes + state.trash.bytes)} used{free} in {state.dest}"


def _failures(failures: Sequence[Failure], times: _Times, *, whole: bool) -> Iterator[str]:
    """The files to be fetched yet, by reason; reasons that differ only in large numbers are one."""
    if not failures:
        return
    yield f"Waiting to be fetched ({len(failures):,}); each run tries again:"
    alike: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for failure in failures:
        alike[failure.role, _LARGE_NUMBER.sub("#", failure.error)].append(failure)
    groups = sorted(alike.values(), key=len, reverse=True)
    for group in groups if whole else groups[:_SHOWN_REASONS]:
        first = group[0]
        yield f"  {len(group):,} x {first.role}: {first.error}"
        for failure in group if whole else group[:_SHOWN_IDS]:
            runs = counted(failure.attempts, "run")
            yield f"    {_asset(failure)}  failed in {runs}, first {times.ago(failure.first)}"
        if not whole and len(group) > _SHOWN_IDS:
            yield f"    and {len(group) - _SHOWN_IDS:,} more"
    if not whole and len(groups) > _SHOWN_REASONS:
        yield f"  and {len(groups) - _SHOWN_REASONS:,} more reasons"
    if not whole and (len(groups) > _SHOWN_REASONS or len(groups[0]) > _SHOWN_IDS):
        yield "  All of them: `kling-mirror list --state failed`"


def _asset(failure: Failure) -> str:
    """Which asset it is, by everything that is known of it."""
    known = failure.name, failure.content_type, failure.id, failure.account
    return "  ".join(filter(None, known))


def _done(run: Summary) -> str:
    words = ("new", "changed", "repaired", "failed", "gone")
    counts = ((getattr(run.assets, word), word) for word in words)
    return ", ".join(f"{count:,} {word}" for count, word in counts if count) or "no change"


def _amount(total: Total | AccountTotal) -> str:
    return (
        f"{total.assets:>7,} {'asset ' if total.assets == 1 else 'assets'}  {size(total.bytes):>8}"
    )


def _folder(total: FolderTotal) -> str:
    return f"{counted(total.files, 'file')} ({size(total.bytes)})"
