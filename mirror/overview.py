"""What `status` and `list` tell, read off the manifest and `runs.jsonl` without a lock."""

import datetime as dt
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from mirror.errors import ExitCode
from mirror.manifest import Manifest
from mirror.models import NOT_JSON, Entry, Failure, Summary
from mirror.store import Store
from mirror.text import size

_SHOWN_RUNS = 5
_TAIL_BYTES = 1 << 20


class TypeTotal(Struct):
    """How many assets of one contentType are here, and their bytes."""

    assets: int = 0
    bytes: int = 0


class Status(Struct):
    """`status --json`.

    Attributes:
        is_complete: whether the last run ended with exit 0 and nothing waits to be fetched.
        last_complete: ISO 8601 UTC, when the last complete run started, or None.
        current: assets that Kling lists, and that are here.
        only_here: assets that Kling lists no more.
        superseded: earlier versions that are kept.
        bytes: of all files of entries.
        free: bytes free on the disk.
        types: of current and gone entries, by contentType.
        failures: what could not be mirrored yet.
        runs: the last ones, newest first.
    """

    dest: str
    is_complete: bool
    last_complete: str | None
    current: int
    only_here: int
    superseded: int
    bytes: int
    free: int
    types: dict[str, TypeTotal]
    failures: list[Failure]
    runs: list[Summary]


def status(store: Store, manifest: Manifest) -> Status:
    """The state of the mirror."""
    runs = _runs(store.runs)
    complete = [run for run in runs if run.exit_code == ExitCode.COMPLETE]
    entries = manifest.entries.values()
    states = [entry.state for entry in entries]
    types: dict[str, TypeTotal] = {}
    for entry in entries:
        if entry.state != "superseded":
            total = types.setdefault(entry.content_type or "other", TypeTotal())
            total.assets += 1
            total.bytes += _bytes(entry)
    return Status(
        dest=str(store.dest),
        is_complete=bool(runs) and runs[-1] in complete and not manifest.failures,
        last_complete=complete[-1].started if complete else None,
        current=states.count("current"),
        only_here=states.count("gone"),
        superseded=states.count("superseded"),
        bytes=sum(map(_bytes, entries)),
        free=shutil.disk_usage(store.dest).free,
        types=dict(sorted(types.items())),
        failures=list(manifest.failures.values()),
        runs=runs[: -_SHOWN_RUNS - 1 : -1],
    )


def age_s(state: Status) -> float | None:
    """Seconds since the last complete run started, or None when there was none."""
    if state.last_complete is None:
        return None
    then = dt.datetime.fromisoformat(state.last_complete)
    return (dt.datetime.now(dt.UTC) - then).total_seconds()


def status_text(state: Status) -> str:
    """The state of the mirror, for people; the first line answers «am I safe?»."""
    lines = [_verdict(state), ""]
    for name, total in state.types.items():
        lines.append(f"  {name:<8}{total.assets:>9,} assets  {size(total.bytes):>8}")
    if state.only_here:
        lines.append(f"  {state.only_here:,} of them exist only here: Kling lists them no more")
    if state.superseded:
        lines.append(f"  {state.superseded:,} earlier versions are kept in history")
    lines.append(f"  {size(state.bytes)} used, {size(state.free)} free in {state.dest}")
    if state.failures:
        lines += ["", f"Waiting to be fetched ({len(state.failures):,}):"]
    for failure in state.failures:
        tries = f"{failure.attempts} {'run' if failure.attempts == 1 else 'runs'}"
        lines.append(f"  {failure.id}  {failure.role}: {failure.error} ({tries})")
    if state.runs:
        lines += ["", "Last runs:"]
    for run in state.runs:
        did = run.assets
        lines.append(
            f"  {run.started}  exit {run.exit_code:<3} {did.new:,} new, {did.changed:,} changed, "
            f"{did.repaired:,} repaired, {did.failed:,} failed  ({run.duration_s:.0f} s)"
        )
    return "\n".join(lines)


def entries_table(entries: Iterable[Entry]) -> str:
    """The entries as columns: state, type, time, bytes, id, path."""
    rows = [("STATE", "TYPE", "UPDATED (UTC)", "SIZE", "ID", "PATH")]
    rows += [
        (
            entry.state,
            entry.content_type or "other",
            _time(entry.update_time_ms),
            size(_bytes(entry)),
            entry.id,
            entry.resource.path if entry.resource else "-",
        )
        for entry in entries
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _verdict(state: Status) -> str:
    if state.is_complete:
        return f"Safe: everything that Kling listed at {state.last_complete} is here."
    if not state.runs:
        return "Nothing is mirrored yet: run `kling-mirror sync`."
    missing = f"{len(state.failures):,} of {state.current + len(state.failures):,} assets missing"
    known = missing if state.failures else "the last run did not come to its end"
    last = "none yet" if state.last_complete is None else f"the one at {state.last_complete}"
    return f"Not complete: {known}; last complete run: {last}."


def _bytes(entry: Entry) -> int:
    return sum(stored.size for stored in entry.files())


def _time(epoch_ms: int) -> str:
    try:
        return dt.datetime.fromtimestamp(epoch_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return "-"


def _runs(path: Path) -> list[Summary]:
    """The last runs, oldest first; a line that was cut off by a crash is passed over."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return []
    runs = []
    for line in lines:
        try:
            runs.append(msgspec.json.decode(line, type=Summary))
        except NOT_JSON:
            continue
    return runs
