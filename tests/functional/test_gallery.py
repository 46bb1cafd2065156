"""The gallery beside a sync: when its page is written."""

from pathlib import Path
from urllib.parse import unquote

import msgspec

from mirror.storage.journal import PutEntry
from mirror.storage.root import Root
from tests.conftest import RunProgram
from tests.lib.library import ACCESS, Library
from tests.lib.mounts import read_only
from tests.lib.small_mirror import data_of


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
    assert len(data_of(page)["rows"]) == 1
    library.add(2)
    assert sync("--gallery").code == 0
    assert len(data_of(page)["rows"]) == 2
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
    assert len(data_of(page)["rows"]) == 2
    assert program("prune", "--dest", dest, "--dry-run", env=wished).code == 0
    assert len(data_of(page)["rows"]) == 2
    assert program("prune", "--dest", dest, env=wished).code == 0
    assert len(data_of(page)["rows"]) == 1
    for how in ("--repair", "--rebuild"):
        page.unlink()
        assert program("verify", how, "--dest", dest, env=wished).code == 0
        assert len(data_of(page)["rows"]) == 1


def test_the_page_can_be_written_during_a_run(
    sync: RunProgram, program: RunProgram, library: Library, dest: Path
) -> None:
    """It only reads the mirror: another run's lock is no hindrance, nor is one that was cut off."""
    library.add(1)
    assert sync().code == 0
    with Root.locked(dest) as root:
        [entry] = root.manifest.entries.values()
        newer = msgspec.structs.replace(entry, id="2")
        root.manifest.record([PutEntry(newer)])  # in the journal alone
        done = program("gallery", "--dest", dest)
        assert done.code == 0, done.err
    assert len(data_of(dest / "gallery/index.html")["rows"]) == 2


def test_a_mirror_that_cannot_be_written_has_its_page_elsewhere(
    sync: RunProgram, program: RunProgram, library: Library, dest: Path, tmp_path: Path
) -> None:
    """`--output` names a folder; the links lead to the mirror, and nothing is written there."""
    library.fill(3)
    assert sync().code == 0
    with read_only(dest):
        assert program("gallery", "--dest", dest).code == 6
        before = _untouched(dest)
        output = tmp_path / "a page #1" / "deep"
        done = program("gallery", "--dest", dest, "--output", output)
        assert done.code == 0, done.err
        assert _untouched(dest) == before
    assert (output / "index.html").as_uri() in done.err
    data = data_of(output / "index.html")
    paths = [row[data["fields"].index("path")] for row in data["rows"]]
    assert len(paths) == 3
    for path in paths:
        assert (output / unquote(data["base"]) / path).is_file()


def test_a_page_that_cannot_be_written_is_a_warning(
    sync: RunProgram, library: Library, dest: Path
) -> None:
    """The exit code speaks of the mirror; the page's problem is reported, with what to do."""
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
