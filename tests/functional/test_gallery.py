"""The gallery beside a sync: when its page is written."""

from pathlib import Path

from tests.conftest import RunProgram
from tests.lib.library import ACCESS, Library
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
