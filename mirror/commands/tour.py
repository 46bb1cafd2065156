"""What the demo shows a newcomer once its library is mirrored."""

from pathlib import Path

from mirror.storage.layout import GALLERY_FOLDER
from mirror.storage.manifest import Manifest
from mirror.text import size


def tour(dest: Path, manifest: Manifest) -> str:
    """What landed, and what to do next.

    Args:
        dest: the demo's mirror.
        manifest: its manifest, loaded.
    """
    stored = [file for entry in manifest.entries.values() for file in entry.files()]
    longest = max(len(file.path) for file in stored)
    page = dest / GALLERY_FOLDER / "index.html"
    files = "\n".join(
        f"  {file.path.ljust(longest)}  {size(file.size):>8}"
        for file in sorted(stored, key=lambda file: file.path)
    )
    return f"""
{dest}
{files}
  {"manifest.json".ljust(longest)}  what is what, from where, since when
  {"SHA256SUMS".ljust(longest)}  check it without this program: sha256sum -c SHA256SUMS

Look through it in a browser, without a network:
  {page.as_uri()}

Run `kling-mirror demo` again: nothing is fetched twice. For your own library:
  kling-mirror init    set up: asks for the folder and the token
  kling-mirror sync    mirror everything
"""
