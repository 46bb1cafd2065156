"""The walk through all pages of one account, and the proof that it saw the whole library.

Pages shift when assets come and go, services clamp page sizes, repeat their last page or lose one.
Nothing of that is told apart by looking at a single walk; see `is_proven`.
"""

from collections.abc import Callable, Iterator, Set
from typing import Literal, NamedTuple

from mirror.errors import ApiError
from mirror.models import Asset, UnreadableItem
from mirror.net.decode import Page

MAX_WALKS = 4
DOCUMENTED_PAGE_SIZE = 20
_REFUSED = 400


class Shape(NamedTuple):
    """How a walk asks for its pages.

    Attributes:
        page_size: items wanted per page.
        order: by upload time; None leaves it to the service.
    """

    page_size: int
    order: Literal["asc", "desc"] | None = None


class Listing:
    """One account's listing: iterate `pages` to its end, then look at what it proved.

    Args:
        page: gives the page of a number, from 1, in a shape; raises `AccessError` or `ApiError`.
        account: the email, or None.
        page_size: items wanted per page.
        expected: the keys that were current when the run started and that the filters let through.

    Attributes:
        seen: the keys of every asset that any walk saw.
        unreadable: items that could not be understood, each once.
        conflicts: assets that were listed twice, with differing content.
        is_proven: whether the last walk saw the whole library.
        was_empty: whether the last walk saw nothing.
    """

    def __init__(
        self,
        page: Callable[[int, Shape], Page],
        *,
        account: str | None,
        page_size: int,
        expected: Set[str],
    ) -> None:
        self.account = account
        self.seen: set[str] = set()
        self.unreadable: dict[bytes, UnreadableItem] = {}
        self.conflicts: dict[str, Asset] = {}
        self.page_count = 0
        self.walks = 0
        self.is_proven = False
        self.was_empty = False
        self._page = page
        self.expected = expected
        self._has_hole = False
        self._shapes = _page_shapes(page_size)

    def pages(self) -> Iterator[dict[str, Asset]]:
        """Every asset, once, by key, a page's at a time; walks again until the listing is proven.

        Raises:
            AccessError, ApiError: a page could not be had; nothing is proven then.
        """
        before: Set[str] | None = None
        while self.walks < MAX_WALKS and not self.is_proven:
            self.walks += 1
            self._has_hole = False
            walk: dict[str, int] = {}
            for fresh in self._walk(walk):
                news = {key: asset for key, asset in fresh.items() if key not in self.seen}
                self.seen.update(news)
                yield news
            self.was_empty = not walk
            self.is_proven = is_proven(
                seen=walk.keys(),
                expected=self.expected,
                before=None if self._has_hole else before,
            )
            before = None if self._has_hole else walk.keys()

    def _walk(self, walk: dict[str, int]) -> Iterator[dict[str, Asset]]:
        """What is new to the walk, page by page, until a page is empty or has nothing new.

        An empty page may be one that the service lost. Unless the walk has already seen exactly
        what was expected, the page behind it must be empty, too; if it is not, the walk goes on,
        but it has a hole and can prove nothing by being the same again.
        """
        was_empty = False
        unreadable: set[bytes] = set()
        number = 1
        while True:
            page = self._page_in_shape(number)
            self.page_count += 1
            fresh: dict[str, Asset] = {}
            for asset in page.assets:
                key, print_ = asset.key, _fingerprint(asset)
                if key not in walk:
                    walk[key] = print_
                    fresh[key] = asset
                elif walk[key] != print_:
                    self.conflicts[key] = asset
            trouble = {item.raw: item for item in page.unreadable if item.raw not in unreadable}
            unreadable.update(trouble)
            self.unreadable |= trouble
            if page.is_empty and not was_empty and walk and walk.keys() != self.expected:
                was_empty = True
            elif not fresh and not trouble:
                return
            else:
                self._has_hole |= was_empty
                was_empty = False
                yield fresh
            number += 1

    def _page_in_shape(self, number: int) -> Page:
        while True:
            try:
                return self._page(number, self._shapes[0])
            except ApiError as error:
                if error.status != _REFUSED or len(self._shapes) == 1:
                    raise
                self._shapes.pop(0)


def is_proven(*, seen: Set[str], expected: Set[str], before: Set[str] | None) -> bool:
    """Whether a walk saw the whole library.

    A page that went missing on the way cannot be told from assets that were deleted; but it does
    not go missing twice in the same place, and it hides nothing when all that we knew was seen.

    Args:
        seen: the keys that the walk saw.
        expected: the keys that were current when the run started.
        before: the keys that the walk before it saw, or None for the first.

    Returns:
        True when it saw every expected key and nothing else (an empty walk never counts), or the
        same as the walk before.
    """
    return (bool(seen) and seen == expected) or (before is not None and seen == before)


def _fingerprint(asset: Asset) -> int:
    """What two items with one key must share; the query of a URL may differ each time."""
    urls = (url.partition("?")[0] for url in asset.urls.values())
    return hash((asset.name, asset.content_type, *urls))


def _page_shapes(page_size: int) -> list[Shape]:
    """The shapes to try in turn: what we want, and without what a service may refuse.

    `asc` keeps new uploads from shifting the pages; it is on the vendor's newer pages only. The
    documented page size is 20; its maximum is not published.
    """
    sizes = dict.fromkeys((page_size, DOCUMENTED_PAGE_SIZE))
    orders: tuple[Literal["asc"] | None, ...] = ("asc", None)
    return [Shape(size, order) for order in orders for size in sizes]
