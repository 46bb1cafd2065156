"""Where an asset's files lie: a pure function of what the API says and of the files' suffixes.

A name from the service is data, never a path. Whatever it holds, the result is a relative path of
two or three components that is valid on Linux, macOS and Windows, and the same next time.
"""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping

from mirror.models import Asset, Role
from mirror.storage.media import split_suffix

MAX_NAME_BYTES = 150
"""Longest file name. ext4, APFS and NTFS allow 255; eCryptfs (older NAS boxes) only 143 to 150."""

_LATEST_MTIME_MS = 4_102_444_800_000
"""The year 2100; FAT and some NAS firmware end there or after."""

_ROOM_FOR_VERSION = len("@replaced-1754630473303-99")
"""In `history/` a name grows by what makes it differ from its successor's."""

CONTENT_FOLDERS = ("video", "image", "audio")
OTHER_FOLDER = "other"
PRIVATE_FOLDER = ".kling-mirror"
GALLERY_FOLDER = "gallery"
TRASH_RECORDS = ("entries.jsonl", "unfinished.jsonl")
"""The entries beside what one `prune` moved; of the second name until it has come to its end."""

OUR_NAMES = frozenset(
    (PRIVATE_FOLDER, GALLERY_FOLDER, "manifest.json", "manifest.json.bak", "SHA256SUMS")
)
"""The files and folders in the root besides assets."""

_OF_OTHERS = frozenset(
    (
        *("@eaDir", "@tmp", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot"),
        *("lost+found", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini"),
    )
)
"""Names that a NAS or an operating system puts beside files; its other names begin with a dot."""

_RESERVED_FOLDERS = frozenset(
    (*CONTENT_FOLDERS, OTHER_FOLDER, *(name.lower() for name in OUR_NAMES))
)

_SEPARATORS_AND_WILDCARDS = frozenset('/\\<>:"|?*')
_UNPRINTABLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_JOINERS = frozenset("\u200c\u200d")  # invisible, but Persian words and family emoji need them
_PLAIN = re.compile(r"[A-Za-z0-9_. -]*")
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=\.|$)", re.IGNORECASE
)


def safe_component(text: str, *, max_bytes: int = MAX_NAME_BYTES) -> str:
    """The text as one path component that every system accepts; "" where nothing is left of it."""
    visible = text
    if not _PLAIN.fullmatch(text):
        composed = unicodedata.normalize("NFC", text)
        visible = "".join("_" if _is_unsafe(char) else char for char in composed)
    cut = _cut(visible.lstrip(" .-"), max_bytes).rstrip(" .")
    if _DEVICE.match(cut.replace(" ", "")):
        return f"_{_cut(cut, max_bytes - 1)}".rstrip(" .")
    return cut


def composed(path: str) -> str:
    """A path as our own are written, in NFC; macOS may give names back decomposed."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def is_of_others(name: str) -> bool:
    """Whether a file or folder belongs to a NAS or an operating system: no name of ours does."""
    return name.startswith(".") or name in _OF_OTHERS


def account_folder(email: str) -> str:
    """The folder of one account's assets, apart from every name that the root uses itself."""
    folder = safe_component(email) or "_"
    return f"_{folder}" if folder.casefold() in _RESERVED_FOLDERS else folder


def fold(path: str) -> str:
    """A text that is equal for two paths which some file system would treat as the same."""
    if path.isascii():  # most are, and then this is the same
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def choose_paths(
    asset: Asset,
    suffixes: Mapping[Role, str],
    *,
    is_free: Callable[[str], bool],
    by_account: bool,
) -> dict[Role, str]:
    """Where the asset's files go: `[email/]folder/stem-id.suffix` and `….cover.suffix` beside it.

    Args:
        asset: what to place.
        suffixes: of each file that it has, by `media.suffix_of`.
        is_free: whether a path can be had; it compares by `fold`.
        by_account: whether the type folders sit under the account's own.

    Returns:
        The first free ones of: stem and id; the same with `-<updateTime>`; with a hash of the key;
        with a number behind that.
    """
    folder = asset.content_type if asset.content_type in CONTENT_FOLDERS else OTHER_FOLDER
    if by_account and asset.account:
        folder = f"{account_folder(asset.account)}/{folder}"
    paths: dict[Role, str] = {}
    for tail in _tails(asset):
        longest = max(map(len, suffixes.values()), default=0)
        room = MAX_NAME_BYTES - len(tail) - len("_-.cover") - longest - _ROOM_FOR_VERSION
        stem = safe_component(split_suffix(asset.name or "")[0], max_bytes=room)
        name = f"{stem}-{tail}" if stem else tail
        base = f"{folder}/_{name}" if _DEVICE.match(name) else f"{folder}/{name}"
        paths = {role: file_path(base, role, suffix) for role, suffix in suffixes.items()}
        if all(map(is_free, paths.values())):
            break
    return paths


def file_path(base: str, role: Role, suffix: str) -> str:
    """The path of one of the asset's files: the cover lies beside the resource."""
    return f"{base}.cover{suffix}" if role == "cover" else f"{base}{suffix}"


def suffix_in(path: str) -> str:
    """The suffix of one of our own paths, with its dot."""
    return "." + path.rpartition(".")[2]


def history_path(path: str, version: str) -> str:
    """Where a replaced file is kept: the same path under `history/`, marked with its version."""
    path = path.removeprefix(f"{PRIVATE_FOLDER}/history/")
    stem, dot, suffix = path.rpartition(".")
    marked = f"{stem}@{version}.{suffix}" if dot and "/" not in suffix else f"{path}@{version}"
    return f"{PRIVATE_FOLDER}/history/{marked}"


def original_path(kept: str) -> str | None:
    """The path that a file in `history/` was kept from; None for what is none of our names."""
    marked = kept.removeprefix(f"{PRIVATE_FOLDER}/history/")
    stem, _, version = marked.rpartition("@")
    if marked == kept or not stem:
        return None
    _, dot, suffix = version.rpartition(".")
    return f"{stem}{dot}{suffix}" if dot else stem


def trash_path(path: str, name: str) -> str:
    """Where a file is that a `prune` moved to the trash, by that prune's name."""
    return f"{PRIVATE_FOLDER}/trash/{name}/{path.removeprefix(f'{PRIVATE_FOLDER}/')}"


def mtime_ns(update_time_ms: int) -> int:
    """The time that a file of an asset has: its updateTime, where file systems can keep it."""
    return min(max(update_time_ms, 0), _LATEST_MTIME_MS) * 1_000_000


def _is_unsafe(char: str) -> bool:
    if char in _SEPARATORS_AND_WILDCARDS:
        return True
    return unicodedata.category(char) in _UNPRINTABLE and char not in _JOINERS


def _tails(asset: Asset) -> Iterator[str]:
    """The endings to try behind the stem, longer each time, until no other asset has the path."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", asset.id).lstrip("-")
    if plain != asset.id or len(plain) > 64:  # noqa: PLR2004 - Kling's ids have 19 digits
        plain = f"{plain[:40]}-{short_hash(asset.id)}".lstrip("-")
    yield plain
    yield f"{plain}-{asset.update_time_ms}"
    yield f"{plain}-{short_hash(asset.key)}"
    for number in itertools.count(2):
        yield f"{plain}-{short_hash(asset.key)}-{number}"


def short_hash(text: str) -> str:
    """A name for a text that no other text has, for all that can be counted: 64 bits, hex."""
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, and commands that only read name no files

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[: max(max_bytes, 0)].decode(errors="ignore")
