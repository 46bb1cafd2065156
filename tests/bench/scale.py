"""One step of ours on a manifest of N assets: `scale.py STEP N FOLDER`, without files or network.

Steps: `make` writes the manifest, `compact` loads it and writes it anew, `load` loads it, `plan`
loads it and decides for each asset of a listing that has not changed.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from mirror.jobs.commit import entry_of
from mirror.jobs.planning import decide
from mirror.models import Asset, Entry, Kind, StoredFile
from mirror.net.decode import decode_page
from mirror.storage.known import KnownRoots
from mirror.storage.root import Root

_PAGE = 100


def main(step: str, count: str, folder: str) -> None:
    """Does the step, and prints how many assets it was done for."""
    root = Path(folder)
    if step == "make":
        with Root.prepared(root, known=KnownRoots(root / "state")) as prepared:
            manifest = prepared.manifest
            manifest.entries.update((asset.key, _entry(asset)) for asset in _assets(int(count)))
            manifest.compact(keep_backup=False)
    else:
        manifest = Root(root).manifest
        manifest.load()
    if step == "compact":
        manifest.compact(keep_backup=False)
    if step == "plan":
        for asset in _assets(int(count)):
            action = decide(
                asset,
                entry=manifest.entries.get(asset.key),
                older=(),
                is_intact=lambda _: True,
                covers=True,
            )
            assert action.kind is Kind.UNCHANGED
    sys.stdout.write(f"{len(manifest.entries)}\n")


def _assets(count: int) -> Iterator[Asset]:
    """A listing, from its JSON on."""
    numbers = iter(range(count))
    while page := list(islice(numbers, _PAGE)):
        body = msgspec.json.encode({"uploadAssetsList": [_item(number) for number in page]})
        yield from decode_page(body, page=1, account=None).assets


def _item(number: int) -> dict[str, object]:
    return {
        "id": str(9_100_000_000_000_000_000 + number),
        "name": f"clip{number}.png",
        "contentType": "image",
        "resource": {"resource": f"https://cdn.example/files/clip{number}.png", "height": 720},
        "cover": {"resource": "", "height": 1},
        "createTime": 1_750_000_000_000 + number,
        "updateTime": 1_750_000_000_000 + number,
        "favored": False,
        "extraInfo": "{}",
    }


def _entry(asset: Asset) -> Entry:
    stored = StoredFile(
        path=f"image/{asset.name}-{asset.id}.png",
        size=20_000,
        sha256=f"{int(asset.id):064x}",
        etag=f'"{asset.id}"',
        last_modified=None,
        content_type="image/png",
        url=asset.urls["resource"],
        fetched="2026-01-01T00:00:00Z",
    )
    return entry_of(asset, None, {"resource": stored})


main(*sys.argv[1:])
