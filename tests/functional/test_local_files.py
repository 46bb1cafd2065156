"""What happens to files of the mirror here: lost, changed, replaced, in the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import File
from tests.lib.library import Library, media
from tests.lib.mirrored import (
    check_mirror,
    check_records,
    check_sums,
    entry_of,
    in_history,
    left_over,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync


def _as_link(path: Path) -> None:
    outside = path.parents[2] / "outside"
    path.replace(outside)
    path.symlink_to(outside)


HARM: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "emptied": lambda path: path.write_bytes(b""),
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "link": _as_link,
}


@pytest.mark.parametrize("role", ["resource", "cover"])
@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_a_file_that_is_lost_or_wrong_here_is_repaired(  # noqa: PLR0917 - fixtures, by name
    service: Misbehaving,
    library: Library,
    dest: Path,
    items: list[dict[str, Any]],
    harm: Callable[[Path], object],
    role: str,
) -> None:
    """Only that file is fetched, to the same path; nothing outside of the mirror is written to."""
    path = dest / entry_of(dest, items[0])[role]["path"]
    harm(path)
    outside = dest.parent / "outside"
    was_outside = outside.read_bytes() if outside.exists() else None
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.repaired, summary.files.fetched) == (0, 1, 1)
    assert dest / entry_of(dest, items[0])[role]["path"] == path
    assert path.is_file()
    assert not path.is_symlink()
    assert not outside.exists() or outside.read_bytes() == was_outside
    check_mirror(dest, library)
    check_sums(dest)


def test_a_whole_type_that_is_lost_here_is_repaired(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """A deleted folder comes back with all that was in it."""
    assert items
    for path in (dest / "video").iterdir():
        path.unlink()
    (dest / "video").rmdir()
    assert run_sync(service, dest).summary.assets.repaired == 4
    check_mirror(dest, library)


def test_what_is_repaired_may_have_changed_at_kling(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Other bytes under the same key are recorded as they are, not as they were."""
    item = items[1]
    path = dest / entry_of(dest, item)["resource"]["path"]
    path.unlink()
    body = media("image", "silently new", 777)
    library.files["/cdn/image/1"] = File.of(body, "image/png", modified_ms=1_760_000_000_000)
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)
    check_sums(dest)


def test_a_strangers_file_in_the_way_is_kept(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """What a person put at an asset's path is in history, byte for byte."""
    item = library.add(1, "image")
    (dest / "image").mkdir(parents=True)
    mine = dest / "image" / f"clip1-{item['id']}.png"
    mine.write_bytes(b"my own picture")
    note = dest / "image" / "notes.txt"
    note.write_text("mine")
    assert run_sync(service, dest).summary.exit_code == 0
    assert mine.read_bytes() == library.files["/cdn/image/1"].body
    assert list(in_history(dest).values()) == [b"my own picture"]
    assert note.read_text() == "mine"
    check_records(dest)


def test_a_strangers_sums_are_kept_under_another_name(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """A folder that has a SHA256SUMS already becomes a mirror: whoever wrote it has it still."""
    library.add(1, "image")
    dest.mkdir(parents=True)
    (dest / "SHA256SUMS").write_text("mine\n")
    for _ in range(2):
        assert run_sync(service, dest).summary.exit_code == 0
    [kept] = dest.glob("SHA256SUMS.kept-*")
    assert kept.read_text() == "mine\n"
    check_sums(dest)


def test_a_file_that_is_right_already_needs_no_history(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """The same bytes at an asset's path are simply taken over."""
    item = library.add(1, "image")
    (dest / "image").mkdir(parents=True)
    mine = dest / "image" / f"clip1-{item['id']}.png"
    mine.write_bytes(library.files["/cdn/image/1"].body)
    assert run_sync(service, dest).summary.exit_code == 0
    assert in_history(dest) == {}
    check_mirror(dest, library)


def test_a_folder_in_the_way_of_a_file_is_left_alone(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Nothing of it is lost, the run says what is in the way, and it is cured once that is gone."""
    item = library.add(1, "image")
    library.add(2, "audio")
    folder = dest / "image" / f"clip1-{item['id']}.png"
    folder.mkdir(parents=True)
    (folder / "mine").write_text("mine")
    result = run_sync(service, dest)
    assert result.summary.exit_code in {3, 6}
    assert (folder / "mine").read_text() == "mine"
    folder.rename(dest / "away")
    assert run_sync(service, dest).summary.exit_code == 0
    assert (dest / "image" / folder.name).is_file()
    assert left_over(dest) == []
