"""A small mirror of hand-made entries and real files, for the gallery."""

import hashlib
import json
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from msgspec import Raw

from mirror import gallery
from mirror.models import Entry, State, StoredFile
from mirror.storage.journal import PutEntry
from mirror.storage.root import Root

MEDIA = package_files("mirror.demo") / "media"
EVIL = '</script><img src=x onerror="window.evil=1">\'"<!--'
RIGHT_TO_LEFT = "\u202egnp.\u2028שלום"  # noqa: RUF001 - Hebrew, as meant
LONG = "四" * 1365
TRICKY_PATH = "image/a #b%20?c&d 'e' «é» 🎉 Закат-77.jpg"
T0 = 1_750_000_000_000


class Mirror:
    """A mirror's folder, filled without a service."""

    def __init__(self, dest: Path) -> None:
        (dest / ".kling-mirror").mkdir(parents=True)
        self.dest = dest
        self.root = Root(dest)
        self.manifest = self.root.manifest

    def write(self) -> Path:
        """Write the gallery."""
        gallery.write(self.root)
        return self.dest / "gallery/index.html"

    def put(self, media: str, path: str) -> StoredFile:
        """One of the demo's files, at a path of the mirror."""
        return self.put_body((MEDIA / media).read_bytes(), path)

    def put_body(self, body: bytes, path: str) -> StoredFile:
        """A file at a path of the mirror."""
        file = self.dest / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        return StoredFile(
            path=path,
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            etag=None,
            last_modified=None,
            content_type=None,
            url="https://cdn.example/x",
            fetched="2025-11-20T01:17:09Z",
        )

    def add(
        self,
        number: int,
        media: str,
        path: str,
        *,
        name: str | None = None,
        kind: str | None = None,
        cover: str | None = None,
        state: State = "current",
        account: str | None = "me@example.com",
        updated: int | None = None,
        said: object = None,
    ) -> Entry:
        """Record an entry with real files."""
        folder = kind or path.split("/", maxsplit=1)[0]
        entry = Entry(
            id=str(9_100_000_000_000_000_000 + number),
            update_time_ms=T0 + number * 1000 if updated is None else updated,
            account=account,
            content_type=folder,
            name=name or path.rpartition("/")[2],
            create_time_ms=T0 + number * 1000,
            state=state,
            gone_since="2025-11-03T02:00:00Z" if state == "gone" else None,
            resource=self.put(media, path),
            cover=self.put(cover, f"{path.rpartition('.')[0]}.cover.jpg") if cover else None,
            asset=Raw(json.dumps({} if said is None else said).encode()),
        )
        self.manifest.record([PutEntry(entry)])
        return entry


def facts(ms: int = 0, *, favored: bool = False) -> dict[str, object]:
    """What the API says of an asset beside its files."""
    return {
        "favored": favored,
        "resource": {"width": 320, "height": 180, "duration": ms},
        "userId": 31415926,
    }


def small_mirror(dest: Path) -> Mirror:
    """Ten entries of every type and state, with names as bad as they come."""
    mirror = Mirror(dest)
    lights = ("northern-lights.mp4", "northern-lights.cover.jpg")
    mirror.add(1, lights[0], "video/northern-lights-1.mp4", cover=lights[1], said=facts(3000))
    mirror.add(
        1, "pinwheels.mp4", ".kling-mirror/history/video/northern-lights-1@5.mp4",
        name="northern-lights.mp4", kind="video", state="superseded", updated=5,
    )  # fmt: skip
    mirror.add(2, "pinwheels.mp4", "video/pinwheels-2.mp4", said=facts(3100, favored=True))
    mirror.add(3, "bell.wav", "audio/bell-3.wav", said=facts(1000))
    mirror.add(4, "sunset.jpg", TRICKY_PATH, name="Закат №1.jpg", account="you@example.com")
    mirror.add(5, "snowflakes.png", "image/5.png", name=EVIL, said={EVIL: EVIL, "resource": EVIL})
    mirror.add(6, "embers.png", "image/6.png", name=RIGHT_TO_LEFT, state="gone")
    mirror.add(7, "embers.png", "image/7.png", name=LONG)
    mirror.add(8, "sunset.jpg", "image/8.jpg", name="Nr 10", said=[1])
    mirror.add(9, "bell.wav", "other/9.bin", name="Nr 9", kind="hologram", said={"favored": "no"})
    return mirror


def data_of(page: Path) -> dict[str, Any]:
    """The data beside a page."""
    text = page.with_name("data.js").read_text(encoding="utf-8")
    found = json.loads(text[text.index("{") : text.rindex(";")])
    assert isinstance(found, dict)
    return found
