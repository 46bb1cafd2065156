"""The values that travel through a run: frozen, without behaviour beyond their own fields.

What is written to `manifest.json` keeps the names of the contract there (`updateTime`); in Python
a name carries its unit (`update_time_ms`).
"""

import enum
from collections.abc import Mapping
from typing import Any, Literal, Self, SupportsBytes

import msgspec
from msgspec import Raw, Struct, field

Role = Literal["resource", "cover"]
State = Literal["current", "superseded", "gone"]
ROLES: tuple[Role, Role] = ("resource", "cover")


def key_of(asset_id: str, update_time_ms: int) -> str:
    """The manifest's key of an asset: the API may list one id twice with different times."""
    return f"{asset_id}@{update_time_ms}"


def twin_key_of(asset_id: str, update_time_ms: int, content_type: str | None) -> str:
    """The key of an asset whose id and time another asset of another type has already."""
    return f"{asset_id}@{update_time_ms}@{content_type or ''}"


def same_type(one: str | None, other: str | None) -> bool:
    """Whether two contentTypes may be one asset's: one that is missing may be any."""
    return one == other or one is None or other is None


class Asset(Struct, frozen=True, gc=False):
    """One item of the listing, as far as we need to understand it.

    Attributes:
        key: the manifest's key; `key_of`, unless it is the second of two that share id and time.
        id: always text; Kling's numbers exceed 2**53.
        update_time_ms: epoch milliseconds; `createTime`, else 0, where the API left it out.
        create_time_ms: epoch milliseconds, or None.
        name: the file name that Kling generated; its suffix cannot be trusted.
        content_type: `video`, `image`, `audio`, anything else, or None.
        urls: where each file is; a role that Kling has no file for is left out.
        account: the email whose listing it came from, or None when none was named.
        raw: the API's own JSON object, every field of it; `bytes` gives the text.
        owner: the `userId` of who uploaded it, or None.
        is_dated: whether the API said when it was updated.
    """

    key: str
    id: str
    update_time_ms: int
    create_time_ms: int | None
    name: str | None
    content_type: str | None
    urls: Mapping[Role, str]
    account: str | None
    raw: Raw | SupportsBytes
    owner: int | str | None = None
    is_dated: bool = True

    @classmethod
    def of(cls, entry: "Entry", *, account: str | None) -> Self:
        """What is on record of an asset, as if it was listed for an account; without URLs."""
        return cls(
            key=entry.key,
            id=entry.id,
            update_time_ms=entry.update_time_ms,
            create_time_ms=entry.create_time_ms,
            name=entry.name,
            content_type=entry.content_type,
            urls={},
            account=account,
            raw=entry.asset,
        )

    @property
    def is_bare(self) -> bool:
        """Whether it has neither a time nor a URL: then it says nothing of any version."""
        return not self.urls and not self.update_time_ms

    @property
    def is_twin(self) -> bool:
        """Whether another asset of another type had this id and time first."""
        return self.key != key_of(self.id, self.update_time_ms)


class UnreadableItem(Struct, frozen=True):
    """An item of the listing that is no asset that we could understand.

    Attributes:
        page: from 1.
        position: from 1, within the page.
        id: where it could be read.
        error: the field at fault, and what is wrong with it.
        raw: the item's JSON, to know it again on the next walk.
    """

    page: int
    position: int
    id: str | None
    error: str
    raw: bytes


class FileFacts(Struct, frozen=True, gc=False, kw_only=True):
    """The facts about a file's bytes, from the CDN to their place in the mirror.

    Attributes:
        size: bytes.
        sha256: hex.
        etag: as the CDN sent it, or None.
        last_modified: the CDN's HTTP date, or None.
        content_type: the CDN's Content-Type, or None.
        url: where it came from, without the query, which may be a secret.
    """

    size: int
    sha256: str
    etag: str | None
    last_modified: str | None
    content_type: str | None
    url: str

    @classmethod
    def of(cls, facts: "FileFacts", **more: Any) -> Self:  # noqa: ANN401 - a subclass's own fields
        """The same facts in this class, with what it has beside them."""
        known = {name: getattr(facts, name) for name in FileFacts.__struct_fields__}
        return cls(**known, **more)


class StoredFile(FileFacts, frozen=True, gc=False):
    """A complete, hashed, durable file of the mirror.

    Attributes:
        path: relative to the mirror's root, with `/`.
        fetched: when, ISO 8601 UTC.
    """

    path: str
    fetched: str


class Entry(Struct, frozen=True, gc=False):
    """The manifest's record of one asset. It exists only once its files are durable.

    Attributes:
        id: Kling's, as text: its numbers exceed 2**53.
        update_time_ms: epoch milliseconds; together with the id it identifies an entry.
        account: the email whose listing it came from, or None when none was named.
        content_type: `video`, `image`, `audio`, anything else, or None.
        name: the file name that Kling generated.
        create_time_ms: epoch milliseconds, or None.
        state: `current`: Kling lists it; `gone`: it no longer does; `superseded`: there is a newer
            version.
        gone_since: ISO 8601 UTC, when a proven listing first lacked it; None unless `gone`.
        resource: the video, image or sound; None where Kling has none.
        cover: its cover image; None where Kling has none, or covers are left out.
        asset: the API's object with every URL cut at its query.
    """

    id: str
    update_time_ms: int = field(name="updateTime")
    account: str | None
    content_type: str | None = field(name="contentType")
    name: str | None
    create_time_ms: int | None = field(name="createTime")
    state: State
    gone_since: str | None
    resource: StoredFile | None
    cover: StoredFile | None
    asset: Raw

    @property
    def key(self) -> str:
        """The manifest's key."""
        return f"{self.id}@{self.update_time_ms}"

    def file(self, role: Role) -> StoredFile | None:
        """The file of that role, or None."""
        return self.resource if role == "resource" else self.cover

    def files(self) -> tuple[StoredFile, ...]:
        """The files that it has, resource first."""
        resource, cover = self.resource, self.cover
        if cover is None:
            return () if resource is None else (resource,)
        return (cover,) if resource is None else (resource, cover)


class TwinEntry(Entry, frozen=True, gc=False):
    """The entry of an asset whose id and time another asset of another type had already.

    It is written like any other entry; only its key shows that it is one.
    """

    @property
    def key(self) -> str:
        """The manifest's key."""
        return twin_key_of(self.id, self.update_time_ms, self.content_type)


class Failure(Struct, frozen=True):
    """An asset that could not be mirrored, until it is fetched or no longer listed.

    Attributes:
        attempts: in how many runs.
        first: when it failed first, ISO 8601 UTC.
        last: when it failed last, ISO 8601 UTC.
        name: the file name that Kling generated.
        content_type: `video`, `image`, `audio`, anything else, or None.
    """

    id: str
    update_time_ms: int = field(name="updateTime")
    account: str | None
    role: Role
    error: str
    attempts: int
    first: str
    last: str
    name: str | None = None
    content_type: str | None = field(name="contentType", default=None)

    @property
    def key(self) -> str:
        """The manifest's key."""
        return key_of(self.id, self.update_time_ms)


class TwinFailure(Failure, frozen=True):
    """The failure of an asset whose id and time another asset of another type had already."""

    @property
    def key(self) -> str:
        """The manifest's key."""
        return twin_key_of(self.id, self.update_time_ms, self.content_type)


class Kind(enum.StrEnum):
    """The kind of work that an asset needs; the summary counts by these words."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REPAIRED = "repaired"


class Action(Struct, frozen=True, gc=False):
    """The work to do for one listed asset.

    Attributes:
        kind: how the summary counts it once it is done.
        fetch: the roles whose bytes are wanted.
        entry: the manifest's entry of the same key, or None.
        supersedes: the entries of the same id that this asset replaces, in one step with its own.
    """

    asset: Asset
    kind: Kind
    fetch: tuple[Role, ...]
    entry: Entry | None
    supersedes: tuple[Entry, ...] = ()


class FailedFile(Struct, frozen=True):
    """One line of the summary's `failures`; an unreadable item may have no id and no time."""

    id: str | None
    update_time_ms: int | None = field(name="updateTime")
    role: Role
    error: str


class ListingCounts(Struct):
    """The summary's `listing`: distinct assets, pages and walks over all accounts."""

    assets: int = 0
    pages: int = 0
    walks: int = 0
    proven: bool = False


class AssetCounts(Struct):
    """The summary's `assets`: listed = new + changed + unchanged + repaired + failed."""

    listed: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    repaired: int = 0
    failed: int = 0
    filtered: int = 0
    gone: int = 0


class FileCounts(Struct):
    """The summary's `files`.

    Attributes:
        fetched: files whose bytes were new.
        reused: files that turned out to be the same bytes that we had.
        bytes: bytes received from the CDN.
    """

    fetched: int = 0
    reused: int = 0
    bytes: int = 0


class Scope(Struct, frozen=True):
    """The summary's `scope`: what part of the library a run was asked to mirror.

    Attributes:
        email: the accounts that were named.
        all_accounts: whether it was to be every account of the subscription.
        content_type: the types that were wanted; empty for all.
        file_name: the keyword that names had to have, or None.
        no_covers: whether covers were left out.
        exclude: the ids of assets that were not to be fetched.
        since: the earliest upload that was wanted, epoch milliseconds, or None.
        until: the first upload after it that was not, epoch milliseconds, or None.
    """

    email: tuple[str, ...] = ()
    all_accounts: bool = False
    content_type: tuple[str, ...] = ()
    file_name: str | None = None
    no_covers: bool = False
    exclude: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether only some assets are wanted."""
        is_timed = self.since is not None or self.until is not None
        return bool(self.content_type or self.file_name or is_timed)


class RunError(Struct, frozen=True):
    """One of the summary's `errors`: why a run is not complete, besides assets that failed.

    Attributes:
        account: the email whose listing it stood in the way of, or None for the whole run's.
        exit_code: what a run with this error alone would have ended with.
        error: what, and where.
    """

    account: str | None
    exit_code: int
    error: str


class Summary(Struct):
    """What a run did: `sync --json` prints it, `runs.jsonl` keeps it.

    Attributes:
        accounts: the emails of the accounts to mirror.
        failures: assets that failed; left out of `runs.jsonl`.
        started: ISO 8601 UTC.
        duration_s: seconds.
        scope: what was asked for.
        errors: by account.
    """

    exit_code: int
    dest: str
    accounts: list[str]
    listing: ListingCounts
    assets: AssetCounts
    files: FileCounts
    failures: list[FailedFile]
    started: str
    duration_s: float = 0.0
    scope: Scope = Scope()
    errors: list[RunError] = field(default_factory=list)


NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The errors that msgspec raises for unexpected bytes: bad UTF-8 has an error of its own."""


def to_json(value: object) -> bytes:
    """The value as one line of JSON. Bytes of a path that are not Unicode become U+FFFD."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        import json  # noqa: PLC0415 - for such paths alone

        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
