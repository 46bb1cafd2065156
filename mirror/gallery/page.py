"""The page's two files, written only if they differ from the files that are there."""

import base64
import hashlib
import os
from collections.abc import Callable, Set
from importlib.resources import files as package_files
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mirror.errors import DiskError
from mirror.gallery import data
from mirror.gallery.thumbs import Thumbs
from mirror.places import Place
from mirror.storage.durable import disk_errors
from mirror.storage.interface import Storage
from mirror.storage.layout import GALLERY_FOLDER
from mirror.storage.local import LocalFolder
from mirror.storage.root import Root

_MARK = b"<!doctype html>\n<!-- kling-mirror gallery: page -->\n"
_SCRIPTS = (
    "words.js",
    "library.js",
    "layout.js",
    "tile.js",
    "grid.js",
    "scrubber.js",
    "detail.js",
    "main.js",
)


def write(
    root: Root, output: Path | None = None, *, is_stopping: Callable[[], bool] = lambda: False
) -> str:
    """Write the page for the manifest's entries, unless it is there already.

    Each file is replaced in one step, and any page goes with any data: nothing needs a lock. The
    data comes before the page, so that a page is never newer than its data.

    Args:
        root: open, if only to read.
        output: a folder for the page; None for `gallery` in the mirror. Its links lead to the
            mirror, or to a copy of a bucket in which it lies.
        is_stopping: asked while thumbnails are made: a stop leaves the rest to the next time.

    Returns:
        The address of `index.html`; in a bucket, its key.

    Raises:
        DiskError: the disk fails, `gallery` is a link, or holds a file that is not ours.
    """
    name = root.dest.name or "Kling"
    if output is None:
        place, folder, base = root.storage, f"{GALLERY_FOLDER}/", "../"
    else:
        place, folder, base = LocalFolder(output), "", _base(root.dest, output)
    entries = list(root.manifest.entries.values())
    with disk_errors(place.location(folder)):
        thumbs: Set[str] = set()
        if isinstance(place, LocalFolder):
            thumbs = Thumbs(root.storage, place, f"{folder}thumbs/").refresh(entries, is_stopping)
        script = data.script(
            entries,
            mirror=name,
            base=base,
            failures=root.manifest.failures.values(),
            thumbs=thumbs,
        )
        _replace(place, f"{folder}data.js", script, mark=data.MARK)
        _replace(place, f"{folder}index.html", _page(script), mark=_MARK)
    page = place.location(f"{folder}index.html")
    return page if "://" in page else Path(page).as_uri()


def _base(dest: Place, output: Path) -> str:
    """The URL of a mirror, as a page in a folder sees it."""
    if not isinstance(dest, Path):
        return "../"
    try:
        way = Path(os.path.relpath(dest.resolve(), output.resolve()))
    except ValueError:  # another drive of Windows
        return f"{dest.resolve().as_uri()}/"
    return f"{quote(way.as_posix())}/"


def _page(script: bytes) -> bytes:
    """The page; it holds nothing that came from the service: only the data does."""
    environment = Environment(
        loader=PackageLoader("mirror.gallery"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, code = _static("style.css"), "\n".join(map(_static, _SCRIPTS))
    # Nobody who could put text into the page knows all of the data, and so the nonce.
    nonce = base64.b64encode(hashlib.sha256(script).digest()[:18]).decode()
    policy = (
        "default-src 'none'",
        "img-src 'self' file:",
        "media-src 'self' file:",
        f"style-src {_hash_source(style)}",
        f"script-src {_hash_source(code)} 'nonce-{nonce}'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    html = environment.get_template("page.html").render(
        policy="; ".join(policy),
        nonce=nonce,
        style=Markup(style),  # noqa: S704 - our own files, as they are in the package
        code=Markup(code),  # noqa: S704 - as above
        format=data.FORMAT,
    )
    return _MARK + html.encode()


def _static(name: str) -> str:
    return (package_files(__package__) / "static" / name).read_text(encoding="utf-8")


def _hash_source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _replace(storage: Storage, path: str, content: bytes, *, mark: bytes) -> None:
    """Write the content unless the file has it already; never replace another program's file."""
    present = _present(storage, path)
    if present is not None and not present.startswith(mark):
        raise DiskError(
            "a file that kling-mirror did not write is in the place of the gallery",
            where=storage.location(path),
            hint="move it away, then run `kling-mirror gallery`",
        )
    if present != content:
        storage.write_document(path, content)


def _present(storage: Storage, path: str) -> bytes | None:
    """The content of a file; None if there is nothing, b"" if it is not a regular file."""
    try:
        with storage.open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError:
        if storage.size_of(path) is not None:
            raise
        return b""
