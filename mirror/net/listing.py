"""The walks through all pages of one account, and the proof that they saw the whole library.

Pages shift when assets come and go; services clamp page sizes, repeat their last page or an old
one, lose a page for a moment or for ever. A single walk cannot detect that. It is
right when it saw exactly what was known before; else a second walk must see the same. That one asks
in the other order and in pages of another size: what goes wrong with pages hides other assets then.
"""

import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Set
from typing import Literal, NamedTuple

from msgspec import Raw

from mirror.errors import AccessError, ApiError
from mirror.models import Asset, UnreadableItem
from mirror.net import statuses
from mirror.net.decode import Page
from mirror.net.json_text import stripped
from mirror.storage.layout import CONTENT_FOLDERS

MAX_WALKS = 4
DOCUMENTED_PAGE_SIZE = 20
_MOST_NAMELESS = 1000
"""Up to this many items without an id count as new: the same ones may come again and again."""

Order = Literal["asc", "desc"]
Identify = Callable[[Asset, Container[str]], Asset]
"""Gives a listed asset its key, beside the keys that the walk has seen so far."""


class Shape(NamedTuple):
    """How a walk asks for its pages.

    Attributes:
        page_size: items wanted per page.
        order: by upload time; None leaves it to the service.
    """

    page_size: int
    order: Order | None = None


class Walk:
    """What one pass over the pages saw.

    Attributes:
        keys: each with a fingerprint of what was listed under it.
        repeated: the keys that were listed again.
        overlaps: those of them that were listed again on another page, though not with all of it: a
            service may send its last page again and again.
        pages: a hash of each page's keys.
        has_hole: whether a page brought nothing, and one behind it did.
        conflicts: assets that were listed again with other content.
        fruitless: pages in a row, up to the last one, without a new id, or a known one's new type.
    """

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}
        self.repeated: set[str] = set()
        self.overlaps: set[str] = set()
        self.pages: list[int] = []
        self.has_hole = False
        self.conflicts: list[Asset] = []
        self.fruitless = 0
        self._ids: set[int] = set()  # hashes of id and type: a third of the memory
        self._nameless: set[bytes] = set()
        self._was_lost = False

    def add(self, page: Page, identify: Identify) -> list[Asset]:
        """Take a page in, and return the assets that are new."""
        known = len(self._ids) + len(self._nameless)
        fresh: dict[str, Asset] = {}
        earlier: set[str] = set()
        for listed in page.assets:
            asset = identify(listed, self.keys)
            key, print_ = asset.key, _fingerprint(asset)
            self._ids.add(hash((asset.id, _type_of_ours(asset))))
            if key not in self.keys:
                self.keys[key] = print_
                fresh[key] = asset
                continue
            self.repeated.add(key)
            if key not in fresh:
                earlier.add(key)
            if self.keys[key] != print_:
                self.conflicts.append(asset)
        page_hash = hash(frozenset((*fresh, *earlier)))
        if earlier and page_hash not in self.pages:
            self.overlaps |= earlier
        self.pages.append(page_hash)
        self._note_unreadable(page.unreadable)
        has_news = len(self._ids) + len(self._nameless) > known
        if has_news or fresh:
            self.has_hole |= self._was_lost
        self._was_lost = not (has_news or fresh)
        self.fruitless = 0 if has_news else self.fruitless + 1
        return list(fresh.values())

    def _note_unreadable(self, items: Iterable[UnreadableItem]) -> None:
        for item in items:
            if item.id:
                self._ids.add(hash((item.id, None)))
            elif len(self._nameless) < _MOST_NAMELESS:
                self._nameless.add(mark_of(item))

    def proves(self, *, expected: Set[str], before: "Walk | None" = None) -> bool:
        """Whether it saw the whole library.

        A library may list an asset twice: then both walks do. Pages that overlap because their size
        changed on the way do it elsewhere, or they are the very same pages.

        Args:
            expected: the keys that were current when the run started.
            before: the walk before it, in another shape; None for the first.

        Returns:
            True when it has no hole, and either no overlaps, and it saw each expected key and
            nothing else (an empty walk never counts); or it saw the same as the walk before, which
            has no hole either.
        """
        if self.has_hole:
            return False
        if self.keys and not self.overlaps and self.keys.keys() == expected:
            return True
        if before is None or before.has_hole or self.keys.keys() != before.keys.keys():
            return False
        if not (self.overlaps <= before.repeated and before.overlaps <= self.repeated):
            return False
        return not self.overlaps or self.pages != before.pages


class Listing:
    """One account's listing: call `walk` until it is proven.

    Args:
        page: gives the page of a number, from 1, in a shape; raises `AccessError` or `ApiError`.
        account: the email, or None.
        page_size: items wanted per page.
        identify: gives each listed asset its key.
        expected: gives the keys that were current when the run started and that this listing should
            have, after what a walk has seen.

    Attributes:
        seen: the keys of every asset that any walk saw, up to the page before the present one.
        unreadable: items that could not be understood, each once.
        conflicts: assets that were listed twice, with differing content, by key.
        proof: the walk that saw the whole library; None as long as there is none.
        refusal: why a page after the first was refused: it was the end, or is missing.
    """

    def __init__(
        self,
        page: Callable[[int, Shape], Page],
        *,
        account: str | None,
        page_size: int,
        identify: Identify,
        expected: Callable[[Set[str]], Set[str]],
    ) -> None:
        self.account = account
        self.seen: set[str] = set()
        self.unreadable: dict[str | bytes, UnreadableItem] = {}
        self.conflicts: dict[str, Asset] = {}
        self.page_count = 0
        self.walks = 0
        self.proof: Walk | None = None
        self.refusal: AccessError | ApiError | None = None
        self._last: Walk | None = None
        self._bare: set[str] = set()
        self._page = page
        self._identify = identify
        self._expected = expected
        self._longest_page = 0
        self._shapes = _first_shapes(page_size)
        self._other_shapes: list[Shape] = []

    @property
    def has_unreadable(self) -> bool:
        """Whether an item could not be understood: then nothing is proven absent."""
        return bool(self.unreadable or self._bare)

    def may_hide(self, asset_id: str) -> bool:
        """Whether an item that could not be understood may be an asset of this id."""
        is_nameless = any(not item.id for item in self.unreadable.values())
        return is_nameless or asset_id in self.unreadable or asset_id in self._bare

    @property
    def is_proven(self) -> bool:
        """Whether a walk saw the whole library."""
        return self.proof is not None

    def pages(self) -> Iterator[list[Asset]]:
        """Walk until the listing is proven, or has been walked often enough.

        Yields:
            Of each page of each walk, the assets that are new to that walk.

        Raises:
            AccessError, ApiError: a page could not be had.
        """
        while self.walks < MAX_WALKS and not self.is_proven:
            yield from self.walk()

    def walk(self) -> Iterator[list[Asset]]:
        """Go through all pages once.

        Yields:
            Of each page, the assets that are new to this walk.

        Raises:
            AccessError, ApiError: a page could not be had; the next walk asks in the same shape.
        """
        self.walks += 1
        walk = Walk()
        for page in self._pages(walk):
            fresh = walk.add(page, self._identify)
            self._bare.update(asset.id for asset in fresh if asset.is_bare)
            for item in page.unreadable:
                self.unreadable.setdefault(item.id or mark_of(item), item)
            yield fresh
            self.seen.update(asset.key for asset in fresh)
        self.conflicts |= {asset.key: asset for asset in walk.conflicts}
        if self.proof is None and self._is_proven_by(walk, before=self._last):
            self.proof = walk
        self._last = walk
        others = self._other_shapes or _other_shapes(self._shapes[0], self._longest_page)
        self._shapes, self._other_shapes = others, self._shapes

    def _pages(self, walk: Walk) -> Iterator[Page]:
        """The pages up to the end: the second in a row that brings the walk no new id.

        The walk ends with the first one if it has seen exactly what was expected.
        """
        for number in itertools.count(1):
            page = self._page_in_shape(number)
            self.page_count += 1
            self._longest_page = max(self._longest_page, len(page.assets) + len(page.unreadable))
            yield page
            if walk.fruitless > 1:
                return
            if walk.fruitless and self._is_proven_by(walk):
                self.proof = self.proof or walk
                return

    def _is_proven_by(self, walk: Walk, before: Walk | None = None) -> bool:
        return walk.proves(expected=self._expected(walk.keys.keys()), before=before)

    def _page_in_shape(self, number: int) -> Page:
        while True:
            try:
                return self._page(number, self._shapes[0])
            except (AccessError, ApiError) as error:
                if number == 1 and error.status == statuses.BAD_REQUEST and len(self._shapes) > 1:
                    self._shapes.pop(0)
                elif number > 1 and error.status in statuses.PAST_THE_END:
                    self.refusal = error
                    return Page([], [])
                else:
                    raise


def mark_of(item: UnreadableItem) -> bytes:
    """What identifies an item without an id on the next walk, even if its URLs are signed anew."""
    return bytes(stripped(Raw(item.raw)))


def _type_of_ours(asset: Asset) -> str | None:
    """The contentType, if it is one that we know: a walk does not go on for others."""
    return asset.content_type if asset.content_type in CONTENT_FOLDERS else None


def _fingerprint(asset: Asset) -> int:
    """What two items with one key must share; the query of a URL may differ each time."""
    urls = [url.partition("?")[0] for url in asset.urls.values()]
    return hash((asset.name, asset.content_type, *urls))


def _first_shapes(page_size: int) -> list[Shape]:
    """The shapes to try in turn: what we want, and without what a service may refuse.

    `asc` keeps new uploads from shifting the pages; it is on the vendor's newer pages only. The
    documented page size is 20; its maximum is not published.
    """
    sizes = dict.fromkeys((page_size, DOCUMENTED_PAGE_SIZE))
    return [Shape(size, order) for order in ("asc", None) for size in sizes]


def _other_shapes(first: Shape, longest_page: int) -> list[Shape]:
    """The shapes to try in turn for the walk after one in another shape.

    The pages are smaller than the longest that came: a size that is asked for may be clamped. Where
    the service takes one shape alone, there is no other witness than the same again.
    """
    smaller = (longest_page if longest_page > 1 else first.page_size) * 9 // 10 or 1
    sizes = dict.fromkeys((smaller, DOCUMENTED_PAGE_SIZE, first.page_size))
    orders: tuple[Order | None, ...] = (None,) if first.order is None else ("desc", None)
    return [Shape(size, order) for order in orders for size in sizes]
