"""What `list` shows: the entries that are asked for, in order, as a table, TSV or JSON."""

import datetime as dt
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Literal, get_args

import msgspec
from msgspec import Raw, Struct

from mirror.jobs import planning
from mirror.jobs.status import bytes_of
from mirror.models import NOT_JSON, Entry, Failure, Scope
from mirror.storage.manifest import Manifest
from mirror.text import printable, size

Shown = Literal["current", "superseded", "gone", "failed"]
"""An entry's state; or `failed`, what could not be mirrored yet, which is no entry."""

SHOWN: Final[tuple[Shown, ...]] = get_args(Shown)
ENTRY_STATES: Final = SHOWN[:3]
_NARROWEST_PATH = 24
_NO_DURATION_MS = 1e12  # 31 years
_TSV = (
    "state", "type", "account", "updated", "size", "duration_s", "id", "updateTime", "name",
    "path", "cover", "sha256", "error",
)  # fmt: skip


class FailedAsset(Failure, frozen=True, tag="failed", tag_field="state"):
    """What could not be mirrored yet, as `list --state failed` has it.

    Attributes:
        id: Kling's, as text.
        update_time_ms: epoch milliseconds.
        account: the email whose listing it came from, or null.
        role: which file failed: `resource` or `cover`.
        error: why.
        attempts: in how many runs.
        first: when it failed first, ISO 8601 UTC.
        last: when it failed last, ISO 8601 UTC.
        name: the file name that Kling generated, or null.
        content_type: `video`, `image`, `audio`, anything else, or null.
    """


Listed = Entry | FailedAsset


class Asked(Struct, frozen=True):
    """What `list` is asked for.

    Attributes:
        scope: the filters of `sync`, by the same rules; failures are filtered by account alone,
            for neither type nor name is on record for them.
        states: which are wanted.
        sort: one of `ORDERS`.
        reverse: whether the last comes first.
    """

    scope: Scope
    states: Collection[Shown] = ENTRY_STATES
    sort: str = "date"
    reverse: bool = False


class _Shape(Struct):
    duration: Raw = Raw(b"null")


class _Told(Struct):
    resource: Raw = Raw(b"null")


def duration_ms(item: Listed) -> float:
    """How long a video or sound is, as Kling tells it; 0 where it does not."""
    if isinstance(item, FailedAsset):
        return 0
    try:
        told = msgspec.json.decode(item.asset, type=_Told)
        shape = msgspec.json.decode(told.resource, type=_Shape)
        told_ms = msgspec.json.decode(shape.duration, type=float)
    except NOT_JSON:
        return 0
    return told_ms if 0 < told_ms < _NO_DURATION_MS else 0


def _bytes(item: Listed) -> int:
    return bytes_of(item) if isinstance(item, Entry) else 0


def _name(item: Listed) -> str:
    return (item.name or "") if isinstance(item, Entry) else ""


ORDERS: dict[str, Callable[[Listed], float | str | tuple[int, str]]] = {
    "date": lambda item: item.update_time_ms,
    "size": _bytes,
    "name": lambda item: _name(item).casefold(),
    "duration": duration_ms,
    "id": lambda item: (len(item.id), item.id),
}
"""What `--sort` takes, each with what it compares; the id decides between equals."""


def listed(manifest: Manifest, asked: Asked) -> list[Listed]:
    """The entries, and failures if they are asked for, that pass the filters, in order."""
    scope = asked.scope
    found: list[Listed] = [
        entry
        for entry in manifest.entries.values()
        if entry.state in asked.states
        and planning.is_wanted(entry, content_types=scope.content_type, file_name=scope.file_name)
    ]
    if "failed" in asked.states:
        found += (
            FailedAsset(**msgspec.structs.asdict(failure)) for failure in manifest.failures.values()
        )
    if scope.email:
        found = [item for item in found if item.account in scope.email]
    compared = ORDERS[asked.sort]
    found.sort(key=lambda item: (len(item.id), item.id, item.update_time_ms))
    found.sort(key=compared, reverse=asked.reverse)
    return found


def as_tsv(items: Iterable[Listed]) -> str:
    """The items as lines of fields between tabs, under a header; nothing is cut or rounded.

    A backslash, a tab, a line break or another control character in a field is escaped as in C.
    """
    lines = [_TSV, *(_fields(item) for item in items)]
    return "".join("\t".join(map(_escaped, line)) + "\n" for line in lines)


def as_table(items: Sequence[Listed], *, columns: int, sort: str) -> str:
    """The items as a table that is no wider than the terminal.

    Where it is narrow, first the id goes (it is in the path), then the time of day, then the type
    (the path begins with it); a path that is still too long is cut in its middle.

    Args:
        items: what to show.
        columns: the terminal's width.
        sort: a table by duration shows it.
    """
    from wcwidth import ljust, wcswidth  # noqa: PLC0415 - its tables take time to load

    names = ["STATE", "TYPE", "UPDATED", "SIZE", "LENGTH", "ID"]
    if sort != "duration":
        names.remove("LENGTH")
    cells = {name: [name, *(_cell(name, item) for item in items)] for name in names}
    room = columns
    for dropped in ("", "ID", "time of day", "TYPE", "UPDATED"):
        if dropped == "time of day":
            cells["UPDATED"] = [cell.partition(" ")[0] for cell in cells["UPDATED"]]
        cells.pop(dropped, None)
        widths = {name: max(map(wcswidth, column)) for name, column in cells.items()}
        room = columns - sum(widths.values()) - 2 * len(widths)
        if room >= _NARROWEST_PATH:
            break
    paths = ["PATH", *(_fitting(printable(_path(item)), max(room, 1)) for item in items)]
    rows = zip(
        *([ljust(cell, widths[name]) for cell in column] for name, column in cells.items()),
        paths,
        strict=True,
    )
    return "".join("  ".join(row).rstrip() + "\n" for row in rows)


def _fitting(text: str, width: int) -> str:
    """The text, or as much of its ends as fits around `…`."""
    from wcwidth import iter_graphemes, wcswidth  # noqa: PLC0415

    if wcswidth(text) <= width:
        return text
    parts = [(part, max(wcswidth(part), 0)) for part in iter_graphemes(text)]
    head: list[str] = []
    tail: list[str] = []
    left = width - 1
    while parts:
        taken, place = (parts.pop(0), head) if len(head) < len(tail) else (parts.pop(), tail)
        left -= taken[1]
        if left < 0:
            break
        place.append(taken[0])
    return f"{''.join(head)}…{''.join(reversed(tail))}"


def _cell(name: str, item: Listed) -> str:
    match name:
        case "STATE":
            return item.state if isinstance(item, Entry) else "failed"
        case "TYPE":
            return printable(_type(item))[:12]
        case "UPDATED":
            return _time(item.update_time_ms, None, "%Y-%m-%d %H:%M")
        case "SIZE":
            return size(_bytes(item)).rjust(7) if isinstance(item, Entry) else "-"
        case "LENGTH":
            return _length(duration_ms(item))
        case _:
            return printable(item.id)


def _fields(item: Listed) -> tuple[str, ...]:
    entry = item if isinstance(item, Entry) else None
    resource = entry.resource if entry else None
    cover = entry.cover if entry else None
    return (
        entry.state if entry else "failed",
        _type(item) if entry else "",
        item.account or "",
        _time(item.update_time_ms, dt.UTC, "%Y-%m-%dT%H:%M:%SZ"),
        str(_bytes(item)) if entry else "",
        f"{duration_ms(item) / 1000:g}" if entry else "",
        item.id,
        str(item.update_time_ms),
        _name(item),
        resource.path if resource else "",
        cover.path if cover else "",
        resource.sha256 if resource else "",
        "" if isinstance(item, Entry) else f"{item.role}: {item.error}",
    )


def _escaped(text: str) -> str:
    if text.isprintable() and "\\" not in text:
        return text
    named = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return "".join(
        named.get(char) or (f"\\u{ord(char):04x}" if _is_control(char) else char) for char in text
    )


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")


def _type(item: Listed) -> str:
    return (item.content_type or "other") if isinstance(item, Entry) else "-"


def _path(item: Listed) -> str:
    if isinstance(item, Entry):
        return item.resource.path if item.resource else "-"
    return f"{item.role}: {item.error}"


def _length(milliseconds: float) -> str:
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    told = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return told.rjust(6) if milliseconds else "-"


def _time(epoch_ms: int, zone: dt.tzinfo | None, form: str) -> str:
    try:
        return dt.datetime.fromtimestamp(epoch_ms / 1000, dt.UTC).astimezone(zone).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "-"
