"""What a file's name and time say about its asset, where no manifest does.

The name holds the asset's id, the file's time is the updateTime; in `history/` the name holds the
time, too. What else the API said is lost until the asset changes.
"""

import re

import msgspec
from msgspec import Raw

from mirror.models import Entry, Role, StoredFile, key_of
from mirror.storage.layout import CONTENT_FOLDERS, PRIVATE_FOLDER, short_hash
from mirror.storage.media import split_suffix

_HISTORY = f"{PRIVATE_FOLDER}/history/"
_NAME = re.compile(r"(?:(?P<stem>.*)-)?(?P<id>\d{6,30})")
_VERSION = re.compile(r"(?P<name>.*)@(?P<time_ms>\d{1,15})(?:-\d+)?")
_HASHED = re.compile(r"(?P<name>.*)-(?P<hash>[0-9a-f]{16})(?:-\d+)?")
_COVER = ".cover"


def read_name(path: str, mtime_ms: int) -> tuple[Entry, Role] | None:
    """The entry that a file stands for, still without any file, and the file's role in it.

    Args:
        path: of a file in the tree or in `history/`, relative to the root.
        mtime_ms: its time, epoch milliseconds.

    Returns:
        None where the name says nothing.
    """
    is_old = path.startswith(_HISTORY)
    *folders, name = path.removeprefix(_HISTORY).split("/")
    stem, suffix = split_suffix(name)
    if is_old:
        version = _VERSION.fullmatch(stem)
        if version is None:
            return None
        stem, mtime_ms = version["name"], int(version["time_ms"])
    match = _match(stem.removesuffix(_COVER), mtime_ms)
    if match is None or not folders:
        return None
    entry = Entry(
        id=match["id"],
        update_time_ms=mtime_ms,
        account=folders[0] if len(folders) > 1 else None,
        content_type=folders[-1] if folders[-1] in CONTENT_FOLDERS else None,
        name=f"{match['stem'] or match['id']}{suffix}",
        create_time_ms=None,
        state="superseded" if is_old else "current",
        gone_since=None,
        resource=None,
        cover=None,
        asset=Raw(msgspec.json.encode({"id": match["id"], "updateTime": mtime_ms})),
    )
    return entry, "cover" if stem.endswith(_COVER) else "resource"


def _match(stem: str, time_ms: int) -> re.Match[str] | None:
    """The stem before the id, and the id; behind it there may be what settled a collision."""
    if hashed := _HASHED.fullmatch(stem):
        match = _NAME.fullmatch(hashed["name"])
        if match is not None and short_hash(key_of(match["id"], time_ms)) == hashed["hash"]:
            return match
    match = _NAME.fullmatch(stem)
    if match is not None and match["id"] == str(time_ms):
        return _NAME.fullmatch(match["stem"] or "") or match
    return match


def with_file(entry: Entry, role: Role, stored: StoredFile, like: Entry) -> Entry:
    """The entry with one more file; its name and type come from its resource."""
    if role == "cover":
        return msgspec.structs.replace(entry, cover=stored)
    return msgspec.structs.replace(
        entry, resource=stored, name=like.name, content_type=like.content_type
    )
