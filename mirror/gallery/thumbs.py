"""Thumbnails of large pictures, if Pillow is installed: `gallery/thumbs/<sha256>.webp`.

Each is made once, and removed with its picture. A picture that Pillow cannot read has none: then
the page shows the picture itself, as it does for small ones.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor, wait

from mirror.models import Entry, StoredFile
from mirror.storage.interface import Storage
from mirror.storage.media import kind_of, split_suffix

_WORTH_BYTES = 300_000
_SIZE = (1600, 640)
"""Within these pixels: usual tiles are at most 270 high, and screens have two pixels in one."""
_QUALITY = 80
_AT_ONCE = 4
_MOST_PIXELS = 120_000_000
_FORMATS = ("AVIF", "GIF", "JPEG", "PNG", "WEBP")
_LOOK_S = 0.1
_NAME = re.compile(r"([0-9a-f]{64})\.webp")


class Thumbs:
    """The thumbnails beside a page.

    Args:
        source: where the pictures are.
        place: where the page is.
        folder: of the thumbnails, in `place`; it ends with a slash.
    """

    def __init__(self, source: Storage, place: Storage, folder: str) -> None:
        self._source = source
        self._place = place
        self._folder = folder

    def refresh(self, entries: Sequence[Entry], is_stopping: Callable[[], bool]) -> Set[str]:
        """Make what is missing, and remove what no picture has any more.

        Args:
            entries: what the page shows.
            is_stopping: asked now and then; a stop leaves the rest to the next time.

        Returns:
            The hashes of the pictures that have a thumbnail.

        Raises:
            OSError: the disk fails.
        """
        wanted = dict(_pictures(entries))
        names = map(_NAME.fullmatch, self._place.documents_in(self._folder))
        there = {found[1] for found in names if found is not None}  # all else is somebody's own
        for sha256 in there - wanted.keys():
            self._place.remove(f"{self._folder}{sha256}.webp")
        missing = {sha256: wanted[sha256] for sha256 in wanted.keys() - there}
        if missing and _is_installed():
            there |= set(self._make(missing, is_stopping))
        return there & wanted.keys()

    def _make(
        self, missing: Mapping[str, StoredFile], is_stopping: Callable[[], bool]
    ) -> Iterator[str]:
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="thumbs")
        made = {sha256: pool.submit(self._thumb, stored) for sha256, stored in missing.items()}
        try:
            for sha256, future in made.items():
                while not future.done() and not is_stopping():
                    wait([future], timeout=_LOOK_S)
                if is_stopping():
                    return
                if (body := future.result()) is not None:
                    self._place.write_document(f"{self._folder}{sha256}.webp", body)
                    yield sha256
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _thumb(self, stored: StoredFile) -> bytes | None:
        """The thumbnail of a picture; None if it cannot be read."""
        from PIL import Image, ImageOps  # noqa: PLC0415 - an extra

        try:
            with (
                warnings.catch_warnings(),
                self._source.open(stored.path) as file,
                Image.open(io.BytesIO(file.read()), formats=_FORMATS) as image,
            ):
                warnings.simplefilter("ignore")  # what Pillow thinks of metadata
                if image.width * image.height > _MOST_PIXELS:
                    return None
                image.draft("RGB", _SIZE)
                small = ImageOps.exif_transpose(image)
                small.thumbnail(_SIZE)
                body = io.BytesIO()
                small.convert("RGBA" if small.has_transparency_data else "RGB").save(
                    body, "WEBP", quality=_QUALITY
                )
        except Exception:  # noqa: BLE001 - broken pictures raise whatever their decoder met
            return None
        return body.getvalue()


def _pictures(entries: Sequence[Entry]) -> Iterator[tuple[str, StoredFile]]:
    """The large pictures that tiles show: covers, and images without one."""
    for entry in entries:
        stored = entry.cover or entry.resource
        if stored is None or stored.size < _WORTH_BYTES:
            continue
        if kind_of(split_suffix(stored.path)[1]) == "image":
            yield stored.sha256, stored


def _is_installed() -> bool:
    try:
        import PIL.Image  # noqa: F401, PLC0415 - an extra
    except ImportError:
        return False
    return True
