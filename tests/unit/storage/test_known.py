"""The memory of roots: a mirror that was there is known, by any name."""

from pathlib import Path

from mirror.errors import ExitCode
from mirror.storage.known import KnownRoots, missing_root


def test_a_root_is_known_by_any_name(tmp_path: Path) -> None:
    """Through a link, and to the next process, too."""
    (tmp_path / "mirror").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mirror")
    state = tmp_path / "state"
    assert tmp_path / "mirror" not in KnownRoots(state)
    KnownRoots(state).add(tmp_path / "link", "id-1")
    assert tmp_path / "mirror" in KnownRoots(state)
    assert tmp_path / "link" / ".." / "link" in KnownRoots(state)
    assert tmp_path / "other" not in KnownRoots(state)


def test_a_memory_that_cannot_be_kept_costs_nothing_else(tmp_path: Path) -> None:
    """Neither a state folder that is a file, nor a document that is none, ends a run."""
    (tmp_path / "state").write_text("in the way")
    KnownRoots(tmp_path / "state").add(tmp_path, "id-1")
    assert tmp_path not in KnownRoots(tmp_path / "state")
    (tmp_path / "roots.json").write_bytes(b"\xff[")
    assert tmp_path not in KnownRoots(tmp_path)
    KnownRoots(tmp_path).add(tmp_path, "id-1")
    assert tmp_path in KnownRoots(tmp_path)


def test_a_known_root_is_written_once(tmp_path: Path) -> None:
    """A run that changes nothing writes nothing here."""
    known = KnownRoots(tmp_path)
    known.add(tmp_path, "id-1")
    before = (tmp_path / "roots.json").stat()
    known.add(tmp_path, "id-1")
    assert (tmp_path / "roots.json").stat().st_ino == before.st_ino


def test_a_missing_root_has_advice() -> None:
    """The disk's exit code, and what to do in each case."""
    error = missing_root(Path("/m"))
    assert error.exit_code is ExitCode.DISK
    assert "mounted" in error.what
    assert "kling-mirror init --dest /m" in error.hint
