"""The demo's library: one account's uploads, as the API lists them, and the files behind them.

`tests/lib/make_demo_media.py` drew the media for it. The library has the oddities of a real one:
ids that no float can hold, one id and name shared by a video and by an image with the suffix
of a video, a name outside ASCII, a change after the upload, favourites, an upright film.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files as package_files
from typing import Any

from mirror.demo.service import File

EMAIL = "demo@example.com"
USER_ID = 31415926

_PID = "x-kcdn-pid=112452"
"""The query that the real CDN's URLs carry."""

_MIME = {
    "jpg": "image/jpeg",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "png": "image/png",
    "wav": "audio/wav",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upload:
    """One asset; `media` and `cover` name files in the folder `media`."""

    id: str
    name: str
    content_type: str
    media: str
    cover: str = ""
    width: int = 0
    height: int = 0
    duration_ms: int = 0
    created_ms: int
    updated_ms: int = 0
    """0 where it has not changed since its upload."""
    favored: bool = False

    @property
    def changed_ms(self) -> int:
        return self.updated_ms or self.created_ms


_UPLOADS = (
    _Upload(
        id="298412773650198529",
        name="northern-lights.mp4",
        content_type="video",
        media="northern-lights.mp4",
        cover="northern-lights.cover.jpg",
        width=320,
        height=180,
        duration_ms=3000,
        created_ms=1754630473303,
        favored=True,
    ),
    _Upload(  # this and the next: the same id and name, as in the API's own example
        id="298412773650198530",
        name="pinwheels.mp4",
        content_type="video",
        media="pinwheels.mp4",
        cover="pinwheels.cover.jpg",
        width=320,
        height=180,
        duration_ms=3000,
        created_ms=1754541961872,
    ),
    _Upload(
        id="298412773650198530",
        name="pinwheels.mp4",
        content_type="image",
        media="pinwheels.still.png",
        width=320,
        height=180,
        created_ms=1754539245923,
    ),
    _Upload(
        id="291870446218305571",
        name="lava-lamp.mov",
        content_type="video",
        media="lava-lamp.mov",
        cover="lava-lamp.cover.jpg",
        width=180,
        height=320,
        duration_ms=3000,
        created_ms=1752918033418,
    ),
    _Upload(
        id="290663518840127489",
        name="Закат над морем.jpg",
        content_type="image",
        media="sunset.jpg",
        width=640,
        height=360,
        created_ms=1752613380954,
        updated_ms=1754302817466,
        favored=True,
    ),
    _Upload(
        id="287115902377461013",
        name="seahorse-valley.jpg",
        content_type="image",
        media="seahorse-valley.jpg",
        width=300,
        height=400,
        created_ms=1751734209127,
    ),
    _Upload(
        id="283340187264950337",
        name="snowflakes.png",
        content_type="image",
        media="snowflakes.png",
        width=320,
        height=320,
        created_ms=1750796645580,
    ),
    _Upload(
        id="279906631517382664",
        name="embers.png",
        content_type="image",
        media="embers.png",
        width=384,
        height=384,
        created_ms=1749941876039,
    ),
    _Upload(
        id="276448093125770241",
        name="Arpège.mp3",
        content_type="audio",
        media="arpeggio.mp3",
        duration_ms=4049,
        created_ms=1749082514762,
    ),
    _Upload(
        id="276448093125770240",
        name="bell.wav",
        content_type="audio",
        media="bell.wav",
        duration_ms=1000,
        created_ms=1749082511205,
    ),
)


def accounts() -> dict[str, list[dict[str, Any]]]:
    """Return the one account with its assets, in a copy that the caller may change."""
    return {EMAIL: [_item(upload) for upload in _UPLOADS]}


def files() -> dict[str, File]:
    """Read the packaged media, and return them by their paths on the CDN."""
    folder = package_files(__package__) / "media"
    return {
        path: File.of(
            (folder / media).read_bytes(),
            _MIME[media.rpartition(".")[2]],
            modified_ms=upload.changed_ms,
        )
        for upload in _UPLOADS
        for path, media in _paths(upload)
    }


def _paths(upload: _Upload) -> Iterator[tuple[str, str]]:
    """Return the path and the media file of an asset's resource, then of its cover, if any."""
    yield f"/cdn/{upload.content_type}/{upload.media}", upload.media
    if upload.cover:
        yield f"/cdn/cover/{upload.cover}", upload.cover


def _item(upload: _Upload) -> dict[str, Any]:
    resource, *cover = [f"{path}?{_PID}" for path, _ in _paths(upload)]
    return {
        "id": upload.id,
        "name": upload.name,
        "userId": USER_ID,
        "contentType": upload.content_type,
        "resource": {
            "resource": resource,
            "height": upload.height,
            "width": upload.width,
            "duration": upload.duration_ms,
            "resourceKey": "",
        },
        "cover": {
            "resource": cover[0] if cover else "",
            "height": upload.height if cover else 1,
            "width": upload.width if cover else 1,
            "duration": 0,
            "resourceKey": "",
        },
        "createTime": upload.created_ms,
        "updateTime": upload.changed_ms,
        "favored": upload.favored,
        "extraInfo": "{}",
        "entrance": "",
    }
