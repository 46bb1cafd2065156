"""A root, open: to look at, to change, or for a run that makes it first."""

from pathlib import Path

import pytest

from mirror.errors import DiskError, ExitCode, LockedError, ManifestError, UsageError
from mirror.storage.known import KnownRoots
from mirror.storage.root import Root


@pytest.fixture
def known(tmp_path: Path) -> KnownRoots:
    """The roots of earlier runs: none yet."""
    return KnownRoots(tmp_path / "state")


@pytest.fixture
def made(dest: Path, known: KnownRoots) -> Path:
    """A root that a run has made."""
    with Root.prepared(dest, known=known):
        pass
    return dest


def test_a_run_makes_its_root(dest: Path, known: KnownRoots) -> None:
    """With its parents; from then on it can be read and changed, and it is known."""
    with pytest.raises(UsageError, match="no mirror here"):
        Root.read(dest)
    with pytest.raises(UsageError, match="no mirror here"), Root.locked(dest):
        pass
    with Root.prepared(dest / "below", known=known) as root:
        assert root.manifest.entries == {}
    assert Root.read(dest / "below").manifest.entries == {}
    assert dest / "below" in known


def test_a_root_that_is_missing_is_not_made_again(made: Path, known: KnownRoots) -> None:
    """Its disk is not mounted: nothing is written. Only a wish makes it anew."""
    made.rename(made.with_name("elsewhere"))
    for dry_run in (False, True):
        with (
            pytest.raises(DiskError, match="mounted"),
            Root.prepared(made, known=known, dry_run=dry_run),
        ):
            pass
    assert not made.exists()
    Root(made).prepare(known, again=True)
    assert Root.read(made).manifest.entries == {}


def test_none_is_made_where_none_may_be(dest: Path, known: KnownRoots) -> None:
    """By `--no-create`, nor by a dry run, which sees an empty one."""
    with pytest.raises(DiskError, match="missing"), Root.prepared(dest, known=known, create=False):
        pass
    with Root.prepared(dest, known=known, dry_run=True) as root:
        assert root.manifest.entries == {}
    assert not dest.exists()


def test_one_at_a_time_changes_it_and_all_may_look(made: Path) -> None:
    """The second is turned away, and a look needs no lock; the lock ends with the block."""
    with Root.locked(made):
        with pytest.raises(LockedError), Root.locked(made):
            pass
        assert Root.read(made).manifest.entries == {}
    with Root.locked(made):
        pass


def test_a_manifest_that_cannot_be_read_is_left_alone(made: Path) -> None:
    """But `verify --rebuild` may open the root without it."""
    (made / "manifest.json").write_bytes(b"{")
    with pytest.raises(ManifestError), Root.locked(made):
        pass
    with Root.locked(made, load=False) as root:
        assert root.dest == made
    assert (made / "manifest.json").read_bytes() == b"{"


def test_an_error_of_the_disk_inside_the_block_is_translated(made: Path) -> None:
    """It has the disk's exit code, and the lock is free again."""
    with pytest.raises(DiskError) as caught, Root.locked(made):
        (made / "nothing" / "there").write_bytes(b"")
    assert caught.value.exit_code is ExitCode.DISK
    with Root.locked(made):
        pass
