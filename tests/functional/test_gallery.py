"""The gallery: what is written, and when."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from mirror import gallery
from mirror.errors import DiskError
from mirror.storage.manifest import PutEntry
from mirror.storage.root import Root
from tests.conftest import RunProgram
from tests.lib.library import ACCESS, Library
from tests.lib.small_mirror import EVIL, LONG, Mirror, small_mirror


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """The small mirror, of the test's own."""
    return small_mirror(tmp_path / "mirror")


def _data(page: Path) -> dict[str, Any]:
    text = page.with_name("data.js").read_text(encoding="utf-8")
    found = json.loads(text[text.index("{") : text.rindex(";")])
    assert isinstance(found, dict)
    return found


# What is written.


def test_the_same_manifest_gives_the_same_bytes_and_no_writing(mirror: Mirror) -> None:
    """A refresh that has nothing to say leaves both files as they are."""
    page = mirror.write()
    both = (page, page.with_name("data.js"))
    before = [(file.read_bytes(), file.stat().st_ino, file.stat().st_mtime_ns) for file in both]
    again = Root(mirror.root.dest)
    again.manifest.entries = dict(reversed(mirror.manifest.entries.items()))
    assert gallery.write(again) == page
    after = [(file.read_bytes(), file.stat().st_ino, file.stat().st_mtime_ns) for file in both]
    assert after == before
    assert sorted(page.parent.iterdir()) == sorted(both)


def test_nothing_of_the_service_stands_in_the_page(mirror: Mirror) -> None:
    """The page holds no name at all, and the data none that could end or begin a tag."""
    page = mirror.write()
    html, script = page.read_text("utf-8"), page.with_name("data.js").read_text("utf-8")
    assert "onerror" not in html
    assert "example.com" not in html
    assert not re.search("[<>&\u2028\u2029]", script)
    assert any(EVIL in row for row in _data(page)["rows"])
    assert any(LONG in row for row in _data(page)["rows"])


def test_the_policy_allows_no_inline_code_and_no_network(mirror: Mirror) -> None:
    """The policy names the page's own style and scripts by hash and nonce, and nothing else."""
    html = mirror.write().read_text("utf-8")
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert found is not None
    policy = found[1]
    assert policy.startswith("default-src &#39;none&#39;;")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"""\son\w+=|\sstyle=|(?:src|href)=["']?(?:https?:)?//""", html)


def test_every_path_is_a_file(mirror: Mirror) -> None:
    """What the page links to is there, relative to the mirror's root."""
    data = _data(mirror.write())
    at = {field: place for place, field in enumerate(data["fields"])}
    paths = [row[at[field]] for row in data["rows"] for field in ("path", "cover")]
    assert len([path for path in paths if path]) == 11
    assert all((mirror.root.dest / path).is_file() for path in paths if path)


@pytest.mark.parametrize(
    "told",
    [
        b"null",
        b'"text"',
        b'{"resource":[],"favored":[]}',
        b'{"resource":{"width":"wide","height":true,"duration":-1}}',
        b'{"resource":{"width":1e400,"duration":' + b"9" * 5000 + b"}}",
        b'{"x":"\\ud800","\\udfff":{}}',
        b'{"x":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"__proto__":"x","constructor":1,"x":"' + b"y" * 100_000 + b'"}',
    ],
    ids=["null", "text", "lists", "wrong types", "too large", "surrogates", "deep", "long"],
)
def test_whatever_the_api_said_can_be_shown(mirror: Mirror, told: bytes) -> None:
    """A field of a wrong type is none; it breaks neither the page nor the other assets."""
    entry = mirror.add(50, "sunset.jpg", "image/50.jpg")
    mirror.manifest.record([PutEntry(replace(entry, asset=Raw(told)))])
    data = _data(mirror.write())
    at = {field: place for place, field in enumerate(data["fields"])}
    row = next(row for row in data["rows"] if row[0] == entry.id)
    assert [row[at[field]] for field in ("favored", "duration", "width", "height")] == [0, 0, 0, 0]
    assert len(json.dumps(data)) < 40_000


def test_a_link_in_the_folders_place_is_not_followed(mirror: Mirror, tmp_path: Path) -> None:
    """Nothing is written outside of the mirror, whatever lies at `gallery`."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (mirror.root.dest / "gallery").symlink_to(outside, target_is_directory=True)
    with pytest.raises(DiskError, match="link"):
        mirror.write()
    assert not list(outside.iterdir())


@pytest.mark.parametrize("name", ["index.html", "data.js"])
def test_a_file_that_is_not_ours_stays(mirror: Mirror, name: str) -> None:
    """A page that somebody else put there is named, not replaced."""
    folder = mirror.root.dest / "gallery"
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(DiskError, match="not ours") as caught:
        mirror.write()
    assert caught.value.where == str(folder / name)
    assert (folder / name).read_text() == "mine"


def test_a_disk_that_refuses_is_told_as_such(mirror: Mirror) -> None:
    """A file where the folder should be is an error that says what to do."""
    (mirror.root.dest / "gallery").write_text("a file")
    with pytest.raises(DiskError) as caught:
        mirror.write()
    assert caught.value.hint


# The page beside a sync.


def _untouched(root: Path) -> dict[str, tuple[int, int]]:
    """Every file that a run may leave alone, with what a write to it would change."""
    files = [file for file in root.rglob("*") if file.is_file() and file.name != "runs.jsonl"]
    return {str(file): (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def test_a_sync_keeps_the_page_up_to_date(sync: RunProgram, library: Library, dest: Path) -> None:
    """Where it is wished for: what came is on the page, and without news nothing is written."""
    page = dest / "gallery" / "index.html"
    library.add(1)
    assert sync().code == 0
    assert sync("--gallery", "--dry-run").code == 0
    assert not page.parent.exists()
    assert sync(env={"KLING_MIRROR_GALLERY": "true"}).code == 0
    assert len(_data(page)["rows"]) == 1
    library.add(2)
    assert sync("--gallery").code == 0
    assert len(_data(page)["rows"]) == 2
    before = _untouched(dest)
    silent = sync("--gallery")
    assert (silent.code, silent.err) == (0, "")
    assert _untouched(dest) == before
    page.unlink()
    assert sync("--gallery").code == 0
    assert page.is_file()


def test_what_changes_the_mirror_by_hand_changes_the_page(
    sync: RunProgram, program: RunProgram, library: Library, dest: Path
) -> None:
    """After `prune` no row is left of what is in the trash; a repair or rebuilding refreshes it."""
    page = dest / "gallery" / "index.html"
    wished = {"KLING_MIRROR_GALLERY": "yes", **ACCESS}
    library.add(1)
    gone = library.add(2)
    assert sync("--gallery").code == 0
    library.delete(gone)
    assert sync("--gallery").code == 0
    assert len(_data(page)["rows"]) == 2
    assert program("prune", "--dest", dest, "--dry-run", env=wished).code == 0
    assert len(_data(page)["rows"]) == 2
    assert program("prune", "--dest", dest, env=wished).code == 0
    assert len(_data(page)["rows"]) == 1
    for how in ("--repair", "--rebuild"):
        page.unlink()
        assert program("verify", how, "--dest", dest, env=wished).code == 0
        assert len(_data(page)["rows"]) == 1


def test_a_page_that_cannot_be_written_is_a_warning(
    sync: RunProgram, library: Library, dest: Path
) -> None:
    """The exit code speaks of the mirror; the page's trouble is told, with what to do."""
    library.add(1)
    dest.mkdir()
    (dest / "gallery").write_text("a file of mine")
    done = sync("--gallery")
    assert (done.code, done.summary["exit_code"]) == (0, 0)
    assert done.err.startswith("kling-mirror: the gallery was not written: ")
    assert str(dest / "gallery") in done.err
    assert (dest / "gallery").read_text() == "a file of mine"


def test_a_run_that_may_not_touch_the_mirror_leaves_the_page(
    sync: RunProgram, library: Library, dest: Path
) -> None:
    """Over a damaged manifest there is one error, and it is not the page's."""
    library.add(1)
    assert sync("--gallery").code == 0
    (dest / "manifest.json").write_text("{")
    before = _untouched(dest)
    done = sync("--gallery")
    assert done.code == 8
    assert "gallery" not in done.err
    assert _untouched(dest) == before
