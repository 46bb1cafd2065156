"""The spool: names of a run's own, what an earlier run left, and the room on the disk."""

import os
from pathlib import Path

import pytest

from mirror.errors import DiskError
from mirror.models import FileFacts
from mirror.storage.durable import free_bytes
from mirror.storage.partial import Note, Partial
from mirror.storage.spool import Spool

LONG_AGO = 1_750_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A spool's folder."""
    folder = tmp_path / "partial"
    folder.mkdir()
    return folder


def a_note(*, complete: bool = False) -> Note:
    """A note of ten bytes."""
    facts = FileFacts(
        size=10,
        sha256="0" * 64,
        etag=None,
        last_modified=None,
        content_type=None,
        url="http://cdn.example/a",
    )
    return Note.of(facts, complete=complete)


def written(partial: Partial, *, noted: bool = True) -> Partial:
    """Ten bytes in a partial file, and a note of them."""
    os.close(partial.open(0))
    partial.path.write_bytes(bytes(10))
    if noted:
        partial.save(a_note())
    return partial


def test_runs_have_names_of_their_own(folder: Path) -> None:
    """Two runs at once never write into one file, though they fetch the same asset."""
    one, other = Spool(folder).partial("1@1", "cover"), Spool(folder).partial("1@1", "cover")
    assert one.path != other.path
    assert Spool(folder).partial("1@1", "cover", is_copy=True).name.startswith("copy-")


def test_what_an_earlier_run_left_is_taken_over(folder: Path) -> None:
    """Bytes and note get the new run's name; the asset's other file does not."""
    left = written(Spool(folder).partial("1@1", "resource"))
    now = Spool(folder)
    assert not now.partial("1@1", "cover").has_note()
    partial = now.partial("1@1", "resource")
    assert partial.has_note()
    assert partial.path.read_bytes() == bytes(10)
    assert not left.path.exists()
    assert now.partial("1@1", "resource").has_note(), "asked for again, it is still there"


def test_a_file_of_an_earlier_version_of_this_program_is_taken_over(folder: Path) -> None:
    """Its name says nothing of the run."""
    name = Spool(folder).partial("1@1", "resource").name.rpartition(".")[0]
    written(Partial(folder / name))
    assert Spool(folder).partial("1@1", "resource").has_note()


@pytest.mark.parametrize("is_fresh", [True, False])
def test_another_machine_s_file_is_left_while_it_may_be_written(
    folder: Path, *, is_fresh: bool
) -> None:
    """Only what nobody has written for some time is taken over, or counts as left."""
    stem = Spool(folder).partial("1@1", "resource").name.rpartition(".")[0]
    foreign = written(Partial(folder / f"{stem}.ffffff-00000000"))
    if not is_fresh:
        os.utime(foreign, (LONG_AGO, LONG_AGO))
    now = Spool(folder)
    assert bool(list(now.left())) is not is_fresh
    assert now.partial("1@1", "resource").has_note() is not is_fresh
    assert foreign.path.exists() is is_fresh


def test_what_others_put_there_is_not_ours(folder: Path) -> None:
    """A NAS's folder, a stranger's file: neither is left by a run, nor in its way."""
    (folder / "@eaDir").mkdir()
    (folder / "notes.json").write_text("{}")
    (folder / "0123456789abcdef.resource").mkdir()
    spool = Spool(folder)
    spool.partial("1@1", "resource")
    assert list(spool.left()) == []
    spool.clear_notes()
    assert len(list(folder.iterdir())) == 3


def test_notes_go_with_their_files(folder: Path) -> None:
    """A note of nothing is removed, and one that was half-written; a note of bytes is not."""
    spool = Spool(folder)
    gone, there = written(spool.partial("1@1", "cover")), written(spool.partial("2@1", "cover"))
    gone.path.unlink()
    Path(f"{there.path}x").write_bytes(b"")
    (folder / f"{gone.name}.json.tmp").write_bytes(b"{")
    spool.clear_notes()
    assert not (folder / f"{gone.name}.json").exists()
    assert not (folder / f"{gone.name}.json.tmp").exists()
    assert Path(f"{there.path}.json").exists()


def test_the_reserve_is_left(folder: Path) -> None:
    """What does not fit beside it is refused before a byte is written."""
    free = free_bytes(folder)
    assert free is not None
    with pytest.raises(DiskError, match="nearly full"):
        Spool(folder, min_free=2 * free).check_room(0)
    assert Spool(folder, min_free=0).check_room(1) > 0
