"""`verify --rebuild` never lets a file speak for itself where a hash of it is known."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunProgram
from tests.lib.bad_sector import bad_sectors
from tests.lib.damage import flip, wrong_files
from tests.lib.library import JPEG, Library, media
from tests.lib.mirrored import (
    PRIVATE,
    check_mirror,
    check_records,
    entry_of,
    in_history,
    manifest_of,
    path_of,
    snapshot,
    stored_of,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync

DOCUMENTS = ("manifest.json", "manifest.json.bak", f"{PRIVATE}/journal")


@pytest.fixture
def rebuild(verify: RunProgram) -> Callable[[], dict[str, Any]]:
    """Runs `verify --rebuild`."""

    def rebuilt() -> dict[str, Any]:
        done = verify("--rebuild")
        assert (done.code, done.err) == (0, "")
        return dict(done.summary)

    return rebuilt


def lose(dest: Path, *names: str) -> None:
    """Take documents away."""
    for name in names:
        (dest / name).unlink(missing_ok=True)


def test_a_sound_manifest_knows_better_than_a_rotten_file(
    rebuild: Callable[[], dict[str, Any]],
    verify: RunProgram,
    library: Library,
    trio: list[Any],
    dest: Path,
) -> None:
    """The hash stays, the file is called damaged, by `verify` and `status` too, and is repaired."""
    before = manifest_of(dest)["assets"]
    paths = [path_of(dest, trio[0], "cover"), path_of(dest, trio[1])]
    for path in paths:
        flip(dest / path)
    assert sorted(rebuild()["damaged"]) == sorted(paths)
    assert manifest_of(dest)["assets"] == before
    assert wrong_files(verify()) == dict.fromkeys(paths, "damaged")
    assert verify("--repair").code == 0
    check_mirror(dest, library)


def test_status_knows_what_a_rebuild_found(
    rebuild: Callable[[], dict[str, Any]], program: RunProgram, trio: list[Any], dest: Path
) -> None:
    """It has read every file, as `verify` does."""
    flip(dest / path_of(dest, trio[1]))
    rebuild()
    assert program("status", "--max-age", "9999d", "--dest", dest).code == 1


@pytest.mark.parametrize("lost", [("manifest.json",), ("manifest.json", "manifest.json.bak")])
@pytest.mark.parametrize("is_same_size", [True, False])
def test_the_sums_know_better_than_a_rotten_file(
    *,
    rebuild: Callable[[], dict[str, Any]],
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    dest: Path,
    lost: tuple[str, ...],
    is_same_size: bool,
) -> None:
    """With the manifest lost, and its backup, too, a right SHA256SUMS is used, and it stays."""
    added = library.add(7, "image")
    assert run_sync(service, dest).summary.exit_code == 0  # the backup does not know it
    sums = (dest / "SHA256SUMS").read_bytes()
    paths = [path_of(dest, trio[1]), path_of(dest, added)]
    for path in paths:
        flip(dest / path)
        if not is_same_size:
            found = (dest / path).stat()
            (dest / path).write_bytes((dest / path).read_bytes()[:-5])
            os.utime(dest / path, ns=(found.st_atime_ns, found.st_mtime_ns))
    lose(dest, *lost, f"{PRIVATE}/journal")
    assert sorted(rebuild()["damaged"]) == sorted(paths)
    assert (dest / "SHA256SUMS").read_bytes() == sums
    assert set(wrong_files(verify())) == set(paths)
    assert verify("--repair").code == 0
    check_mirror(dest, library)


@pytest.mark.parametrize("knows", [True, False])
def test_a_version_that_a_later_one_replaced_is_superseded(
    *,
    rebuild: Callable[[], dict[str, Any]],
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    dest: Path,
    knows: bool,
) -> None:
    """An update that changes the suffix leaves the old path empty: its bytes are in history."""
    item = trio[1]
    old = path_of(dest, item)
    key = f"{item['id']}@{item['updateTime']}"
    body = (dest / old).read_bytes()
    library.change(item, JPEG + b"new" * 500)
    assert run_sync(service, dest).summary.exit_code == 0
    assert path_of(dest, item) != old
    before = manifest_of(dest)["assets"]
    lose(dest, "manifest.json", *([] if knows else ["SHA256SUMS"]))
    assert rebuild()["missing"] == []
    after = manifest_of(dest)["assets"]
    assert after[key] == before[key], "superseded, and its path in history"
    assert (dest / after[key]["resource"]["path"]).read_bytes() == body
    assert verify().code == 0
    service.forget()
    assert run_sync(service, dest).summary.exit_code == 0
    assert service.cdn_requests() == []


def test_what_was_pruned_does_not_come_back(
    rebuild: Callable[[], dict[str, Any]],
    program: RunProgram,
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    *,
    trio: list[Any],
    dest: Path,
) -> None:
    """The backup names what is in the trash by now: it is no entry of the mirror any more."""
    library.delete(trio[0])
    library.change(trio[1], media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    assert program("prune", "--dest", dest).code == 0
    before = manifest_of(dest)["assets"]
    lose(dest, "manifest.json")
    assert rebuild()["missing"] == []
    assert set(manifest_of(dest)["assets"]) == set(before)
    assert verify().code == 0
    check_records(dest)


def test_what_was_pruned_and_copied_back_has_its_record_again(
    rebuild: Callable[[], dict[str, Any]],
    program: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    *,
    dest: Path,
) -> None:
    """The trash keeps the entry beside the file: all of it is known again, not the name alone."""
    library.delete(trio[0])
    assert run_sync(service, dest).summary.exit_code == 0
    key = f"{trio[0]['id']}@{trio[0]['updateTime']}"
    before = manifest_of(dest)["assets"][key]
    assert program("prune", "--dest", dest).code == 0
    [trash] = (dest / PRIVATE / "trash").iterdir()
    for role in ("resource", "cover"):
        shutil.copyfile(trash / before[role]["path"], dest / before[role]["path"])
    rebuild()
    assert manifest_of(dest)["assets"][key] == before


def test_earlier_versions_are_found_again_without_any_manifest(
    rebuild: Callable[[], dict[str, Any]],
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    *,
    dest: Path,
) -> None:
    """Their names in history give id and time: nothing lies there that no entry names."""
    library.change(trio[0], media("video", "new"))
    library.change(trio[1], media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    before = {key: entry["state"] for key, entry in manifest_of(dest)["assets"].items()}
    lose(dest, *DOCUMENTS, "SHA256SUMS")
    rebuild()
    after = {key: entry["state"] for key, entry in manifest_of(dest)["assets"].items()}
    assert after == before
    assert set(in_history(dest)) <= {str(dest / stored["path"]) for _, stored in stored_of(dest)}
    assert verify().code == 0
    check_records(dest)


def test_a_bad_sector_does_not_end_a_rebuild(
    program: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    dest: Path,
    *,
    tmp_path: Path,
) -> None:
    """A file that cannot be read is damaged, a stranger is unknown; all others are recorded."""
    library.change(trio[2], media("audio", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    before = manifest_of(dest)["assets"]
    recorded = dest / path_of(dest, trio[0])
    loose = dest / "image" / "x-9100000000000000077.png"
    loose.write_bytes(media("image", "loose"))
    [old] = map(Path, in_history(dest))
    lose(dest, "manifest.json")
    env = bad_sectors(tmp_path, [recorded, loose, old])
    done = program("verify", "--rebuild", "--json", "--dest", dest, env=env)
    assert (done.code, done.err) == (0, "")
    assert path_of(dest, trio[0]) in json.loads(done.out)["damaged"]
    assert "image/x-9100000000000000077.png" in json.loads(done.out)["unknown"]
    assert manifest_of(dest)["assets"].keys() >= {
        key for key, entry in before.items() if entry["state"] == "current"
    }


def test_the_mirror_of_another_in_the_tree_is_left_alone(
    rebuild: Callable[[], dict[str, Any]],
    program: RunProgram,
    verify: RunProgram,
    trio: list[Any],
    dest: Path,
    *,
    tmp_path: Path,
) -> None:
    """A mirror within a mirror, and what a NAS keeps beside files, are none of its files."""
    before = manifest_of(dest)["assets"]
    shutil.copytree(dest, tmp_path / "inner")
    shutil.copytree(tmp_path / "inner", dest / "old")
    for name in (
        "video/@eaDir/clip0.mp4/SYNOFILE_THUMB_M.jpg",
        "#recycle/x.mp4",
        "image/.DS_Store",
    ):
        (dest / name).parent.mkdir(parents=True, exist_ok=True)
        (dest / name).write_bytes(b"theirs")
    theirs = snapshot(dest / "old")
    assert verify().summary["extra"] == []
    lose(dest, *DOCUMENTS)
    assert rebuild()["unknown"] == []
    assert set(manifest_of(dest)["assets"]) == set(before)
    assert snapshot(dest / "old") == theirs
    assert program("prune", "--dest", dest).code == 0
    assert entry_of(dest, trio[0])
