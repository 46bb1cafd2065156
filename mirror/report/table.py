"""`list`: the chosen entries in order, as a table or as tab-separated values."""

import datetime as dt
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, Literal, get_args

import msgspec
from msgspec import Raw, Struct

from mirror.jobs import planning
from mirror.jobs.status import bytes_of
from mirror.models import NOT_JSON, Entry, Failure, Scope
from mirror.storage.manifest import Manifest
from mirror.text import printable, size

ItemState = Literal["current", "superseded", "gone", "failed"]
"""An entry's state; or `failed` for a file that could not be mirrored yet, which has no entry."""

STATES: Final[tuple[ItemState, ...]] = get_args(ItemState)
ENTRY_STATES: Final = STATES[:3]
_NARROWEST_PATH = 24
_NO_DURATION_MS = 1e12  # 31 years
FIELDS = (
    "state", "type", "account", "updated", "size", "duration_s", "id", "updateTime", "name",
    "path", "cover", "sha256", "error",
)  # fmt: skip


class FailedAsset(Failure, frozen=True, tag="failed", tag_field="state"):
    """A file that could not be mirrored yet, as `list --state failed` prints it.

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


Item = Entry | FailedAsset


class Query(Struct, frozen=True):
    """Which items to list, in what order.

    Attributes:
        scope: the filters of `sync`, by the same rules.
        states: the states that are listed.
        sort: one of `ORDERS`.
        reverse: whether the last comes first.
    """

    scope: Scope
    states: Collection[ItemState] = ENTRY_STATES
    sort: str = "date"
    reverse: bool = False


class _Shape(Struct):
    duration: Raw = Raw(b"null")


class _Asset(Struct):
    resource: Raw = Raw(b"null")


def duration_ms(item: Item) -> float:
    """The length of a video or sound as the API gives it; 0 if it gives none."""
    if isinstance(item, FailedAsset):
        return 0
    try:
        asset = msgspec.json.decode(item.asset, type=_Asset)
        shape = msgspec.json.decode(asset.resource, type=_Shape)
        length_ms = msgspec.json.decode(shape.duration, type=float)
    except NOT_JSON:
        return 0
    return length_ms if 0 < length_ms < _NO_DURATION_MS else 0


def _bytes(item: Item) -> int:
    return bytes_of(item) if isinstance(item, Entry) else 0


ORDERS: dict[str, Callable[[Item], float | str | tuple[int, str]]] = {
    "date": lambda item: item.update_time_ms,
    "size": _bytes,
    "name": lambda item: (item.name or "").casefold(),
    "duration": duration_ms,
    "id": lambda item: (len(item.id), item.id),
}
"""The values of `--sort`, each with what it compares; the id decides between equals."""


def select(manifest: Manifest, query: Query) -> list[Item]:
    """Choose the entries and failures that the query asks for, in its order."""
    scope = query.scope
    items: list[Item] = [
        entry for entry in manifest.entries.values() if entry.state in query.states
    ]
    if "failed" in query.states:
        items += (
            FailedAsset(**msgspec.structs.asdict(failure)) for failure in manifest.failures.values()
        )
    items = [
        item
        for item in items
        if planning.is_wanted(item, scope) and (not scope.email or item.account in scope.email)
    ]
    items.sort(key=lambda item: (len(item.id), item.id, item.update_time_ms))
    items.sort(key=ORDERS[query.sort], reverse=query.reverse)
    return items


def as_tsv(items: Iterable[Item], fields: Sequence[str] = FIELDS) -> str:
    """Write the items as lines of tab-separated fields under a header; nothing is cut or rounded.

    A backslash, a tab, a line break or another control character in a field is escaped as in C.

    Args:
        items: in their order.
        fields: which of `FIELDS`, in this order.
    """
    return "".join("\t".join(line) + "\n" for line in _lines(items, fields))


def in_columns(items: Iterable[Item], fields: Sequence[str]) -> str:
    """Write some fields of the items one below the other; nothing is cut or rounded."""
    from wcwidth import ljust, wcswidth  # noqa: PLC0415 - its tables take time to load

    lines = list(_lines(items, fields))
    widths = [max(map(wcswidth, column)) for column in zip(*lines, strict=True)]
    rows = (map(ljust, line, widths) for line in lines)
    return "".join("  ".join(row).rstrip() + "\n" for row in rows)


def _lines(items: Iterable[Item], fields: Sequence[str]) -> Iterator[list[str]]:
    yield list(fields)
    places = [FIELDS.index(name) for name in fields]
    for item in items:
        values = _fields(item)
        yield [_escaped(values[place]) for place in places]


def as_table(items: Sequence[Item], *, columns: int, sort: str) -> str:
    """Write the items as a table that is no wider than the terminal.

    On a narrow terminal the id is left out first (it is in the path), then the time of day, then
    the type (the path begins with it). A path that is still too long is cut in its middle.

    Args:
        items: in their order.
        columns: the terminal's width.
        sort: one of `ORDERS`; a table by duration shows it.
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
    """Cut a text to a width; both ends stay, around `…`."""
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


def _cell(name: str, item: Item) -> str:
    match name:
        case "STATE":
            return item.state if isinstance(item, Entry) else "failed"
        case "TYPE":
            return printable(_type(item) or "-")[:12]
        case "UPDATED":
            return _time(item.update_time_ms, None, "%Y-%m-%d %H:%M")
        case "SIZE":
            return size(_bytes(item)).rjust(7) if isinstance(item, Entry) else "-"
        case "LENGTH":
            return _length(duration_ms(item))
        case _:
            return printable(item.id)


def _fields(item: Item) -> tuple[str, ...]:
    entry = item if isinstance(item, Entry) else None
    resource = entry.resource if entry else None
    cover = entry.cover if entry else None
    return (
        entry.state if entry else "failed",
        _type(item),
        item.account or "",
        _time(item.update_time_ms, dt.UTC, "%Y-%m-%dT%H:%M:%SZ"),
        str(_bytes(item)) if entry else "",
        f"{duration_ms(item) / 1000:g}" if entry else "",
        item.id,
        str(item.update_time_ms),
        item.name or "",
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


def _type(item: Item) -> str:
    return item.content_type or ("other" if isinstance(item, Entry) else "")


def _path(item: Item) -> str:
    if isinstance(item, Entry):
        return item.resource.path if item.resource else "-"
    name = f"{item.name}: " if item.name else ""
    return f"{name}{item.role} failed: {item.error}"


def _length(milliseconds: float) -> str:
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return text.rjust(6) if milliseconds else "-"


def _time(epoch_ms: int, zone: dt.tzinfo | None, form: str) -> str:
    try:
        return dt.datetime.fromtimestamp(epoch_ms / 1000, dt.UTC).astimezone(zone).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "-"
