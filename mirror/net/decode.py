"""The API's answers, from bytes to values: pure functions that accept any bytes.

Field names and their meaning: useapi.net, "Retrieve uploaded Kling assets" (August 2025). Every
field there is optional; `id` exceeds 2**53 and is text; times are epoch milliseconds.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, SupportsBytes, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from mirror.models import NOT_JSON, Asset, Role, UnreadableItem
from mirror.net.json_text import sanitized

T = TypeVar("T")

_Id = Annotated[str, Meta(min_length=1)] | int
_UserId = int | str | None
_NULL = Raw(b"null")
_Millis = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None


class MalformedAnswerError(ValueError):
    """An answer that is not what was asked for; the message says what came instead."""


class Page(Struct, frozen=True):
    """One page of the listing: what could be read, and what could not."""

    assets: list[Asset]
    unreadable: list[UnreadableItem]

    @property
    def is_empty(self) -> bool:
        """Whether the service had nothing to list there."""
        return not self.assets and not self.unreadable


class _File(Struct):
    resource: str | None = None


class _Item(Struct):
    id: _Id
    name: str | None = None
    content_type: str | None = field(name="contentType", default=None)
    resource: _File | None = None
    cover: _File | None = None
    create_time: _Millis = field(name="createTime", default=None)
    update_time: _Millis = field(name="updateTime", default=None)
    user_id: _UserId = field(name="userId", default=None)


class _LooseItem(Struct):
    """An item in which the fields that we do not need may hold anything."""

    id: _Id
    name: Raw = _NULL
    content_type: str | None = field(name="contentType", default=None)
    resource: _File | None = None
    cover: _File | None = None
    create_time: Raw = field(name="createTime", default=_NULL)
    update_time: _Millis = field(name="updateTime", default=None)
    user_id: Raw = field(name="userId", default=_NULL)


class _Owned(Struct):
    user_id: _UserId = field(name="userId", default=None)


class _Answer(Struct):
    assets: list[Raw] | None = field(name="uploadAssetsList", default=None)
    error: Any = None


class _CleanAnswer(Struct):
    assets: list[_Item] = field(name="uploadAssetsList")


class _RawAnswer(Struct):
    assets: list[Raw] = field(name="uploadAssetsList")


class _Items:
    """The items of a page as they came. They are cut out when the first of them is recorded."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @cached_property
    def raws(self) -> list[Raw]:
        return _raw_answer_decoder.decode(self._body).assets


class _ItemOfPage(Struct, frozen=True, gc=False):
    items: _Items
    position: int

    def __bytes__(self) -> bytes:
        return bytes(self.items.raws[self.position])


_item_decoder = msgspec.json.Decoder(_Item, strict=True)
_lax_item_decoder = msgspec.json.Decoder(_Item, strict=False)
_loose_item_decoder = msgspec.json.Decoder(_LooseItem, strict=False)
_owner_decoder = msgspec.json.Decoder(_Owned)
_answer_decoder = msgspec.json.Decoder(_Answer)
_clean_answer_decoder = msgspec.json.Decoder(_CleanAnswer)
_raw_answer_decoder = msgspec.json.Decoder(_RawAnswer)


def decode_page(body: bytes, *, page: int, account: str | None) -> Page:
    """A page of the listing.

    A clean page, as nearly all are, is decoded once, and its items stay as they came until one is
    recorded. One item that cannot be understood does not hide the others: it is
    reported beside them.

    Args:
        body: of the answer.
        page: its number, from 1, for what is reported.
        account: whose listing it is.

    Raises:
        MalformedAnswerError: it is no listing at all.
    """
    if assets := _clean_assets(body, account):
        return Page(assets, [])
    sent = body
    try:
        answer = _answer_decoder.decode(body)
    except NOT_JSON:
        body = sanitized(body)
        try:
            answer = _answer_decoder.decode(body)
        except msgspec.ValidationError as error:
            raise MalformedAnswerError(f"{_seen(sent)}: {error}") from None
        except NOT_JSON:
            raise MalformedAnswerError(_seen(sent)) from None
    is_error = not answer.assets and answer.error
    if is_error or (answer.assets is None and not _may_lack_list(sent)):
        raise MalformedAnswerError(_seen(sent))
    return _one_by_one(answer.assets or (), page=page, account=account)


def _clean_assets(body: bytes, account: str | None) -> list[Asset] | None:
    """The assets of a page without a flaw; None for any other."""
    try:
        listed = _clean_answer_decoder.decode(body).assets
    except NOT_JSON:
        return None
    items = _Items(body)
    return [
        _asset(item, _ItemOfPage(items, position), account) for position, item in enumerate(listed)
    ]


def _one_by_one(raws: Sequence[Raw], *, page: int, account: str | None) -> Page:
    assets: list[Asset] = []
    unreadable: list[UnreadableItem] = []
    for position, raw in enumerate(raws, start=1):
        try:
            assets.append(decode_item(raw, account=account))
        except MalformedAnswerError as error:
            found = _id_in(raw)
            unreadable.append(UnreadableItem(page, position, found, str(error), bytes(raw)))
    return Page(assets, unreadable)


def decode_item(raw: Raw, *, account: str | None) -> Asset:
    """One item of the listing.

    A number as text (or the reverse) is understood all the same, and a wrong type in a field that
    nobody needs costs that field alone, if there is a file to fetch.

    Raises:
        MalformedAnswerError: a field that matters has a wrong type; the message names it.
    """
    try:
        return _asset(_item_decoder.decode(raw), raw, account)
    except NOT_JSON:
        raw = Raw(sanitized(bytes(raw)))
    try:
        return _asset(_lax_item_decoder.decode(raw), raw, account)
    except NOT_JSON as error:
        trouble = MalformedAnswerError(str(error))
    try:
        asset = _asset(_known_fields(_loose_item_decoder.decode(raw)), raw, account)
    except NOT_JSON:
        raise trouble from None
    if not asset.urls.get("resource"):
        raise trouble
    return asset


def _known_fields(item: _LooseItem) -> _Item:
    return _Item(
        id=item.id,
        name=_or_none(item.name, str),
        content_type=item.content_type,
        resource=item.resource,
        cover=item.cover,
        create_time=_or_none(item.create_time, int),
        update_time=item.update_time,
        user_id=_or_none(item.user_id, int | str),  # type: ignore[arg-type] # a union of types
    )


def _or_none(raw: Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(raw, type=kind, strict=False)
    except NOT_JSON:
        return None


def _asset(item: _Item, raw: Raw | SupportsBytes, account: str | None) -> Asset:
    urls: dict[Role, str] = {}
    if item.resource is not None and item.resource.resource:
        urls["resource"] = item.resource.resource
    if item.cover is not None and item.cover.resource:
        urls["cover"] = item.cover.resource
    updated = item.update_time or 0
    if item.update_time is None and item.create_time is not None:
        updated = item.create_time
    asset_id = str(item.id)
    return Asset(
        key=f"{asset_id}@{updated}",  # as `key_of` has it, without the call
        id=asset_id,
        update_time_ms=updated,
        create_time_ms=item.create_time,
        name=item.name,
        content_type=item.content_type,
        urls=urls,
        account=account,
        raw=raw,
        owner=item.user_id,
        is_dated=bool(item.update_time),
    )


def owner_of(raw: Raw) -> str | None:
    """The `userId` of an item that is recorded, as text; None where it has none."""
    try:
        owner = _owner_decoder.decode(raw).user_id
    except NOT_JSON:
        return None
    return None if owner is None else str(owner)


def decode_accounts(body: bytes) -> list[str]:
    """The emails of the accounts endpoint's answer, an object keyed by email.

    Raises:
        MalformedAnswerError: it is something else.
    """
    try:
        return list(msgspec.json.decode(sanitized(body), type=dict[str, dict[str, Any]]))
    except NOT_JSON as error:
        raise MalformedAnswerError(f"{_seen(body)}: {error}") from None


def error_text(body: bytes) -> tuple[str, object]:
    """What an error's body says, and its `retryAfter`.

    The API's own errors are flat (`{"error": "…", "code": 401}`), the upstream's are nested
    (`{"error": {"code": …, "message": …}}`), a proxy's are HTML.
    """
    try:
        answer = json.loads(sanitized(body))
    except ValueError:
        return _seen(body), None
    if not isinstance(answer, dict):
        return _seen(body), None
    error = answer.get("error") or answer.get("message")
    wish = answer.get("retryAfter")
    if isinstance(error, dict):
        wish = wish or error.get("retryAfter")
        error = error.get("message") or error.get("code")
    return str(error)[:300] if error else _seen(body), wish


def _may_lack_list(body: bytes) -> bool:
    """Whether an object without `uploadAssetsList` is an empty listing: every field is optional."""
    try:
        return msgspec.json.decode(body, type=dict[str, Raw]).keys() <= {"uploadAssetsList"}
    except NOT_JSON:
        return False


def _id_in(raw: Raw) -> str | None:
    try:
        item = json.loads(bytes(raw))
    except (ValueError, RecursionError):
        return None
    found = item.get("id") if isinstance(item, dict) else None
    return str(found)[:100] if isinstance(found, (str, int)) else None


def _seen(body: bytes) -> str:
    """The beginning of an answer, for a message."""
    text = " ".join(body[:200].decode(errors="replace").split())
    if not text:
        return "an empty body"
    kind = "a web page" if text[:1] == "<" else "this"
    return f"{kind}: {text[:80]}{'…' if len(text) > 80 else ''}"  # noqa: PLR2004 - one line's worth
