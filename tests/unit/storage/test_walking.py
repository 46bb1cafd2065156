"""Which files of a folder are a mirror's."""

from pathlib import Path

from mirror.storage.walking import files_below


def _make(top: Path, *names: str) -> None:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"x")


def _found(top: Path, *, is_tree: bool = True) -> set[str]:
    return {str(Path(path).relative_to(top)) for path in files_below(top, is_tree=is_tree)}


def test_documents_and_what_is_of_others_are_left_out(tmp_path: Path) -> None:
    """A NAS keeps thumbnails beside files; a mirror in the mirror is somebody else's."""
    _make(tmp_path, "video/a.mp4", "video/@eaDir/a.mp4/thumb.jpg", "image/.DS_Store")
    _make(tmp_path, "manifest.json", "SHA256SUMS", ".kling-mirror/journal")
    _make(tmp_path, "old/.kling-mirror/root.json", "old/video/b.mp4")
    assert _found(tmp_path) == {"video/a.mp4"}


def test_a_mirror_that_was_made_in_a_folder_of_ours(tmp_path: Path) -> None:
    """The folder of a type stays ours, though somebody made a mirror in it by mistake."""
    _make(tmp_path, "video/.kling-mirror/root.json", "video/a.mp4")
    assert "video/a.mp4" in _found(tmp_path)


def test_history_has_nothing_of_others(tmp_path: Path) -> None:
    """Every file there has its place in a check."""
    _make(tmp_path, "video/a@1.mp4", "manifest.json")
    assert _found(tmp_path, is_tree=False) == {"video/a@1.mp4", "manifest.json"}


def test_links_are_named_and_not_followed(tmp_path: Path) -> None:
    """A link to a file is a stranger; a link to a folder leads nowhere."""
    _make(tmp_path, "outside/b.mp4", "root/video/a.mp4")
    (tmp_path / "root/video/link.mp4").symlink_to(tmp_path / "outside/b.mp4")
    (tmp_path / "root/audio").symlink_to(tmp_path / "outside")
    assert _found(tmp_path / "root") == {"video/a.mp4", "video/link.mp4"}


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    """As before the first file is kept in history."""
    assert _found(tmp_path / "nowhere") == set()
