"""The main job once, as a user would run it."""

import json
import subprocess
from pathlib import Path

from tests.conftest import RunProgram
from tests.lib.library import Library


def test_a_first_look_shows_the_help(started_program: RunProgram) -> None:
    """Without arguments, the help, with what to type first; off stdout, for it is no data."""
    bare = started_program()
    assert (bare.code, bare.out) == (2, "")
    assert bare.err == started_program("--help").out


def test_a_library_is_mirrored_and_proved(sync: RunProgram, library: Library, dest: Path) -> None:
    """Every file lands, `sha256sum -c` agrees, and a second run asks the CDN for nothing."""
    for number in range(30):
        library.add(number, ("video", "image", "audio")[number % 3])
    first = sync()
    assert first.code == 0, first.err
    assert first.summary["assets"] | {"new": 30, "listed": 30} == first.summary["assets"]  # type: ignore[operator]
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=dest, check=True)  # noqa: S607
    before = (dest / "manifest.json").stat()
    assert len(json.loads((dest / "manifest.json").read_text())["assets"]) == 30
    second = sync()
    assert (second.code, second.err) == (0, "")
    after = (dest / "manifest.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
