"""`from mirror import Mirror`: what a mirror holds, read from Python without a lock."""

import os
from pathlib import Path

import pytest

from mirror import Config, Mirror, UsageError
from mirror.storage.root import Root
from tests.conftest import RunProgram
from tests.lib.library import Library


@pytest.fixture(autouse=True)
def _home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's folders are the test's own."""
    for name in [name for name in os.environ if name.startswith(("XDG_", "KLING_MIRROR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture
def filled(sync: RunProgram, library: Library, dest: Path) -> Path:
    """A mirror of six assets, one of which has an earlier version."""
    items = library.fill(6)
    assert sync().code == 0
    library.change(items[0], b"\0\0\0\x18ftypmp42" + b"new" * 100)
    assert sync().code == 0
    return dest


def test_it_gives_every_entry_and_its_file(filled: Path) -> None:
    """Entries are iterated, looked up by key, and lead to files that are there."""
    mirror = Mirror(filled)
    assert len(mirror) == len(list(mirror)) == 7
    for entry in mirror:
        assert entry.key in mirror
        assert mirror[entry.key] == entry
        assert entry.resource is not None
        assert mirror.path(entry.resource).stat().st_size == entry.resource.size
    assert "1@2" not in mirror
    with pytest.raises(KeyError):
        mirror["1@2"]


def test_it_filters(filled: Path) -> None:
    """Filters by state, type, id and name narrow what is given; together they all count."""
    mirror = Mirror(Config(dest=filled))
    [old] = mirror.select(states=["superseded"])
    assert {entry.state for entry in mirror.select(id=old.id)} == {"current", "superseded"}
    assert len(mirror.select(content_type="video")) == 3
    assert [entry.name for entry in mirror.select(file_name="CLIP4")] == ["clip4.png"]
    assert mirror.select(content_type="audio", file_name="clip4") == []
    assert mirror.select(account="nobody@example.com") == []


def test_its_status_and_verify_are_those_of_the_commands(filled: Path) -> None:
    """`verify` finds a byte that rots, `status` a file that is lost."""
    mirror = Mirror(filled)
    assert mirror.status().is_complete
    assert mirror.verify().is_sound
    [entry] = mirror.select(file_name="clip4")
    assert entry.resource is not None
    path = mirror.path(entry.resource)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert [finding.problem for finding in mirror.verify().wrong] == ["damaged"]
    path.unlink()
    assert not mirror.status().is_complete


def test_it_needs_no_lock_and_sees_news_when_asked(
    filled: Path, sync: RunProgram, library: Library
) -> None:
    """It reads while another holds the lock, and shows later changes after `reload`."""
    with Root.locked(filled):
        mirror = Mirror(filled)
    library.add(50)
    assert sync().code == 0
    assert len(mirror) == 7
    mirror.reload()
    assert len(mirror) == 8


def test_a_folder_that_is_no_mirror_is_an_error(tmp_path: Path) -> None:
    """Nothing is created; the error names the folder."""
    with pytest.raises(UsageError) as caught:
        Mirror(tmp_path / "nowhere")
    assert caught.value.where == str(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
