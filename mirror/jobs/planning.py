"""What a run has to do, decided without any I/O.

`decide`, for one listed asset. "Entry" is the manifest's entry of the same key, "older" the entries
that the asset replaces (`replaced` finds them), which it supersedes in every row:

    entry        files on disk      older   kind        fetch
    ─────        ─────────────      ─────   ────        ─────
    none         -                  none    new         all wanted
    none         -                  some    changed     all wanted
    current      all right          any     unchanged   nothing
    current      one wrong/missing  any     repaired    the wrong ones
    current      wanted, never had  any     repaired    the missing ones
    gone         as for current: an asset that comes back is current again
    superseded   any                none    repaired    all wanted
    superseded   any                some    changed     all wanted

"Wanted" is every role that has a URL, without the cover when covers are off. A cover that is on
disk stays on record when covers are off, and is not asked for again.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from mirror.models import (
    ROLES,
    Action,
    Asset,
    Entry,
    Failure,
    Kind,
    Role,
    Scope,
    StoredFile,
    same_type,
)

MIN_GONE_LIMIT = 5
"""This many assets may vanish at once from a library of any size."""


def decide(
    asset: Asset,
    *,
    entry: Entry | None,
    older: Sequence[Entry],
    is_intact: Callable[[StoredFile], bool],
    covers: bool,
) -> Action:
    """What to do for one listed asset, by the table above.

    Args:
        asset: the listed asset.
        entry: the manifest's entry of the same key.
        older: the entries that the asset replaces.
        is_intact: whether a recorded file is on disk with its recorded size.
        covers: whether covers are wanted.
    """
    wanted: tuple[Role, ...] = ROLES if covers and asset.urls.get("cover") else ("resource",)
    if entry is None or entry.state == "superseded":
        again = Kind.NEW if entry is None else Kind.REPAIRED
        return Action(asset, Kind.CHANGED if older else again, wanted, entry, tuple(older))
    fetch = tuple([role for role in wanted if not _has(entry, role, is_intact)])
    kind = Kind.REPAIRED if fetch else Kind.UNCHANGED
    return Action(asset, kind, fetch, entry, tuple(older))


def settled_files(
    asset: Asset, entry: Entry | None, *, covers: bool
) -> tuple[StoredFile, ...] | None:
    """The files of which all must be intact for an asset to be unchanged, its record too.

    Args:
        asset: the listed asset.
        entry: the manifest's entry of the same key.
        covers: whether covers are wanted.

    Returns:
        None where that is not enough: see `decide`.
    """
    if entry is None or entry.state != "current" or asset.account not in (None, entry.account):
        return None
    resource, cover = entry.resource, entry.cover
    if resource is None:
        return None
    if not covers or not asset.urls.get("cover"):
        return (resource,)
    return None if cover is None else (resource, cover)


def _has(entry: Entry, role: Role, is_intact: Callable[[StoredFile], bool]) -> bool:
    stored = entry.file(role)
    return stored is not None and is_intact(stored)


def replaced(
    versions: Iterable[Asset], missing: Iterable[Entry]
) -> Iterator[tuple[Asset, Sequence[Entry]]]:
    """Which entries the new versions of assets replace.

    An entry is replaced by an asset of the same id and contentType under another time, once a
    proven listing has that asset and lacks the entry.

        new versions    missing entries    replaced
        ────────────    ───────────────    ────────
        one             none               none: it is an asset of its own
        one             one or more        all of them
        several         as many or fewer   one each, in the order of their times
        several         more               one each; the newest has the rest

    Args:
        versions: listed assets that are not recorded.
        missing: the entries that the listing lacks.

    Yields:
        Each version, with the entries that it replaces.
    """
    left = defaultdict(list)
    for entry in sorted(missing, key=_time):
        left[entry.id].append(entry)
    groups = defaultdict(list)
    for version in sorted(versions, key=_time):
        groups[version.id, version.content_type].append(version)
    for (asset_id, content_type), group in groups.items():
        older = [entry for entry in left[asset_id] if same_type(entry.content_type, content_type)]
        left[asset_id] = [
            entry for entry in left[asset_id] if not same_type(entry.content_type, content_type)
        ]
        last = len(group) - 1
        for position, version in enumerate(group):
            yield version, older[position : position + 1 if position < last else None]


def unambiguous(versions: Collection[Asset]) -> list[Asset]:
    """The versions that count even in an unproven listing: the only ones of their asset.

    A service that dates each answer anew lists another version of everything in every walk.
    """
    types = defaultdict(list)
    for version in versions:
        types[version.id].append(version.content_type)
    return [
        version
        for version in versions
        if sum(same_type(version.content_type, other) for other in types[version.id]) == 1
    ]


def _time(version: Asset | Entry) -> int:
    return version.update_time_ms


def is_wanted(item: Entry | Failure, scope: Scope) -> bool:
    """Whether the filters of a run let an item through; its account is another matter."""
    keyword = scope.file_name
    has_name = keyword is None or keyword.casefold() in (item.name or "").casefold()
    has_type = not scope.content_type or item.content_type in scope.content_type
    return has_name and has_type and is_in_time(item, scope)


def is_in_time(item: Asset | Entry | Failure, scope: Scope) -> bool:
    """Whether an item was uploaded in the time that a run is about, as far as that is known."""
    if scope.since is None and scope.until is None:
        return True
    created_ms = None if isinstance(item, Failure) else item.create_time_ms
    time_ms = item.update_time_ms if created_ms is None else created_ms
    if not time_ms:
        return True
    return (scope.since or 0) <= time_ms and (scope.until is None or time_ms < scope.until)


def is_too_much(vanished: int, *, of: int, max_gone: str | None) -> bool:
    """Whether too many of an account's entries vanished for all of them to be marked gone.

    Args:
        vanished: how many a proven listing lacks.
        of: how many the account has.
        max_gone: as for `gone_limit`.
    """
    return vanished > 0 and (vanished >= of or vanished > gone_limit(max_gone, of))


def gone_limit(max_gone: str | None, current: int) -> int:
    """How many of an account's entries may vanish at once.

    Args:
        max_gone: `10%` or a number, or None for the larger of 5 and 10 %.
        current: how many entries the account has.
    """
    if max_gone is None:
        return max(MIN_GONE_LIMIT, current // 10)
    if max_gone.endswith("%"):
        return int(current * float(max_gone[:-1]) / 100)
    return int(max_gone)
