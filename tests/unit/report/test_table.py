"""`list`: what is chosen, in what order, and how it is written."""

import csv
import io
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from wcwidth import wcswidth

from mirror.models import Entry, Failure, Scope, StoredFile
from mirror.report.table import ORDERS, Item, Query, as_table, as_tsv, in_columns, select
from mirror.storage.root import Root


def stored(path: str, size: int) -> StoredFile:
    """A file of the mirror."""
    return StoredFile(
        size=size, sha256="ab" * 32, etag=None, last_modified=None, content_type=None, url="",
        path=path, fetched="",
    )  # fmt: skip


def entry(  # noqa: PLR0917 - one column each
    number: str,
    name: str | None = "a.mp4",
    content_type: str | None = "video",
    size: int = 1000,
    duration: object = None,
    account: str | None = None,
) -> Entry:
    """An entry that is current."""
    asset = msgspec.json.encode({"resource": {"duration": duration}})
    resource = stored(f"video/{name}-{number}.mp4", size)
    cover = stored(f"video/{name}-{number}.cover.jpg", 1)
    return Entry(
        number, 1_750_000_000_000 + int(number), account, content_type, name, None, "current",
        None, resource, cover, Raw(asset),
    )  # fmt: skip


FAILURE = Failure(
    "9", 5, "me@x", "cover", "the server answered 404", 2, "", "", "lost.png", "image"
)
ENTRIES = (
    entry("50", "b.mp4", "video", 3000, 9000),
    entry("60", "D.mp4", "image", 1000, 8000.5),
    entry("7", "A.mp4", "audio", 4000, "no number", "me@x"),
    entry("100", "c.mp4", None, 2000),
)


def listed(tmp_path: Path, query: Query) -> list[str]:
    """The ids of what a query finds."""
    manifest = Root(tmp_path).manifest
    manifest.entries.update((one.key, one) for one in ENTRIES)
    manifest.failures = {FAILURE.key: FAILURE}
    return [item.id for item in select(manifest, query)]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("date", "7 50 60 100"),
        ("size", "60 100 50 7"),
        ("name", "7 50 100 60"),
        ("duration", "7 100 60 50"),
        ("id", "7 50 60 100"),
    ],
)
def test_the_order(tmp_path: Path, sort: str, order: str) -> None:
    """By date, size, name, duration or id as a number; the id decides between equals."""
    assert listed(tmp_path, Query(Scope(), sort=sort)) == order.split()
    back = listed(tmp_path, Query(Scope(), sort=sort, reverse=True))
    assert back[:2] == order.split()[:1:-1]


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        (Scope(content_type=("image",)), "9 60"),
        (Scope(file_name="LOST"), "9"),
        (Scope(since=1 << 60), ""),
        (Scope(email=("me@x",)), "7 9"),
        (Scope(email=("me@x",), content_type=("audio",)), "7"),
    ],
)
def test_the_filters(tmp_path: Path, scope: Scope, found: str) -> None:
    """Those of `sync`, by the same rules, for entries and failures alike."""
    query = Query(scope, states=("current", "failed"), sort="id")
    assert listed(tmp_path, query) == found.split()
    assert "9" not in listed(tmp_path, Query(scope))


NAMES = st.text(max_size=60).map(lambda name: name.encode(errors="ignore").decode())


@given(name=NAMES, account=NAMES)
def test_tab_separated_values_are_exact(name: str, account: str) -> None:
    """Whatever a name holds, an item is one line of as many fields; nothing is cut."""
    item = entry("12", name, "video", 5000, 61_500, account)
    text = as_tsv([item, _failed()])
    rows = list(csv.DictReader(io.StringIO(text, ""), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(rows) == 2 == text.count("\n") - 1
    row, failed = rows
    assert None not in row
    assert row["id"] == "12"
    assert row["size"] == "5001"
    assert row["duration_s"] == "61.5"
    assert row["updated"] == "2025-06-15T15:06:40Z"
    unescaped = row["name"].encode("raw_unicode_escape").decode("unicode_escape")
    assert unescaped == name or not name.isascii()
    assert (failed["state"], failed["type"], failed["name"]) == ("failed", "image", "lost.png")
    assert failed["error"] == "cover: the server answered 404"


def _failed() -> Item:
    from mirror.report.table import FailedAsset  # noqa: PLC0415

    return FailedAsset(**msgspec.structs.asdict(FAILURE))


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("sort", ORDERS)
def test_a_table_fits_the_terminal(columns: int, sort: str) -> None:
    """No line is wider than the terminal; the narrower it is, the fewer columns are left."""
    names = "日本語" * 20, "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{BOY}" * 9, "a" * 140
    numbers = "9100000000000000001", "9100000000000000002", "9100000000000000003"
    items = [*map(entry, numbers, names), _failed()]
    lines = as_table(items, columns=columns, sort=sort).splitlines()
    assert len(lines) == 5
    assert max(map(wcswidth, lines)) <= columns
    assert ("ID" in lines[0].split()) == (columns == 200)
    assert ("LENGTH" in lines[0].split()) == (sort == "duration")
    assert "PATH" in lines[0]
    if columns == 200:
        assert "lost.png: cover failed: the server answered 404" in lines[4]
    else:
        assert "…" in lines[3]
        assert lines[3].endswith("3.mp4")


def test_chosen_columns() -> None:
    """In the order that was asked for: tab-separated, or one below the other."""
    assert as_tsv(ENTRIES[:2], ["name", "id", "type"]).splitlines() == [
        "name\tid\ttype",
        "b.mp4\t50\tvideo",
        "D.mp4\t60\timage",
    ]
    assert in_columns(ENTRIES[:2], ["name", "id", "type"]).splitlines() == [
        "name   id  type",
        "b.mp4  50  video",
        "D.mp4  60  image",
    ]
