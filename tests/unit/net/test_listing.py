"""The walks: where they end, what they see, and when they prove the listing."""

from collections.abc import Callable, Container, Sequence, Set

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, structs

from mirror.errors import AccessError, ApiError
from mirror.models import Asset, UnreadableItem, key_of
from mirror.net.decode import Page
from mirror.net.listing import MAX_WALKS, Listing, Shape, Walk

SOME = settings(max_examples=200, deadline=None, database=None)
NOTHING = Page([], [])

Pages = Callable[[int, Shape], Page]


def an_asset(name: str) -> Asset:
    """A listed asset with a name of its own."""
    return Asset(
        key=key_of(name, 1),
        id=name,
        update_time_ms=1,
        create_time_ms=1,
        name=f"{name}.mp4",
        content_type="video",
        urls={"resource": f"https://cdn.example/{name}?sign=1"},
        account=None,
        raw=Raw(b"{}"),
    )


def an_unreadable(name: str | None, sign: int = 1) -> UnreadableItem:
    """An item without a kind that we know; its URL is signed."""
    raw = b'{"url": "https://cdn.example/x?sign=%d"}' % sign
    return UnreadableItem(1, 1, name, "no resource", raw)


def as_page(names: str) -> Page:
    """A page that lists these."""
    return Page([an_asset(name) for name in names], [])


def as_listed(asset: Asset, seen: Container[str]) -> Asset:  # noqa: ARG001 - `Identify`
    """Every asset under the key that it came with."""
    return asset


def a_walk(*pages: str | Page) -> Walk:
    """A walk that saw these pages."""
    walk = Walk()
    for page in pages:
        walk.add(as_page(page) if isinstance(page, str) else page, as_listed)
    return walk


def keys(names: str) -> set[str]:
    """The keys of assets of these names."""
    return {key_of(name, 1) for name in names}


def a_library(names: str) -> Pages:
    """A service that lists these, oldest first, as well as can be."""

    def page(number: int, shape: Shape) -> Page:
        ordered = names if shape.order == "asc" else names[::-1]
        start = (number - 1) * shape.page_size
        return as_page(ordered[start : start + shape.page_size])

    return page


class Asked:
    """A service that remembers what it was asked for."""

    def __init__(self, pages: Pages) -> None:
        self.asked: list[tuple[int, Shape]] = []
        self._pages = pages

    def __call__(self, number: int, shape: Shape) -> Page:
        """Answer a request."""
        self.asked.append((number, shape))
        return self._pages(number, shape)

    @property
    def shapes(self) -> list[Shape]:
        """The shapes that were asked for, in their order, each once."""
        return list(dict.fromkeys(shape for _, shape in self.asked))


def a_listing(pages: Pages, *, expected: str = "", page_size: int = 3) -> Listing:
    """A listing of these pages, over a mirror that has what is expected."""
    return Listing(
        pages,
        account=None,
        page_size=page_size,
        identify=as_listed,
        expected=lambda _: keys(expected),
    )


def walked(listing: Listing) -> list[str]:
    """Walk once; what was new, page by page."""
    return ["".join(asset.id for asset in assets) for assets in listing.walk()]


# Proof.


@pytest.mark.parametrize(
    ("pages", "expected", "proves"),
    [
        # One walk: right only when it saw all that we knew, and nothing else.
        (["abc"], "abc", True),
        (["abc", "de", ""], "abcde", True),
        (["abcd"], "abc", False),
        (["ab"], "abc", False),
        ([""], "abc", False),
        (["abc"], "", False),
        # An empty walk always needs a second.
        ([""], "", False),
        # A hole: a page brought nothing, and one behind it did.
        (["abc", "", "de"], "abcde", False),
        (["abc", "abc", "de"], "abcde", False),
        # Pages that overlap. One that comes again as a whole does not.
        (["abc", "bd", ""], "abcd", False),
        (["abc", "cb", ""], "abc", False),
        (["abc", "de", "de", "de"], "abcde", True),
        (["abc", "de", "abc"], "abcde", True),
        # The library has one twice, on one page.
        (["abca", ""], "abc", True),
    ],
)
def test_what_one_walk_proves(*, pages: list[str], expected: str, proves: bool) -> None:
    """A walk that saw exactly what was known, without holes and overlaps, is right."""
    assert a_walk(*pages).proves(expected=keys(expected)) == proves


@pytest.mark.parametrize(
    ("before", "now", "proves"),
    [
        (["abc", "d"], ["dc", "ba"], True),
        ([""], [""], True),
        (["abc"], ["ab"], False),
        (["ab"], ["abc"], False),
        (["abc", "", "d"], ["dcba"], False),
        (["abcd"], ["dc", "", "ba"], False),
        # An asset that is listed twice: on one page, on two, or as a page of its own.
        (["abca"], ["acba"], True),
        (["abc", "ad"], ["dab", "ca"], True),
        (["abc", "ad"], ["dacab"], True),
        (["ab", "ad"], ["d", "a", "b", "a"], True),
        # Pages that overlap, and do so elsewhere or not at all in the other walk.
        (["abc", "bd"], ["dcba"], False),
        (["abc", "bd"], ["dcb", "ca"], False),
        # The very same pages overlap: they are one witness.
        (["abc", "bd"], ["abc", "bd"], False),
    ],
)
def test_what_two_walks_prove(*, before: list[str], now: list[str], proves: bool) -> None:
    """Two walks in a row that saw the same, without holes, are right."""
    assert a_walk(*now).proves(expected=keys("xyz"), before=a_walk(*before)) == proves


def test_the_second_walk_asks_otherwise() -> None:
    """In the other order, and in smaller pages than came; then again as in the first."""
    service = Asked(a_library("abcdefg"))
    listing = a_listing(service)
    for _ in range(3):
        assert "".join(walked(listing)).strip() in {"abcdefg", "gfedcba"}
    assert service.shapes == [Shape(3, "asc"), Shape(2, "desc")]
    assert [shape for number, shape in service.asked if number == 1] == [
        Shape(3, "asc"),
        Shape(2, "desc"),
        Shape(3, "asc"),
    ]
    assert listing.is_proven


@pytest.mark.parametrize(("clamp", "size"), [(50, 45), (7, 6), (2, 1), (1, 90)])
def test_the_second_walk_asks_for_less_than_a_clamped_page(clamp: int, size: int) -> None:
    """A size that the service does not give is no other size."""
    library = "".join(map(chr, range(0x4E00, 0x4E00 + 60)))
    pages = a_library(library)
    service = Asked(
        lambda number, shape: pages(number, shape._replace(page_size=min(shape.page_size, clamp)))
    )
    listing = a_listing(service, page_size=100)
    for _ in range(2):
        walked(listing)
    assert service.shapes == [Shape(100, "asc"), Shape(size, "desc")]
    assert listing.is_proven


@pytest.mark.parametrize(
    ("accepts", "shapes"),
    [
        (lambda _: True, [Shape(100, "asc"), Shape(18, "desc")]),
        (lambda shape: shape.page_size == 20, [Shape(20, "asc"), Shape(20, "desc")]),
        (lambda shape: shape.order is None, [Shape(100), Shape(18)]),
        (lambda shape: shape == Shape(20), [Shape(20), Shape(20)]),
        (lambda shape: shape.order != "desc", [Shape(100, "asc"), Shape(18)]),
    ],
)
def test_refused_shapes_are_done_without(
    accepts: Callable[[Shape], bool], shapes: list[Shape]
) -> None:
    """Each walk takes the best shape that is not refused."""
    pages = a_library("abcdefghijklmnopqrst")
    taken: list[Shape] = []

    def page(number: int, shape: Shape) -> Page:
        if not accepts(shape):
            raise ApiError("Invalid parameters", status=400)
        if number == 1:
            taken.append(shape)
        return pages(number, shape)

    listing = a_listing(page, page_size=100)
    for _ in range(2):
        walked(listing)
    assert taken == shapes
    assert listing.is_proven


def test_a_shape_that_is_refused_in_every_form_is_an_error() -> None:
    """The last refusal is raised."""

    def page(number: int, shape: Shape) -> Page:
        raise ApiError(f"no page {number} of {shape.page_size}", status=400)

    with pytest.raises(ApiError, match="no page 1 of 20"):
        walked(a_listing(page, page_size=100))


def test_a_listing_is_walked_until_it_is_proven() -> None:
    """Twice at first, once when it has what is known, and four times at the most."""
    listing = a_listing(a_library("abcde"))
    assert sum(map(len, listing.pages())) == 10
    assert (listing.walks, listing.is_proven) == (2, True)
    listing = a_listing(a_library("abcde"), expected="abcde")
    assert sum(map(len, listing.pages())) == 5
    assert (listing.walks, listing.is_proven) == (1, True)
    uploads = iter(map(chr, range(0x4E00, 0x4F00)))
    library = ["abc"]

    def growing(number: int, shape: Shape) -> Page:
        library.append(library[-1] + next(uploads))
        return a_library(library[-1])(number, shape)

    listing = a_listing(growing)
    assert [*listing.pages()]
    assert (listing.walks, listing.is_proven) == (MAX_WALKS, False)


# The end.


def pages_of(*pages: str | Page | Exception) -> Asked:
    """A service with these pages, in any shape; behind them, the last one for ever."""

    def page(number: int, _: Shape) -> Page:
        found = pages[min(number, len(pages)) - 1]
        if isinstance(found, Exception):
            raise found
        return as_page(found) if isinstance(found, str) else found

    return Asked(page)


@pytest.mark.parametrize(
    ("pages", "expected", "asked"),
    [
        # The end is a page that brings nothing, and the page behind it.
        (["abc", "de", ""], "", 4),
        (["abc", "de", "de"], "", 4),
        (["abc", "", "de", ""], "", 5),
        (["", ""], "", 2),
        # What was expected is there: there is no need to look behind.
        (["abc", "de", ""], "abcde", 3),
        (["abc", "de", "de"], "abcde", 3),
        (["abc", "", "de", ""], "abcde", 5),
    ],
)
def test_where_a_walk_ends(pages: list[str], expected: str, asked: int) -> None:
    """It takes no more pages than it needs."""
    service = pages_of(*pages)
    listing = a_listing(service, expected=expected)
    walked(listing)
    assert len(service.asked) == listing.page_count == asked


@pytest.mark.parametrize("status", [400, 404])
def test_a_page_past_the_end_that_is_refused_is_empty(status: int) -> None:
    """The walk ends there; the refusal is kept, in case that it was no end."""
    refusal = (AccessError if status == 404 else ApiError)("no such page", status=status)
    listing = a_listing(pages_of("abc", "d", refusal), expected="abcd")
    assert "".join(walked(listing)) == "abcd"
    assert listing.is_proven
    assert listing.refusal is refusal


@pytest.mark.parametrize("status", [400, 404])
def test_a_first_page_that_is_refused_is_an_error(status: int) -> None:
    """No account, no parameters: there is no listing."""
    refusal = (AccessError if status == 404 else ApiError)("no such account", status=status)
    with pytest.raises(type(refusal)):
        walked(a_listing(pages_of(refusal)))


def test_a_later_page_that_fails_is_an_error() -> None:
    """What was there before was given; the next walk asks in the same shape."""
    service = pages_of("abc", ApiError("down", status=503))
    listing = a_listing(service)
    seen: list[str] = []
    for _ in range(2):
        with pytest.raises(ApiError, match="down"):
            seen.extend(asset.id for assets in listing.walk() for asset in assets)
    assert "".join(seen) == "abcabc"
    assert listing.seen == keys("abc")
    assert service.shapes == [Shape(3, "asc")]
    assert not listing.is_proven


@SOME
@given(st.lists(st.text(alphabet="abcdefgh", max_size=4), max_size=12), st.integers(1, 5))
def test_every_walk_ends(pages: Sequence[str], more: int) -> None:
    """Whatever the pages are: so many as bring a new id, and as many again, at the most."""
    some = [*pages, *[""] * more]
    service = Asked(lambda number, _: as_page(some[number % len(some)]))
    listing = a_listing(service)
    walked(listing)
    assert listing.page_count <= 2 * len({*"".join(pages)}) + 2
    assert listing.seen <= keys("".join(pages))


@pytest.mark.parametrize("name", ["a", None])
def test_an_unreadable_item_is_news_once(name: str | None) -> None:
    """However its URL is signed, the last page with it ends the walk."""
    signs = iter(range(1000))
    listing = a_listing(lambda *_: Page([an_asset("b")], [an_unreadable(name, sign=next(signs))]))
    for _ in range(2):
        walked(listing)
    assert listing.page_count == 6
    assert len(listing.unreadable) == 1
    assert next(iter(listing.unreadable.values())).raw == an_unreadable(name, sign=0).raw


def test_a_new_key_of_a_known_id_is_no_news() -> None:
    """A time that is that of the request ends no later than a page that repeats."""
    times = iter(range(1000))

    def page(*_: object) -> Page:
        time = next(times)
        asset = structs.replace(an_asset("a"), key=key_of("a", time), update_time_ms=time)
        return Page([asset], [])

    listing = a_listing(page)
    assert len([assets for assets in listing.pages() if assets]) == 3 * MAX_WALKS
    assert not listing.is_proven


def test_the_twin_of_a_known_id_is_news() -> None:
    """A page of nothing but an id's second type is not the end, though all known were seen."""
    video = an_asset("a")
    image = structs.replace(video, key="a@1@image", content_type="image")
    library = [Page([video], []), Page([image], []), as_page("b")]

    def page(number: int, _: Shape) -> Page:
        return library[number - 1] if number <= len(library) else NOTHING

    listing = Listing(
        page,
        account=None,
        page_size=1,
        identify=as_listed,
        expected=lambda _: {video.key, image.key},
    )
    assert walked(listing) == ["a", "a", "b", "", ""]
    assert not listing.is_proven


def test_endless_items_without_an_id_end() -> None:
    """Nobody knows whether they are the same: a thousand are news."""
    signs = iter(range(10**6))

    def page(*_: object) -> Page:
        raws = [b'{"serial": %d}' % next(signs) for _ in range(100)]
        return Page([], [UnreadableItem(1, 1, None, "no id", raw) for raw in raws])

    listing = a_listing(page)
    walked(listing)
    assert 10 <= listing.page_count <= 13


# What it notes.


def test_what_a_listing_leaves_open() -> None:
    """An item that cannot be read, or says nothing but its id, may be any version of its asset."""
    bare = structs.replace(an_asset("b"), update_time_ms=0, urls={}, is_dated=False)
    listing = a_listing(pages_of(Page([an_asset("a"), bare], [an_unreadable("c")]), NOTHING))
    walked(listing)
    assert [listing.may_hide(name) for name in "abc"] == [False, True, True]
    assert listing.has_unreadable
    listing = a_listing(pages_of(Page([an_asset("a")], [an_unreadable(None)]), NOTHING))
    walked(listing)
    assert listing.may_hide("a")
    listing = a_listing(pages_of("a", ""))
    walked(listing)
    assert not listing.has_unreadable


def test_one_key_with_two_contents_is_a_conflict() -> None:
    """The first is kept, and the other is noted; another signature is no other content."""
    again = structs.replace(an_asset("a"), urls={"resource": "https://cdn.example/a?sign=2"})
    other = structs.replace(an_asset("a"), name="other.mp4")
    listing = a_listing(pages_of(Page([an_asset("a"), again], []), NOTHING))
    assert walked(listing)[0] == "a"
    assert listing.conflicts == {}
    listing = a_listing(pages_of(Page([an_asset("a"), other], []), NOTHING))
    assert walked(listing)[0] == "a"
    assert listing.conflicts == {"a@1": other}


def test_expected_is_asked_with_what_was_seen() -> None:
    """Whose assets they are shows in the assets."""
    asked: list[Set[str]] = []

    def expected(seen: Set[str]) -> Set[str]:
        asked.append(set(seen))
        return keys("abcd")

    listing = Listing(
        a_library("abcd"), account=None, page_size=3, identify=as_listed, expected=expected
    )
    walked(listing)
    assert {frozenset(seen) for seen in asked} == {frozenset(keys("abcd"))}
    assert listing.is_proven
