"""Planning: the truth table of `decide`, and what may be called gone."""

from collections.abc import Set
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mirror.jobs import planning
from mirror.jobs.planning import decide, gone_limit, replaced, unambiguous
from mirror.models import Asset, Entry, Kind, Role, State, StoredFile, key_of

SOME = settings(max_examples=200, deadline=None, database=None)

RESOURCE = "video/a-1.mp4"
COVER = "video/a-1.cover.jpg"
Disk = Literal["both", "no resource", "no cover", "neither", "cover never had"]
BOTH: tuple[Role, ...] = ("resource", "cover")


def a_file(path: str) -> StoredFile:
    """A file on record."""
    return StoredFile(
        path=path,
        size=1,
        sha256="",
        etag=None,
        last_modified=None,
        content_type=None,
        url="https://cdn.example/x",
        fetched="",
    )


def an_entry(
    state: State = "current",
    *,
    update_time_ms: int = 1,
    account: str | None = None,
    cover: bool = True,
    content_type: str | None = "video",
) -> Entry:
    """An entry with a resource, and a cover if wanted."""
    return Entry(
        id="1",
        update_time_ms=update_time_ms,
        account=account,
        content_type=content_type,
        name="a.mp4",
        create_time_ms=None,
        state=state,
        gone_since=None,
        resource=a_file(RESOURCE),
        cover=a_file(COVER) if cover else None,
        asset=Raw(b"{}"),
    )


def an_asset(*roles: Role) -> Asset:
    """A listed asset with URLs for these."""
    return Asset(
        key="1@1",
        id="1",
        update_time_ms=1,
        create_time_ms=None,
        name="a.mp4",
        content_type="video",
        urls=dict.fromkeys(roles, "https://cdn.example/x"),
        account=None,
        raw=Raw(b"{}"),
    )


def on_disk(disk: Disk) -> Set[str]:
    """The recorded paths that are intact."""
    found = {
        "both": {RESOURCE, COVER},
        "no resource": {COVER},
        "no cover": {RESOURCE},
        "neither": set(),
        "cover never had": {RESOURCE},
    }
    return found[disk]


@pytest.mark.parametrize(
    ("state", "disk", "older", "kind", "fetch"),
    [
        # state      on disk         older   kind             fetch
        (None, "neither", False, Kind.NEW, BOTH),
        (None, "both", False, Kind.NEW, BOTH),
        (None, "neither", True, Kind.CHANGED, BOTH),
        (None, "both", True, Kind.CHANGED, BOTH),
        ("current", "both", False, Kind.UNCHANGED, ()),
        ("current", "both", True, Kind.UNCHANGED, ()),
        ("current", "no resource", False, Kind.REPAIRED, ("resource",)),
        ("current", "no resource", True, Kind.REPAIRED, ("resource",)),
        ("current", "no cover", False, Kind.REPAIRED, ("cover",)),
        ("current", "neither", False, Kind.REPAIRED, BOTH),
        ("current", "cover never had", False, Kind.REPAIRED, ("cover",)),
        ("gone", "both", False, Kind.UNCHANGED, ()),
        ("gone", "no resource", False, Kind.REPAIRED, ("resource",)),
        ("gone", "no cover", True, Kind.REPAIRED, ("cover",)),
        ("gone", "neither", False, Kind.REPAIRED, BOTH),
        ("gone", "cover never had", False, Kind.REPAIRED, ("cover",)),
        ("superseded", "both", False, Kind.REPAIRED, BOTH),
        ("superseded", "neither", False, Kind.REPAIRED, BOTH),
        ("superseded", "both", True, Kind.CHANGED, BOTH),
        ("superseded", "neither", True, Kind.CHANGED, BOTH),
    ],
)
def test_the_truth_table(
    *, state: State | None, disk: Disk, older: bool, kind: Kind, fetch: tuple[Role, ...]
) -> None:
    """Each row of planning's table, with a listed resource and cover, and covers wanted."""
    entry = None if state is None else an_entry(state, cover=disk != "cover never had")
    older_entries = (an_entry(update_time_ms=0),) if older else ()
    action = decide(
        an_asset("resource", "cover"),
        entry=entry,
        older=older_entries,
        is_intact=lambda stored: stored.path in on_disk(disk),
        covers=True,
    )
    assert (action.kind, action.fetch) == (kind, fetch)
    assert action.supersedes == older_entries
    assert action.entry is entry


@pytest.mark.parametrize("state", [None, "current", "gone", "superseded"])
@pytest.mark.parametrize("disk", ["both", "no resource", "no cover", "neither", "cover never had"])
@pytest.mark.parametrize(("listed", "covers"), [(True, False), (False, True), (False, False)])
def test_no_cover_is_asked_for_that_is_not_wanted(
    *, state: State | None, disk: Disk, listed: bool, covers: bool
) -> None:
    """With covers off, or none listed, only the resource decides."""
    urls: tuple[Role, ...] = BOTH if listed else ("resource",)
    action = decide(
        an_asset(*urls),
        entry=None if state is None else an_entry(state, cover=disk != "cover never had"),
        older=(),
        is_intact=lambda stored: stored.path in on_disk(disk),
        covers=covers,
    )
    has = state in ("current", "gone") and disk in ("both", "no cover", "cover never had")
    assert action.fetch == (() if has else ("resource",))


def test_covers_left_out_are_fetched_by_the_next_run() -> None:
    """An entry made without covers wants its cover as soon as covers are on."""
    action = decide(
        an_asset(*BOTH),
        entry=an_entry(cover=False),
        older=(),
        is_intact=lambda _: True,
        covers=True,
    )
    assert (action.kind, action.fetch) == (Kind.REPAIRED, ("cover",))


@pytest.mark.parametrize("covers", [True, False])
def test_an_asset_without_any_url_still_wants_its_resource(*, covers: bool) -> None:
    """An asset without a file is not called mirrored: what is missing fails, and is reported."""
    action = decide(an_asset(), entry=None, older=(), is_intact=lambda _: True, covers=covers)
    assert (action.kind, action.fetch) == (Kind.NEW, ("resource",))


@SOME
@given(
    state=st.sampled_from((None, "current", "gone", "superseded")),
    has_cover=st.booleans(),
    intact=st.sets(st.sampled_from((RESOURCE, COVER))),
    listed=st.sampled_from((("resource",), BOTH)),
    older=st.booleans(),
    covers=st.booleans(),
)
def test_unchanged_means_that_nothing_is_wanted(
    *,
    state: State | None,
    has_cover: bool,
    intact: Set[str],
    listed: tuple[Role, ...],
    older: bool,
    covers: bool,
) -> None:
    """An unchanged asset has every wanted file in place; any other fetches at least one."""
    entry = None if state is None else an_entry(state, cover=has_cover)
    action = decide(
        an_asset(*listed),
        entry=entry,
        older=(an_entry(update_time_ms=0),) if older else (),
        is_intact=lambda stored: stored.path in intact,
        covers=covers,
    )
    assert (action.kind is Kind.UNCHANGED) == (not action.fetch)
    assert (action.kind is Kind.CHANGED) == (older and state in (None, "superseded"))
    assert set(action.fetch) <= set(listed)
    if action.kind is Kind.UNCHANGED:
        assert RESOURCE in intact
        assert COVER in intact or not covers or "cover" not in listed


def a_version(update_time_ms: int) -> Asset:
    """A listed video under this time."""
    asset, key = an_asset("resource"), key_of("1", update_time_ms)
    return msgspec.structs.replace(asset, key=key, update_time_ms=update_time_ms)


@pytest.mark.parametrize(
    ("new", "missing", "pairs"),
    [
        # new       missing     each new version with what it replaces
        ([5], [], {5: []}),
        ([5], [1], {5: [1]}),
        ([1], [5], {1: [5]}),
        ([5], [2, 1], {5: [1, 2]}),
        ([5, 6], [1], {5: [1], 6: []}),
        ([6, 5], [2, 1], {5: [1], 6: [2]}),
        ([5, 6], [1, 2, 3], {5: [1], 6: [2, 3]}),
    ],
)
def test_what_replaces_what(
    new: list[int], missing: list[int], pairs: dict[int, list[int]]
) -> None:
    """Each row of the table of `replaced`, by the times of the versions."""
    entries = [an_entry(update_time_ms=time) for time in missing]
    assert pairs == {
        version.update_time_ms: [entry.update_time_ms for entry in older]
        for version, older in replaced(map(a_version, new), entries)
    }


@pytest.mark.parametrize(
    ("types", "is_replaced"),
    [
        (("video", "video"), True),
        (("image", "video"), False),
        ((None, "video"), True),
        (("video", None), True),
    ],
)
def test_another_type_is_no_older_version(
    *, types: tuple[str | None, str | None], is_replaced: bool
) -> None:
    """An id may be listed as a video and as an image; a type that is missing may be either."""
    recorded, listed = types
    entry = an_entry(content_type=recorded, update_time_ms=0)
    version = msgspec.structs.replace(a_version(1), content_type=listed)
    assert [*replaced([version], [entry])] == [(version, [entry] if is_replaced else [])]


@pytest.mark.parametrize(
    ("listed", "believed"),
    [
        ([], []),
        ([(1, "video")], [1]),
        ([(1, "video"), (2, "video")], []),
        ([(1, "video"), (2, "image")], [1, 2]),
        ([(1, "video"), (2, None)], []),
        ([(1, "video"), (2, "image"), (3, "image")], [1]),
    ],
)
def test_what_an_unproven_listing_is_believed(
    listed: list[tuple[int, str | None]], believed: list[int]
) -> None:
    """A version is mirrored if it is the only one of its asset that was listed."""
    versions = [
        msgspec.structs.replace(a_version(time), content_type=content_type)
        for time, content_type in listed
    ]
    assert [version.update_time_ms for version in unambiguous(versions)] == believed


@pytest.mark.parametrize(
    ("max_gone", "current", "limit"),
    [
        (None, 0, 5),
        (None, 30, 5),
        (None, 50, 5),
        (None, 59, 5),
        (None, 60, 6),
        (None, 1000, 100),
        ("0", 1000, 0),
        ("20", 1000, 20),
        ("20", 3, 20),
        ("0%", 1000, 0),
        ("10%", 1000, 100),
        ("10%", 9, 0),
        ("29%", 100, 29),
        ("58%", 100, 58),
        ("100%", 7, 7),
        ("1%", 250_000, 2500),
    ],
)
def test_how_many_may_vanish(max_gone: str | None, current: int, limit: int) -> None:
    """A number, a share, or the larger of 5 and 10 %; no share is rounded up."""
    assert gone_limit(max_gone, current) == limit


@pytest.mark.parametrize(
    ("vanished", "of", "max_gone", "is_too_much"),
    [
        (0, 0, None, False),
        (0, 5, "0", False),
        (1, 1, None, True),
        (5, 5, None, True),
        (5, 6, None, False),
        (6, 12, None, True),
        (12, 12, "100%", True),
        (11, 12, "100%", False),
        (3, 12, "2", True),
    ],
)
def test_what_cannot_be_believed_to_be_gone(
    *, vanished: int, of: int, max_gone: str | None, is_too_much: bool
) -> None:
    """More than the limit, and all of an account whatever the limit."""
    assert planning.is_too_much(vanished, of=of, max_gone=max_gone) == is_too_much
