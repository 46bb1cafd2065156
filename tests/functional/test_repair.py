"""`verify --repair`: from Kling, and from bytes that are here."""

import os
import shutil
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import ASSETS_PATH
from tests.conftest import RunProgram, access_to
from tests.lib.bad_sector import bad_sectors
from tests.lib.damage import DAMAGE, UNREADABLE, flip, wrong_files
from tests.lib.effects import edits, error, lists_nothing
from tests.lib.library import EMAIL, OTHER, Library, media
from tests.lib.mirrored import (
    PRIVATE,
    check_mirror,
    check_records,
    entry_of,
    in_history,
    key_of,
    manifest_of,
    path_of,
    stored_of,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.paced import Paced
from tests.lib.processes import started, sync_arguments, wait_until
from tests.lib.runs import run_sync

# --repair: from Kling.


@pytest.mark.parametrize("damage", DAMAGE)
def test_repair_fetches_anew(
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    dest: Path,
    *,
    damage: str,
) -> None:
    """Only what is wrong is asked for; what was there in its place is kept in history."""
    inflict, problem = DAMAGE[damage]
    path = path_of(dest, trio[0])
    inflict(dest / path)
    there = (dest / path).read_bytes() if (dest / path).exists() else None
    done = verify("--repair")
    assert (done.code, done.err) == (0, "")
    assert wrong_files(done) == {path: problem}
    assert (done.summary["fetched"], done.summary["lost"]) == ([path], [])
    assert {request.path for request in service.cdn_requests()} == {"/cdn/video/0"}
    assert set(in_history(dest).values()) == (set() if there is None else {there})
    check_mirror(dest, library)
    assert verify().code == 0


@pytest.mark.parametrize("way", UNREADABLE)
@pytest.mark.parametrize("is_here", [True, False])
def test_what_is_in_the_way_of_one_file_keeps_no_other_from_repair(
    *,
    verify: RunProgram,
    library: Library,
    trio: list[Any],
    dest: Path,
    way: str,
    is_here: bool,
) -> None:
    """Either it is right in the end, or it could not be restored yet; all others are."""
    path, other = path_of(dest, trio[1]), path_of(dest, trio[2])
    if is_here:
        _spare(dest, path, "trash")
    UNREADABLE[way](dest / path)
    flip(dest / other)
    done = verify("--repair")
    assert other in done.texts("fetched")
    if done.code == 0:
        check_mirror(dest, library)
        return
    assert (done.code, done.summary["failed"], done.summary["lost"]) == (1, [path], [])
    (dest / path).rmdir()
    assert verify("--repair").code == 0
    check_records(dest)


def test_repair_goes_by_the_id_and_not_by_the_url(
    verify: RunProgram, service: Misbehaving, library: Library, trio: list[Any], dest: Path
) -> None:
    """Kling may serve the asset from elsewhere today: it is looked up, and its new URL recorded."""
    path = path_of(dest, trio[1])
    trio[1]["resource"]["resource"] = "/cdn/moved/1?x-kcdn-pid=9"
    library.files["/cdn/moved/1"] = library.files.pop("/cdn/image/1")
    (dest / path).unlink()
    done = verify("--repair")
    assert (done.code, done.summary["fetched"]) == (0, [path])
    assert entry_of(dest, trio[1])["resource"]["url"] == f"{service.url}/cdn/moved/1"
    check_mirror(dest, library)


def test_repair_fetches_a_cover_alone(
    verify: RunProgram, service: Misbehaving, library: Library, trio: list[Any], dest: Path
) -> None:
    """A cover is repaired without its video being asked for."""
    path = path_of(dest, trio[0], "cover")
    flip(dest / path)
    assert verify("--repair").code == 0
    assert [request.path for request in service.cdn_requests()] == ["/cdn/video/0.cover"]
    check_mirror(dest, library)


def test_repair_finds_an_asset_without_a_name_in_a_large_library(
    verify: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """No keyword narrows the look-up: the asset is found behind a thousand others, not lost."""
    item = library.add(0, "image", name="")
    assert run_sync(service, dest).summary.exit_code == 0
    for number in range(1, 1201):
        library.add(number, "image", size=100)
    path = path_of(dest, item)
    (dest / path).unlink()
    done = verify("--repair")
    assert done.summary["lost"] == []
    assert (done.code, done.summary["fetched"]) == (0, [path])


def test_repair_knows_accounts(
    verify: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Each entry is looked up at its own account, and keeps its path under that one's folder."""
    trio = [library.add(1, "image"), library.add(2, "image", email=OTHER)]
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    paths = [path_of(dest, item) for item in trio]
    assert [path.split("/")[0] for path in paths] == [EMAIL, OTHER]
    for path in paths:
        flip(dest / path)
    service.forget()
    done = verify("--repair")
    assert (done.code, sorted(done.texts("fetched"))) == (0, sorted(paths))
    assert {request.query["email"] for request in service.asked(ASSETS_PATH)} == {EMAIL, OTHER}
    check_mirror(dest, library)


def test_what_could_not_be_fetched_today_is_not_lost(
    verify_in_words: RunProgram,
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    *,
    dest: Path,
) -> None:
    """A failing CDN proves nothing about what Kling has: exit 1, and the next repair succeeds."""
    path = path_of(dest, trio[1])
    flip(dest / path)
    service.fail(error(503), "/cdn/*")
    done = verify("--repair")
    assert done.code == 1
    assert done.summary["fetched"] == []
    assert done.summary["lost"] == [], "Kling still lists it"
    shown = verify_in_words("--repair")
    assert "no longer at Kling" not in shown.err
    assert path in shown.err
    service.faults.clear()
    assert verify("--repair").code == 0
    check_mirror(dest, library)


def test_what_can_be_mended_of_an_asset_is(
    verify: RunProgram, library: Library, trio: list[Any], dest: Path
) -> None:
    """A cover that Kling no longer has does not prevent the repair of its video."""
    paths = [path_of(dest, trio[0], role) for role in ("resource", "cover")]
    for path in paths:
        flip(dest / path)
    trio[0]["cover"]["resource"] = ""
    done = verify("--repair")
    assert done.code == 1
    assert done.summary["fetched"] == [paths[0]]
    assert done.summary["lost"] == [paths[1]]
    assert (dest / paths[0]).read_bytes() == library.files["/cdn/video/0"].body


def test_one_empty_page_loses_nothing(
    verify: RunProgram, service: Misbehaving, library: Library, trio: list[Any], dest: Path
) -> None:
    """Kling's first answer has nothing in it: the file is looked for once more, and found."""
    path = path_of(dest, trio[1])
    flip(dest / path)
    service.fail(lists_nothing(), ASSETS_PATH, times=1)
    done = verify("--repair")
    assert (done.code, done.summary["fetched"], done.summary["lost"]) == (0, [path], [])
    check_mirror(dest, library)


def test_an_unproven_listing_loses_nothing(
    verify: RunProgram, service: Misbehaving, trio: list[Any], dest: Path
) -> None:
    """An item that cannot be read may be the very asset: its file could not be fetched today."""
    path = path_of(dest, trio[1])
    flip(dest / path)
    service.fail(edits(lambda items: [item.update(id=None) for item in items[1:2]]), ASSETS_PATH)
    done = verify("--repair")
    assert (done.code, done.summary["failed"], done.summary["lost"]) == (1, [path], [])


def test_the_library_of_another_loses_nothing(
    verify: RunProgram, service: Misbehaving, library: Library, trio: list[Any], dest: Path
) -> None:
    """The token is another account's today: its listing is proven, and says nothing of ours."""
    path = path_of(dest, trio[1])
    flip(dest / path)
    library.accounts[EMAIL].clear()
    for number in range(10, 14):
        library.add(number, "image")["userId"] = 999
    done = verify("--repair")
    assert (done.code, done.summary["failed"], done.summary["lost"]) == (1, [path], [])
    assert service.cdn_requests() == []


def test_filters_of_the_config_are_none_of_its_business(
    program: RunProgram, service: Misbehaving, library: Library, trio: list[Any], dest: Path
) -> None:
    """What `sync` would leave out today is repaired all the same, and not called lost."""
    path = path_of(dest, trio[1])
    flip(dest / path)
    env = {**access_to(service), "KLING_MIRROR_CONTENT_TYPE": "video"}
    done = program("verify", "--repair", "--json", "--dest", dest, env=env)
    assert (done.code, done.summary["fetched"]) == (0, [path])
    check_mirror(dest, library)


# --repair: from what is here.


def test_what_is_here_is_not_fetched(
    program: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    dest: Path,
) -> None:
    """Bytes in the trash are enough: Kling is not asked, and there need be no token."""
    path = path_of(dest, trio[1])
    _spare(dest, path, "trash")
    flip(dest / path)
    done = program("verify", "--repair", "--json", "--dest", dest)
    assert (done.code, done.err) == (0, "")
    assert done.summary["restored"] == [path]
    assert service.requests == []
    check_mirror(dest, library)


def test_what_was_restored_is_reported_though_kling_cannot_be_asked(
    program: RunProgram, service: Misbehaving, trio: list[Any], dest: Path
) -> None:
    """One file is here, the other is not: without a token the one is restored, and exit is 2."""
    here, elsewhere = path_of(dest, trio[1]), path_of(dest, trio[2])
    _spare(dest, here, "history")
    flip(dest / here)
    flip(dest / elsewhere)
    done = program("verify", "--repair", "--json", "--dest", dest)
    assert done.code == 2
    assert "token" in done.err
    assert (done.summary["restored"], done.summary["failed"]) == ([here], [elsewhere])
    service.fail(error(500), ASSETS_PATH)
    done = program("verify", "--repair", "--json", "--dest", dest, env=access_to(service))
    assert (done.code, done.summary["failed"], done.summary["lost"]) == (7, [elsewhere], [])


def test_two_files_that_changed_places_are_put_back(
    verify: RunProgram, library: Library, service: Misbehaving, items: list[Any], dest: Path
) -> None:
    """Each has the other's bytes."""
    one, other = (dest / path_of(dest, item) for item in (items[1], items[4]))
    for path, name in ((one, "x"), (other, one), (dest / "x", other)):
        path.rename(dest / name)
    done = verify("--repair")
    assert (done.code, len(done.texts("restored"))) == (0, 2)
    assert service.cdn_requests() == []
    check_mirror(dest, library)


def test_a_name_in_another_form_of_unicode_is_the_file_itself(
    verify: RunProgram, library: Library, service: Misbehaving, dest: Path
) -> None:
    """A copy from a Mac has decomposed names: they are put right, and nothing is fetched."""
    item = library.add(1, "image", name="café Ä.png")
    library.add(2, "image")
    assert run_sync(service, dest).summary.exit_code == 0
    library.delete(item)
    assert run_sync(service, dest).summary.exit_code == 0
    service.forget()
    path = path_of(dest, item)
    (dest / path).rename(dest / unicodedata.normalize("NFD", path))
    if (dest / path).exists():
        pytest.skip("forms of Unicode were not tested: this file system takes them for the same")
    done = verify()
    assert (wrong_files(done), done.summary["extra"]) == ({path: "missing"}, [])
    done = verify("--repair")
    assert (done.code, done.summary["restored"]) == (0, [path])
    assert len(list((dest / path).parent.iterdir())) == 2, "no second copy is left"
    assert service.requests == []
    check_records(dest)


def test_a_lost_time_is_set_again(verify: RunProgram, trio: list[Any], dest: Path) -> None:
    """A copy without times lost the updateTime: a rebuild would take it for another version's."""
    path = dest / path_of(dest, trio[1])
    os.utime(path)
    assert verify("--repair").code == 0
    assert path.stat().st_mtime_ns == trio[1]["updateTime"] * 1_000_000


def test_a_failure_is_over_with_its_file_restored(
    verify: RunProgram, service: Misbehaving, trio: list[Any], dest: Path
) -> None:
    """A file that could not be fetched, and was found here."""
    path = path_of(dest, trio[1])
    _spare(dest, path, "trash")
    (dest / path).unlink()
    service.fail(error(404), "/cdn/image/*")
    assert run_sync(service, dest).summary.exit_code == 3
    assert manifest_of(dest)["failures"]
    assert verify("--repair").code == 0
    assert manifest_of(dest)["failures"] == {}


def test_a_bad_sector_stops_no_repair(
    program: RunProgram,
    service: Misbehaving,
    library: Library,
    items: list[Any],
    dest: Path,
    *,
    tmp_path: Path,
) -> None:
    """In a recorded file, in a copy of it, in a stranger: all that can be had is repaired."""
    bad, flipped = path_of(dest, items[1]), path_of(dest, items[4])
    copies = [_spare(dest, path, "trash") for path in (bad, flipped)]
    stranger = dest / "image" / "stranger.png"
    stranger.write_bytes((dest / bad).read_bytes())
    flip(dest / flipped)
    env = bad_sectors(tmp_path, [dest / bad, *copies, stranger])
    done = program(
        "verify", "--repair", "--json", "--dest", dest, env={**env, **access_to(service)}
    )
    assert (done.code, done.err) == (0, "")
    assert wrong_files(done) == {bad: "damaged", flipped: "damaged"}
    assert sorted(done.texts("fetched")) == sorted([bad, flipped])
    stranger.unlink()
    check_mirror(dest, library)


def _spare(dest: Path, path: str, folder: str) -> Path:
    """Put a copy where replaced or pruned files lie."""
    spare = dest / PRIVATE / folder / "2025-01-01T000000Z" / path
    spare.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(dest / path, spare)
    return spare


@pytest.mark.parametrize("folder", ["history", "trash"])
@pytest.mark.parametrize("damage", ["missing", "flipped"])
@pytest.mark.parametrize("state", ["superseded", "gone"])
def test_what_kling_no_longer_has_is_found_by_its_hash(
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    dest: Path,
    *,
    folder: str,
    damage: str,
    state: str,
) -> None:
    """The very bytes lie in history or trash: they are put back, and the entry stays as it was."""
    key = key_of(trio[1])
    if state == "gone":
        library.delete(trio[1])
    else:
        library.change(trio[1], media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    entry = manifest_of(dest)["assets"][key]
    assert entry["state"] == state
    path = entry["resource"]["path"]
    body = (dest / path).read_bytes()
    _spare(dest, path, folder)
    DAMAGE[damage][0](dest / path)
    service.forget()
    done = verify("--repair")
    assert (done.code, done.err) == (0, "")
    assert done.summary["restored"] == [path]
    assert service.cdn_requests() == []
    assert (dest / path).read_bytes() == body
    assert manifest_of(dest)["assets"][key] == entry
    check_records(dest)
    assert not list((dest / PRIVATE / "partial").iterdir())


@pytest.mark.parametrize("state", ["superseded", "gone"])
def test_what_nobody_has_is_said_to_be_lost(
    verify_in_words: RunProgram,
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    *,
    dest: Path,
    state: str,
) -> None:
    """Exit 1, the path by name, what is left of it untouched, and no advice that cannot help."""
    key = key_of(trio[1])
    if state == "gone":
        library.delete(trio[1])
    else:
        library.change(trio[1], media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    path = manifest_of(dest)["assets"][key]["resource"]["path"]
    flip(dest / path)
    flip(dest / path_of(dest, trio[2]))
    damaged = (dest / path).read_bytes()
    done = verify("--repair")
    assert done.code == 1
    assert done.summary["lost"] == [path]
    assert done.summary["fetched"] == [path_of(dest, trio[2])], "the others are repaired"
    assert (dest / path).read_bytes() == damaged
    shown = verify_in_words("--repair")
    assert shown.code == 1
    assert f"lost, and no longer at Kling: {path}" in shown.err
    assert "--repair" not in shown.err


def test_a_version_whose_bytes_are_those_of_another_entry_is_not_lost(
    verify: RunProgram, service: Misbehaving, library: Library, trio: list[Any], dest: Path
) -> None:
    """A superseded file that shares its bytes with its successor is repaired with it."""
    library.change(trio[1])  # a new updateTime, the same bytes
    assert run_sync(service, dest).summary.exit_code == 0
    stored = [stored["path"] for entry, stored in stored_of(dest) if entry["id"] == trio[1]["id"]]
    assert len(stored) == 2
    damaged: list[Path] = []
    for path in map(dest.joinpath, stored):
        if not any(path.samefile(other) for other in damaged):  # both may be one file
            flip(path)
            damaged.append(path)
    assert len(wrong_files(verify())) == 2
    done = verify("--repair")
    assert done.summary["lost"] == []
    assert done.code == 0
    check_records(dest)


def test_repair_takes_the_lock(
    verify: RunProgram, environ: Mapping[str, str], library: Library, dest: Path
) -> None:
    """While a sync is at work, `--repair` and `--rebuild` exit 11 and touch nothing."""
    library.add(1, "image", size=3_000_000)
    with library.service(Paced) as paced:
        paced.pause_s = 0.1
        with started(environ, *sync_arguments(paced, dest)) as process:
            wait_until(lambda: paced.sent_bytes)
            for how in ("--repair", "--rebuild"):
                done = verify(how)
                assert (done.code, done.out) == (11, "")
                assert str(process.pid) in done.err
            assert process.poll() is None
