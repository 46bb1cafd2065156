"""Thumbnails: which pictures have one, and what becomes of it."""

import io
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from mirror import gallery
from mirror.storage.journal import PutEntry
from tests.lib.small_mirror import Mirror, data_of


def _picture(kind: str, size: tuple[int, int] = (2000, 1000), *, turned: bool = False) -> bytes:
    """A picture of noise, which is large in every format."""
    image = Image.effect_noise(size, 100).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    body = io.BytesIO()
    image.save(body, kind, exif=exif)
    return body.getvalue()


def _put(mirror: Mirror, number: int, name: str, body: bytes) -> str:
    """Record a picture; gives its hash."""
    entry = mirror.add(number, "embers.png", f"image/{name}")
    stored = mirror.put_body(body, f"image/{name}")
    mirror.manifest.record([PutEntry(msgspec.structs.replace(entry, resource=stored))])
    return stored.sha256


def _thumbs(mirror: Mirror) -> set[str]:
    return {path.stem for path in (mirror.dest / "gallery/thumbs").glob("*.webp")}


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """An empty mirror."""
    return Mirror(tmp_path / "mirror")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_large_picture_has_a_small_one(mirror: Mirror, kind: str) -> None:
    """It is made once, as the camera was held; the page names it."""
    sha = _put(mirror, 1, f"1.{kind.lower()}", _picture(kind, turned=True))
    page = mirror.write()
    [thumb] = (mirror.dest / "gallery/thumbs").iterdir()
    assert thumb.name == f"{sha}.webp"
    with Image.open(thumb) as small:
        assert small.size == (320, 640)
    data = data_of(page)
    assert [row[data["fields"].index("thumb")] for row in data["rows"]] == [sha]
    made = thumb.stat().st_mtime_ns
    mirror.write()
    assert thumb.stat().st_mtime_ns == made


def test_what_has_none(mirror: Mirror) -> None:
    """Small pictures, broken ones, and what is no picture; nobody's own file is touched."""
    _put(mirror, 1, "small.png", _picture("PNG", (100, 100)))
    _put(mirror, 2, "broken.png", _picture("PNG")[:400_000])
    _put(mirror, 3, "no picture.jpg", b"\0" * 400_000)
    folder = mirror.dest / "gallery/thumbs"
    folder.mkdir(parents=True)
    (folder / "holiday.webp").write_bytes(b"mine")
    page = mirror.write()
    assert [path.name for path in folder.iterdir()] == ["holiday.webp"]
    data = data_of(page)
    assert {row[data["fields"].index("thumb")] for row in data["rows"]} == {""}


def test_it_goes_with_its_picture(mirror: Mirror) -> None:
    """Whatever no entry has any more is removed."""
    _put(mirror, 1, "1.png", _picture("PNG"))
    mirror.write()
    mirror.manifest.entries.clear()
    sha = _put(mirror, 2, "2.png", _picture("PNG"))
    mirror.write()
    assert _thumbs(mirror) == {sha}


def test_a_stop_leaves_the_rest(mirror: Mirror) -> None:
    """The page is written all the same, and the next one has them."""
    for number in range(3):
        _put(mirror, number, f"{number}.png", _picture("PNG"))
    gallery.write(mirror.root, is_stopping=lambda: True)
    assert _thumbs(mirror) == set()
    assert (mirror.dest / "gallery/index.html").exists()
    mirror.write()
    assert len(_thumbs(mirror)) == 3


def test_without_pillow_there_is_none(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody had asked."""
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    _put(mirror, 1, "1.png", _picture("PNG"))
    mirror.write()
    assert _thumbs(mirror) == set()
