"""The page's data: the manifest's entries as rows, in a script beside the page.

`fetch` does not read files beside a page that was opened from `file://`; a script does. Rows are
arrays, named once by `fields`, one asset a line: compact, and a diff shows what changed.

Whatever the service sent is data here: JSON, escaped so that neither the HTML parser nor a script
parser can take any of it for something else.
"""

import json
import math
from collections.abc import Collection, Container

import msgspec
from msgspec import Struct

from mirror.models import Entry, Failure
from mirror.storage.media import shown_as, split_suffix

MARK = b"/* kling-mirror gallery: data */\n"
"""The file's first line; a file with another first line was not written by us."""

FORMAT = 2
"""The format of the rows; a page of another format says so instead of showing nonsense."""

_SHOWN_FIELDS = frozenset(
    ("id", "name", "contentType", "createTime", "updateTime", "resource", "cover", "favored")
)
_EMPTY = ("", "{}", "[]", "null")
_LONGEST_TEXT = 2000
_EXACT_IN_JS = 2**53
_ESCAPES = {
    char.encode(): f"\\u{ord(char):04x}".encode() for char in ("<", ">", "&", "\u2028", "\u2029")
}


_More = dict[tuple[tuple[str, str], ...], int]
"""The other fields that Kling sent, each set once, and its place."""


class Row(Struct, frozen=True, array_like=True, gc=False):
    """One entry, in the order of the script's `fields`.

    Attributes:
        updated: epoch milliseconds; text where JavaScript's numbers are not exact.
        created: epoch milliseconds, or None.
        state: of the entry; `missing` for an asset that was never fetched.
        gone: since when Kling no longer lists it, ISO 8601 UTC, or None.
        favored: 1 where the asset is a favourite.
        kind: how a browser can show the resource (`image`, `video`, `audio`), or "".
        duration: milliseconds, or 0.
        width: pixels, or 0.
        height: pixels, or 0.
        path: the resource's, relative to the mirror's root; "" where there is none.
        size: the resource's bytes.
        total: bytes of all of its files.
        sha: the resource's SHA-256, hex.
        fetched: when the resource was fetched, ISO 8601 UTC.
        cover: the cover's path; "" where there is none.
        coverSha: the cover's SHA-256, hex.
        thumb: the hash that names its picture's thumbnail; "" where there is none.
        error: why a file of it could not be fetched, or "".
        more: the place in `more` of the other fields that Kling sent.
    """

    id: str
    updated: int | str
    created: int | str | None
    name: str | None
    type: str | None
    account: str | None
    state: str
    gone: str | None
    favored: int
    kind: str
    duration: float
    width: float
    height: float
    path: str
    size: int
    total: int
    sha: str
    fetched: str
    cover: str
    coverSha: str  # noqa: N815 - the page's own spelling
    thumb: str
    error: str
    more: int


class _Head(Struct):
    format: int
    mirror: str
    base: str
    missing: int
    fields: tuple[str, ...]


def script(
    entries: list[Entry],
    *,
    mirror: str,
    base: str = "../",
    failures: Collection[Failure] = (),
    thumbs: Container[str] = (),
) -> bytes:
    """Write the data as a script that sets `klingMirror`; the same entries give the same bytes.

    Args:
        entries: what to show.
        mirror: the mirror's name.
        thumbs: the hashes of the pictures that have a thumbnail.
        failures: what could not be fetched: an asset without an entry has a row all the same.
        base: the URL of the mirror's root, as the page sees it; it ends with a slash.
    """
    more: _More = {}
    recorded = {entry.key for entry in entries}
    lost = [failure for failure in failures if failure.key not in recorded]
    errors = {failure.key: _text(failure.error) for failure in failures}
    shown: list[Entry | Failure] = [*entries, *lost]
    in_order = sorted(shown, key=lambda one: (one.id, one.update_time_ms, one.key))
    rows = [
        _lost_row(one, more)
        if isinstance(one, Failure)
        else _row(one, more, thumbs, errors.get(one.key, ""))
        for one in in_order
    ]
    encode = msgspec.json.encode
    head = encode(_Head(FORMAT, _text(mirror), base, len(failures), Row.__struct_fields__))
    data = b'%s,\n"more":%s,\n"rows":[\n%s\n]}' % (
        head[:-1],
        encode(list(more)),
        b",\n".join(map(encode, rows)),
    )
    for char, escaped in _ESCAPES.items():
        data = data.replace(char, escaped)
    return b"%sglobalThis.klingMirror = %s;\n" % (MARK, data)


def _row(entry: Entry, more: _More, thumbs: Container[str], error: str) -> Row:
    shown = entry.cover or entry.resource
    asset = _asset(entry)
    shape = asset.get("resource")
    shape = shape if isinstance(shape, dict) else {}
    resource, cover = entry.resource, entry.cover
    return Row(
        id=entry.id,
        updated=_exact(entry.update_time_ms),
        created=None if entry.create_time_ms is None else _exact(entry.create_time_ms),
        name=entry.name,
        type=entry.content_type,
        account=entry.account,
        state=entry.state,
        gone=entry.gone_since,
        favored=int(asset.get("favored") in (True, "true")),
        kind=(shown_as(split_suffix(resource.path)[1]) or "") if resource else "",
        duration=_number(shape.get("duration")),
        width=_number(shape.get("width")),
        height=_number(shape.get("height")),
        path=resource.path if resource else "",
        size=resource.size if resource else 0,
        total=sum(stored.size for stored in entry.files()),
        sha=resource.sha256 if resource else "",
        fetched=resource.fetched if resource else "",
        cover=cover.path if cover else "",
        coverSha=cover.sha256 if cover else "",
        thumb=shown.sha256 if shown and shown.sha256 in thumbs else "",
        error=error,
        more=more.setdefault(_other_fields(asset), len(more)),
    )


def _lost_row(failure: Failure, more: _More) -> Row:
    """The row of an asset that the mirror has no file of."""
    return Row(
        id=failure.id,
        updated=_exact(failure.update_time_ms),
        created=None,
        name=failure.name,
        type=failure.content_type,
        account=failure.account,
        state="missing",
        gone=None,
        favored=0,
        kind="",
        duration=0,
        width=0,
        height=0,
        path="",
        size=0,
        total=0,
        sha="",
        fetched="",
        cover="",
        coverSha="",
        thumb="",
        error=_text(failure.error),
        more=more.setdefault((), len(more)),
    )


def _asset(entry: Entry) -> dict[str, object]:
    """The API's own object; empty if it is none."""
    try:
        asset = json.loads(bytes(entry.asset))
    except (ValueError, RecursionError):
        return {}
    return asset if isinstance(asset, dict) else {}


def _other_fields(asset: dict[str, object]) -> tuple[tuple[str, str], ...]:
    """The fields for which the page has no place of its own, as text, without the empty ones."""
    fields = []
    for name, value in asset.items():
        try:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        except RecursionError:
            text = "…"
        if name not in _SHOWN_FIELDS and text not in _EMPTY:
            fields.append((_text(name), _text(text)))
    return tuple(fields)


def _text(text: str) -> str:
    """Cut a text to a bearable length, and replace lone surrogates, which no encoding has."""
    cut = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
    return cut.encode(errors="replace").decode()


def _number(value: object) -> float:
    """The value if it is a measure that can be shown, else 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return value if 0 < value < _EXACT_IN_JS and math.isfinite(value) else 0


def _exact(value: int) -> int | str:
    return value if abs(value) < _EXACT_IN_JS else str(value)
