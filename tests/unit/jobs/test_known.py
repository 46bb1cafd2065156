"""Which asset a listed item is, and whose entries a listing speaks of."""

from collections.abc import Iterable

import pytest
from msgspec import Raw

from mirror.jobs.known import Known
from mirror.models import Asset, Entry, State, TwinEntry, key_of, twin_key_of


def an_entry(
    time: int = 5,
    content_type: str | None = "video",
    *,
    asset_id: str = "7",
    state: State = "current",
    account: str | None = None,
    owner: object = None,
    created: int | None = None,
    of: type[Entry] = Entry,
) -> Entry:
    """An entry without files."""
    asset = b"{}" if owner is None else b'{"userId": %s}' % str(owner).encode()
    return of(
        id=asset_id,
        update_time_ms=time,
        account=account,
        content_type=content_type,
        name="a.mp4",
        create_time_ms=created,
        state=state,
        gone_since=None,
        resource=None,
        cover=None,
        asset=Raw(asset),
    )


def an_item(
    time: int | None = 5,
    content_type: str | None = "video",
    *,
    asset_id: str = "7",
    created: int | None = None,
    owner: int | str | None = None,
    url: str | None = "https://cdn.example/a",
) -> Asset:
    """An item as it is decoded."""
    updated = time or created or 0
    return Asset(
        key=key_of(asset_id, updated),
        id=asset_id,
        update_time_ms=updated,
        create_time_ms=created,
        name="a.mp4",
        content_type=content_type,
        urls={"resource": url} if url else {},
        account=None,
        raw=Raw(b"{}"),
        owner=owner,
        is_dated=time is not None,
    )


def known(*entries: Entry) -> Known:
    """What a mirror with these entries knows."""
    return Known({entry.key: entry for entry in entries}, is_wanted=lambda _: True)


def identified(mirror: Known, items: Iterable[Asset]) -> list[str]:
    """The keys of the items of one walk."""
    seen: list[str] = []
    for item in items:
        asset = mirror.identify(item, seen)
        assert asset.key in (
            key_of(asset.id, asset.update_time_ms),
            twin_key_of(asset.id, asset.update_time_ms, asset.content_type),
        )
        seen.append(asset.key)
    return seen


@pytest.mark.parametrize(
    ("entries", "items", "keys"),
    [
        # An item is known by id and time.
        ([], [an_item(5)], ["7@5"]),
        ([an_entry(5)], [an_item(5)], ["7@5"]),
        ([an_entry(5)], [an_item(6)], ["7@6"]),
        # A type that is left out may be any.
        ([an_entry(5)], [an_item(5, None)], ["7@5"]),
        ([an_entry(5, None)], [an_item(5)], ["7@5"]),
        ([an_entry(5)], [an_item(6, None)], ["7@6"]),
        (
            [an_entry(5), an_entry(5, "image", of=TwinEntry)],
            [an_item(5, None), an_item(5, None)],
            ["7@5", "7@5@image"],
        ),
        (
            [an_entry(5, state="superseded"), an_entry(5, "image", of=TwinEntry)],
            [an_item(5, None)],
            ["7@5@image"],
        ),
        # Two that share id and time, first listed, then known, in either order.
        ([], [an_item(5), an_item(5, "image")], ["7@5", "7@5@image"]),
        ([an_entry(5)], [an_item(5, "image"), an_item(5)], ["7@5@image", "7@5"]),
        ([an_entry(5, None)], [an_item(5), an_item(5, "image")], ["7@5", "7@5@image"]),
        ([an_entry(5, "image", of=TwinEntry)], [an_item(5, "image")], ["7@5@image"]),
        (
            [an_entry(5, "image", of=TwinEntry)],
            [an_item(5, "image"), an_item(5)],
            ["7@5@image", "7@5"],
        ),
        # Without its time it is the version that we have, rather the current one.
        ([an_entry(5)], [an_item(None)], ["7@5"]),
        ([an_entry(5)], [an_item(None, created=3)], ["7@5"]),
        ([an_entry(5, state="gone")], [an_item(None)], ["7@5"]),
        ([an_entry(9, state="gone"), an_entry(5)], [an_item(None)], ["7@5"]),
        ([an_entry(9, state="superseded"), an_entry(5)], [an_item(None)], ["7@5"]),
        ([an_entry(3, state="superseded"), an_entry(5)], [an_item(None, created=3)], ["7@5"]),
        ([an_entry(0), an_entry(5)], [an_item(None)], ["7@5"]),
        ([an_entry(4), an_entry(5)], [an_item(None), an_item(None)], ["7@5", "7@4"]),
        ([an_entry(5, created=3)], [an_item(None, created=4)], ["7@4"]),
        ([an_entry(5), an_entry(6, "image")], [an_item(None, "image")], ["7@6"]),
        ([an_entry(5)], [an_item(None, asset_id="8")], ["8@0"]),
        ([an_entry(5)], [an_item(None, asset_id="8", created=3)], ["8@3"]),
        # Or the one that was listed with its time before.
        ([], [an_item(5), an_item(None)], ["7@5", "7@5"]),
        ([], [an_item(None), an_item(None, "image")], ["7@0", "7@0@image"]),
        # An id alone is no version of anything.
        ([an_entry(5)], [an_item(None, None, url=None)], ["7@0"]),
    ],
)
def test_which_asset_an_item_is(entries: list[Entry], items: list[Asset], keys: list[str]) -> None:
    """The items of one walk, in their order, over a mirror with these entries."""
    assert identified(known(*entries), items) == keys


def test_another_walk_sees_the_same_assets() -> None:
    """In whatever order they come, and with or without their times."""
    mirror = known()
    items = [an_item(5), an_item(5, "image"), an_item(6, asset_id="8")]
    keys = identified(mirror, items)
    assert identified(mirror, items[::-1]) == keys[::-1]
    undated = [an_item(None), an_item(None, "image"), an_item(None, asset_id="8")]
    assert identified(mirror, undated) == keys


@pytest.mark.parametrize(
    ("item", "others"),
    [
        (an_item(6), ["7@5"]),
        (an_item(5), []),
        (an_item(6, "image"), []),
        (an_item(6, None), ["7@5"]),
        (an_item(6, asset_id="8"), []),
        (an_item(6, asset_id="9"), ["9@5"]),
    ],
)
def test_other_versions_of_an_asset(item: Asset, others: list[str]) -> None:
    """Entries of its id and type, also those that are gone; not what was superseded."""
    mirror = known(
        an_entry(5),
        an_entry(4, state="superseded"),
        an_entry(5, asset_id="9", state="gone"),
    )
    assert mirror.other_versions(item) == others


def test_other_versions_that_were_listed_since() -> None:
    """An asset that changes from walk to walk has versions, too."""
    mirror = known()
    assert identified(mirror, [an_item(5)]) == ["7@5"]
    assert mirror.other_versions(an_item(5)) == []
    assert mirror.other_versions(an_item(6)) == ["7@5"]
    assert mirror.has_met_dated(an_item(None))
    assert not mirror.has_met_dated(an_item(None, "image"))


def test_what_is_recorded_meanwhile_was_not_known_before() -> None:
    """The run's own entries replace nothing, and no listing is expected to have them."""
    entries = {"7@5": an_entry(5)}
    mirror = Known(entries, is_wanted=lambda _: True)
    entries["8@5"] = an_entry(5, asset_id="8")
    assert mirror.scope(None, is_alone=True).expected(set()) == {"7@5"}
    assert mirror.other_versions(an_item(6, asset_id="8")) == []


def test_only_what_is_wanted_and_current_is_expected() -> None:
    """Filters let some entries through; what is gone already is not waited for."""
    entries = [
        an_entry(1),
        an_entry(2, "image"),
        an_entry(3, state="gone"),
        an_entry(4, state="superseded"),
    ]
    mirror = Known(
        {entry.key: entry for entry in entries},
        is_wanted=lambda entry: entry.content_type == "video",
    )
    assert mirror.scope(None, is_alone=True).expected(set()) == {"7@1"}


ME, YOU = "me@example.com", "you@example.com"


@pytest.mark.parametrize(
    ("accounts", "asked", "is_alone", "addresses"),
    [
        ([], None, True, {None}),
        ([], ME, True, {None, ME}),
        ([None], ME, True, {None, ME}),
        ([ME], None, True, {None, ME}),
        ([ME, None], None, True, {None, ME}),
        ([ME, None], ME, True, {None, ME}),
        ([ME, YOU], None, True, {None}),
        ([ME, YOU, None], ME, True, {ME}),
        ([YOU, None], ME, True, {ME}),
        ([None], ME, False, {ME}),
        ([ME], ME, False, {ME}),
    ],
)
def test_the_addresses_that_a_listing_speaks_of(
    *,
    accounts: list[str | None],
    asked: str | None,
    is_alone: bool,
    addresses: set[str | None],
) -> None:
    """Its own; in a mirror of one account also the one that it was known by, or none."""
    entries = [an_entry(time, account=account) for time, account in enumerate(accounts)]
    assert known(*entries).scope(asked, is_alone=is_alone).addresses == addresses


@pytest.mark.parametrize(
    ("owner", "listed", "seen", "expected"),
    [
        (None, None, set(), {"7@1", "7@2"}),
        (12, None, set(), {"7@1", "7@2"}),
        (None, 12, set(), {"7@1", "7@2"}),
        (12, 12, set(), {"7@1", "7@2"}),
        (12, "12", set(), {"7@1", "7@2"}),
        ('"12"', 12, set(), {"7@1", "7@2"}),
        (12, 13, set(), {"7@2"}),
        (12, 13, {"7@1"}, {"7@1", "7@2"}),
        (12, 0, set(), {"7@1", "7@2"}),
        (0, 12, set(), {"7@1", "7@2"}),
    ],
)
def test_an_entry_of_another_user_is_not_expected(
    owner: object, listed: int | str | None, seen: set[str], expected: set[str]
) -> None:
    """Unless it is listed; a user who is not known may be any."""
    mirror = known(an_entry(1, owner=owner), an_entry(2))
    scope = mirror.scope(None, is_alone=True)
    scope.note(an_item(9, owner=listed), None)
    assert scope.expected(seen) == expected


def test_an_address_whose_assets_are_listed_is_the_same_account() -> None:
    """Then all of its entries are expected, but those of another user."""
    mine, more = an_entry(1, account=ME, owner=12), an_entry(2, account=ME, owner=12)
    other = an_entry(3, account=ME, owner=13)
    scope = known(mine, more, other).scope(YOU, is_alone=True)
    assert scope.expected(set()) == set()
    scope.note(an_item(1, owner=12), mine)
    assert (scope.addresses, scope.same_account) == ({ME, YOU}, {ME})
    assert [scope.may_own(entry) for entry in (mine, more, other)] == [True, True, False]
    assert scope.may_own(an_entry(4, account=ME))
    assert scope.expected({mine.key}) == {mine.key, more.key}
