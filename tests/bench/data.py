"""What is listed and served, and mirrors that hold it already."""

import hashlib
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from mirror.clock import now_iso
from mirror.jobs.commit import entry_of
from mirror.models import Asset, Entry, Role, StoredFile
from mirror.net.decode import decode_page
from mirror.net.json_text import without_query
from mirror.storage import layout
from mirror.storage.known import KnownRoots
from mirror.storage.root import Root
from tests.lib.library import EMAIL, PNG, Library

PAGE_SIZE = 100
_CHUNK_BYTES = 1 << 20
_OUR_OWN = frozenset(("manifest.json", "manifest.json.bak", "SHA256SUMS"))

Contents = Counter[tuple[int, int]]
"""How many files there are of each size and CRC-32, whatever their names."""


@dataclass(frozen=True)
class FileSet:
    """Files of one size, served under `/<name>/files/`.

    Attributes:
        folder: `www/<name>`; holds `files` and `pages`.
    """

    name: str
    folder: Path
    count: int
    size: int

    @property
    def names(self) -> list[str]:
        """The names of all files."""
        return [f"clip{number}.png" for number in range(self.count)]

    @property
    def paths(self) -> list[Path]:
        """Where the files are."""
        return [self.folder / "files" / name for name in self.names]

    @property
    def total_bytes(self) -> int:
        """The size of all files."""
        return self.count * self.size

    def make_files(self) -> Contents:
        """Write files of random bytes, the same each time, no two alike."""
        (self.folder / "files").mkdir(parents=True)
        random = Random(1)  # noqa: S311 - no secret
        contents: Contents = Counter()
        for name in self.names:
            body = PNG + random.randbytes(self.size - len(PNG))
            (self.folder / "files" / name).write_bytes(body)
            contents[len(body), zlib.crc32(body)] += 1
        return contents

    def make_pages(self, base_url: str) -> list[bytes]:
        """Write the listing; the files' URLs begin with `base_url`."""
        pages = [
            msgspec.json.encode({"uploadAssetsList": items}) for items in self._pages(base_url)
        ]
        folder = self.folder / "pages"
        folder.mkdir(parents=True, exist_ok=True)
        for number, body in enumerate(pages, start=1):
            (folder / f"{number}.json").write_bytes(body)
        return pages

    def remove(self) -> None:
        """Take all of it away."""
        shutil.rmtree(self.folder)

    def _pages(self, base_url: str) -> Iterator[list[dict[str, Any]]]:
        library = Library()
        for number, name in enumerate(self.names):
            item = library.add(number, "image", cover=False, body=b"-", name=name)
            item["resource"]["resource"] = f"{base_url}/{self.name}/files/{name}"
        items = library.accounts[EMAIL]
        for start in range(0, len(items), PAGE_SIZE):
            yield items[start : start + PAGE_SIZE]


def contents_of(dest: Path) -> Contents:
    """What a tool has left in a folder; records of our own do not count."""
    paths = [
        path
        for path in dest.rglob("*")
        if path.name not in _OUR_OWN and layout.PRIVATE_FOLDER not in path.parts and path.is_file()
    ]
    with ThreadPoolExecutor(2) as pool:
        return Counter(pool.map(_size_and_sum, paths))


def make_mirror(dest: Path, state_folder: Path, pages: list[bytes]) -> None:
    """Make a real mirror of a listing, with tiny files in place of the fetched ones."""
    with Root.prepared(dest, known=KnownRoots(state_folder)) as root:
        (dest / "image").mkdir()
        for number, body in enumerate(pages, start=1):
            for asset in decode_page(body, page=number, account=None).assets:
                root.manifest.entries[asset.key] = _mirrored(asset, dest)
        root.manifest.compact(keep_backup=False)


def _mirrored(asset: Asset, dest: Path) -> Entry:
    """Write an asset's file, and say so."""
    suffixes: dict[Role, str] = {"resource": ".png"}
    path = layout.choose_paths(asset, suffixes, is_free=lambda _: True, by_account=False)
    body = PNG + asset.id.encode()
    (dest / path["resource"]).write_bytes(body)
    stored = StoredFile(
        path=path["resource"],
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        etag=f'"{asset.id}"',
        last_modified=None,
        content_type="image/png",
        url=without_query(asset.urls["resource"]),
        fetched=now_iso(),
    )
    return entry_of(asset, None, {"resource": stored})


def _size_and_sum(path: Path) -> tuple[int, int]:
    size = total = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            size += len(chunk)
            total = zlib.crc32(chunk, total)
    return size, total
