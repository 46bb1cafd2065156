"""A bucket that was copied down before its journal was put into the manifest."""

import json
from pathlib import Path

import pytest

from mirror.storage.copied_down import take_in
from mirror.storage.durable import Disk


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """The root's own folder, with two segments, of which `head.json` names one."""
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments/1").write_bytes(b"one\n")
    (tmp_path / "segments/2").write_bytes(b"two\n")
    (tmp_path / "head.json").write_text(json.dumps({"segments": ["segments/2", "segments/gone"]}))
    return tmp_path


def test_the_named_segments_become_the_journal(private: Path) -> None:
    """What is not named does not count; what is missing says nothing."""
    take_in(private, Disk())
    assert (private / "journal").read_bytes() == b"two\n"
    assert sorted(path.name for path in private.iterdir()) == ["journal"]


def test_a_journal_that_is_there_comes_after_them(private: Path) -> None:
    """It is of a run in the folder; a crash before the end does it again, to the same effect."""
    (private / "journal").write_bytes(b"three\n")
    head = (private / "head.json").read_bytes()
    take_in(private, Disk())
    assert (private / "journal").read_bytes() == b"two\nthree\n"
    (private / "head.json").write_bytes(head)
    take_in(private, Disk())
    assert (private / "journal").read_bytes() == b"two\nthree\n"


def test_a_folder_of_its_own_is_left_alone(tmp_path: Path) -> None:
    """There is no `head.json`."""
    (tmp_path / "journal").write_bytes(b"one\n")
    take_in(tmp_path, Disk())
    assert (tmp_path / "journal").read_bytes() == b"one\n"
