"""What becomes of an asset over many runs: changed, gone, back, damaged, filtered, adopted."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import ASSETS_PATH, File
from tests.conftest import RunProgram
from tests.lib.effects import replies
from tests.lib.library import EMAIL, JPEG, Library, media
from tests.lib.mirrored import (
    check_mirror,
    check_output,
    check_records,
    entry_of,
    left_over,
    manifest_of,
    media_in,
    snapshot,
    stored_of,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import Notes, run_sync

KINDS = ("video", "image", "audio")
OTHER = "other@example.com"
HISTORY = ".kling-mirror/history/"


@pytest.fixture
def items(service: Misbehaving, library: Library, dest: Path) -> list[dict[str, Any]]:
    """A dozen assets, mirrored; the requests so far are forgotten."""
    items = [library.add(number, KINDS[number % 3], size=300) for number in range(12)]
    assert run_sync(service, dest).summary.exit_code == 0
    service.forget()
    return items


def _states(dest: Path) -> dict[str, str]:
    return {key: entry["state"] for key, entry in manifest_of(dest)["assets"].items()}


def _key(item: dict[str, Any]) -> str:
    return f"{item['id']}@{item['updateTime']}"


def _in_history(dest: Path) -> dict[str, bytes]:
    folder = dest / HISTORY
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _check_sums(dest: Path) -> None:
    """As a user would, without this program."""
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=dest, check=True)  # noqa: S607


# Changed.


def test_a_changed_asset_replaces_the_old_version_which_is_kept(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """New bytes take the path; the old ones are in history, on record, and in SHA256SUMS."""
    item = items[0]
    old_key, old = _key(item), entry_of(dest, item)
    old_body = (dest / old["resource"]["path"]).read_bytes()
    library.change(item, media("video", "new", 5000))
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.changed, summary.assets.unchanged) == (0, 1, 11)
    assert (summary.files.fetched, summary.files.reused, summary.files.bytes) == (1, 1, 5000)
    assert entry_of(dest, item)["resource"]["path"] == old["resource"]["path"]
    before = manifest_of(dest)["assets"][old_key]
    assert (before["state"], before["gone_since"]) == ("superseded", None)
    for role in ("resource", "cover"):
        assert before[role]["path"].startswith(HISTORY)
        assert before[role]["sha256"] == old[role]["sha256"]
    assert (dest / before["resource"]["path"]).read_bytes() == old_body
    check_mirror(dest, library)
    _check_sums(dest)
    assert run_sync(service, dest).summary.assets.unchanged == 12


def test_a_change_of_the_time_alone_fetches_nothing(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """The same URLs with the same ETags: 304, `reused`, no bytes; the record is the new one."""
    for item in items:
        library.change(item)
    summary = run_sync(service, dest).summary
    files = 12 + 4
    assert (summary.exit_code, summary.assets.changed) == (0, 12)
    assert (summary.files.fetched, summary.files.reused, summary.files.bytes) == (0, files, 0)
    assert len(service.cdn_requests()) == files
    tags = {request.path: request.headers["if-none-match"] for request in service.cdn_requests()}
    assert tags == {path: file.etag for path, file in library.files.items()}
    assert sorted(_states(dest).values()) == ["current"] * 12 + ["superseded"] * 12
    check_mirror(dest, library)
    _check_sums(dest)


def test_the_same_bytes_without_a_validator_are_reused(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Where only the bytes can tell, they are fetched, found the same, and counted so."""
    item = library.add(1, "image")
    path = "/cdn/image/1"
    library.files[path] = File(library.files[path].body, "image/png", "", "")
    assert run_sync(service, dest).summary.exit_code == 0
    library.change(item)
    files = run_sync(service, dest).summary.files
    assert (files.fetched, files.reused, files.bytes) == (0, 1, 2000)
    check_mirror(dest, library)


def test_an_etag_of_another_url_proves_nothing(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """A changed asset at another URL is fetched, even if the ETag there is the old one."""
    item = items[1]
    old = library.files["/cdn/image/1"]
    body = media("image", "elsewhere", 300)
    library.files["/cdn/image/1b"] = File(body, "image/png", old.etag, old.last_modified)
    item["resource"]["resource"] = "/cdn/image/1b"
    item["updateTime"] += 1
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.files.fetched, summary.files.bytes) == (0, 1, 300)
    check_mirror(dest, library)


@pytest.mark.parametrize("damage", [lambda body: b"\0" + body[1:], lambda body: body[:-1]])
def test_a_304_does_not_vouch_for_a_damaged_file(
    service: Misbehaving,
    library: Library,
    dest: Path,
    items: list[dict[str, Any]],
    damage: Callable[[bytes], bytes],
) -> None:
    """Only a copy that still has its hash is offered to the CDN; a damaged one is fetched anew."""
    path = dest / entry_of(dest, items[1])["resource"]["path"]
    path.write_bytes(damage(path.read_bytes()))
    library.change(items[1])
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.files.bytes) == (0, 300)
    assert (dest / entry_of(dest, items[1])["resource"]["path"]).read_bytes() == (
        library.files["/cdn/image/1"].body
    )


def test_every_version_is_kept(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Three changes leave three versions in history, each as it was."""
    item, bodies = items[1], [library.files["/cdn/image/1"].body]
    for number in range(3):
        library.change(item, media("image", ("version", number)))
        bodies.append(library.files["/cdn/image/1"].body)
        assert run_sync(service, dest).summary.exit_code == 0
    assert sorted(_in_history(dest).values()) == sorted(bodies[:3])
    assert sorted(_states(dest).values()) == ["current"] * 12 + ["superseded"] * 3
    check_mirror(dest, library)
    _check_sums(dest)


def test_a_change_that_cannot_be_fetched_leaves_the_old_version(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Exit 3; the old version stays current, in its place, and is not gone; until it is cured."""
    item, old_key = items[1], _key(items[1])
    before = (dest / entry_of(dest, item)["resource"]["path"]).read_bytes()
    library.change(item, media("image", "new"))
    service.fail(replies(500, Retry_After="0"), "/cdn/image/1")
    for _ in range(2):
        summary = run_sync(service, dest).summary
        assert (summary.exit_code, summary.assets.failed, summary.assets.gone) == (3, 1, 0)
        assert set(manifest_of(dest)["failures"]) == {_key(item)}
        assert _states(dest)[old_key] == "current"
        stored = manifest_of(dest)["assets"][old_key]["resource"]
        assert (dest / stored["path"]).read_bytes() == before
        check_records(dest)
    service.faults.clear()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.changed) == (0, 1)
    assert _states(dest)[old_key] == "superseded"
    check_mirror(dest, library)


def test_a_new_name_is_a_new_path(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """A changed asset under another name leaves nothing under the old one but its history."""
    item = items[1]
    old_path = entry_of(dest, item)["resource"]["path"]
    item["name"] = "renamed.png"
    library.change(item, media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    assert "renamed" in entry_of(dest, item)["resource"]["path"]
    assert not (dest / old_path).exists()
    check_mirror(dest, library)
    _check_sums(dest)


def test_a_change_that_is_taken_back(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """An older updateTime that is listed again is current again, the newer one superseded."""
    item = items[1]
    first, old = library.files["/cdn/image/1"], _key(item)
    library.change(item, media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    new = _key(item)
    item["updateTime"] -= 60_000
    library.files["/cdn/image/1"] = first
    assert run_sync(service, dest).summary.exit_code == 0
    assert (_states(dest)[old], _states(dest)[new]) == ("current", "superseded")
    check_mirror(dest, library)
    _check_sums(dest)


# Gone, and back.


def test_a_deleted_asset_is_gone_and_its_files_stay(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Marked with the time, once; no byte is touched, and the next runs have no news of it."""
    item = items[0]
    before = media_in(dest)
    library.delete(item)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.gone, summary.assets.unchanged) == (0, 1, 11)
    assert entry_of(dest, item)["state"] == "gone"
    assert entry_of(dest, item)["gone_since"] >= summary.started
    assert media_in(dest) == before
    check_mirror(dest, library)
    _check_sums(dest)
    after = snapshot(dest)
    result = run_sync(service, dest)
    assert (result.summary.assets.gone, result.summary.listing.walks) == (0, 1)
    assert not result.has_news
    assert snapshot(dest) == after


def test_an_asset_that_comes_back_is_current_without_a_download(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Its files are here: only the record changes."""
    item = items[1]
    library.accounts[EMAIL].remove(item)
    assert run_sync(service, dest).summary.assets.gone == 1
    library.accounts[EMAIL].append(item)
    service.forget()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.unchanged, summary.files.fetched) == (0, 12, 0)
    assert service.cdn_requests() == []
    assert (entry_of(dest, item)["state"], entry_of(dest, item)["gone_since"]) == ("current", None)
    check_mirror(dest, library)


def test_an_asset_that_comes_back_changed_is_new(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """What was gone stays as it was; the new version lies beside it, or in its place."""
    item, body = items[1], library.files["/cdn/image/1"].body
    old_key = _key(item)
    library.accounts[EMAIL].remove(item)
    assert run_sync(service, dest).summary.assets.gone == 1
    library.accounts[EMAIL].append(item)
    library.change(item, media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    old = manifest_of(dest)["assets"][old_key]
    assert old["state"] in {"gone", "superseded"}
    assert (dest / old["resource"]["path"]).read_bytes() == body
    check_mirror(dest, library)
    _check_sums(dest)


def test_what_is_gone_and_lost_here_too_comes_back_whole(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """A gone asset whose file was deleted here is fetched when Kling lists it again."""
    item = items[1]
    library.accounts[EMAIL].remove(item)
    assert run_sync(service, dest).summary.assets.gone == 1
    (dest / entry_of(dest, item)["resource"]["path"]).unlink()
    assert run_sync(service, dest).summary.exit_code == 0
    library.accounts[EMAIL].append(item)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.files.fetched) == (0, 1)
    check_mirror(dest, library)


@pytest.mark.parametrize(
    ("size", "deleted", "max_gone", "code"),
    [
        (12, 5, None, 0),
        (12, 6, None, 5),
        (60, 6, None, 0),
        (60, 7, None, 5),
        (12, 6, "6", 0),
        (12, 6, "5", 5),
        (12, 6, "50%", 0),
        (12, 6, "49%", 5),
        (12, 1, "0", 5),
        (12, 0, "0", 0),
        (12, 11, "100%", 0),
    ],
)
def test_too_much_vanishing_at_once_is_not_believed(  # noqa: PLR0917 - fixtures, by name
    service: Misbehaving,
    library: Library,
    dest: Path,
    size: int,
    deleted: int,
    max_gone: str | None,
    code: int,
) -> None:
    """More than `--max-gone`, by default the larger of 5 and 10 %, marks nothing: exit 5."""
    items = [library.add(number, "image", size=50) for number in range(size)]
    assert run_sync(service, dest).summary.exit_code == 0
    before = snapshot(dest)
    for item in items[:deleted]:
        library.delete(item)
    result = run_sync(service, dest, max_gone=max_gone)
    assert (result.summary.exit_code, result.summary.listing.proven) == (code, True)
    assert result.summary.assets.gone == (0 if code else deleted)
    if code:
        assert f"--max-gone {deleted}" in result.errors[0].hint
        assert snapshot(dest) == before
        assert run_sync(service, dest, max_gone=str(deleted)).summary.exit_code == 0
    assert list(_states(dest).values()).count("gone") == deleted


def test_a_run_that_believes_nothing_still_mirrors_what_is_new(
    sync: RunProgram, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Exit 5 with its three lines; new assets are mirrored all the same."""
    for item in items[:8]:
        library.delete(item)
    new = library.add(50)
    done = sync()
    assert done.code == 5
    check_output(done.out, done.err)
    assert "8 of 12 assets vanished" in done.err
    assert entry_of(dest, new)["state"] == "current"
    assert "gone" not in _states(dest).values()


# Filters.


@pytest.mark.parametrize(
    "filters",
    [
        {"content_type": ["audio"]},
        {"content_type": ["audio", "image"]},
        {"file_name": "clip1."},
        {"file_name": "CLIP1."},
        {"content_type": ["audio"], "file_name": "nothing-has-this-name"},
    ],
)
def test_filters_never_mark_gone(
    service: Misbehaving,
    library: Library,
    dest: Path,
    items: list[dict[str, Any]],
    filters: dict[str, object],
) -> None:
    """What is outside of a filter, and even what vanished inside, is left as it is: exit 0."""
    before = snapshot(dest)
    for item in (items[0], items[1], items[2]):
        library.delete(item)
    result = run_sync(service, dest, **filters)  # type: ignore[arg-type]
    assert (result.summary.exit_code, result.summary.assets.gone) == (0, 0)
    assert result.summary.assets.listed == result.summary.assets.unchanged
    assert snapshot(dest) == before
    assert service.cdn_requests() == []
    assert run_sync(service, dest).summary.assets.gone == 3


def test_filters_choose_what_is_mirrored(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Only what passes is fetched and listed; the rest comes when the filter goes."""
    for number in range(6):
        library.add(number, KINDS[number % 3], size=100)
    summary = run_sync(service, dest, content_type=["video", "image"]).summary
    assert (summary.exit_code, summary.assets.new, summary.assets.filtered) == (0, 4, 2)
    assert {entry["contentType"] for entry, _ in stored_of(dest)} == {"video", "image"}
    summary = run_sync(service, dest, content_type=["audio"], file_name="clip2").summary
    assert (summary.exit_code, summary.assets.new, summary.assets.listed) == (0, 1, 1)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.new) == (0, 1)
    check_mirror(dest, library)


def test_a_filter_keeps_failures_of_what_it_leaves_out(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """A failed asset stays on record while a filter hides it."""
    item = library.add(1, "image")
    library.add(2, "audio")
    service.fail(replies(500, Retry_After="0"), "/cdn/image/1")
    assert run_sync(service, dest).summary.exit_code == 3
    assert run_sync(service, dest, content_type=["audio"]).summary.exit_code == 0
    assert set(manifest_of(dest)["failures"]) == {_key(item)}


def test_covers_that_were_left_out_come_with_the_next_run(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """`--no-covers`, then without it: the covers alone are fetched; then with it: they stay."""
    items = [library.add(number, "video", size=100) for number in range(3)]
    summary = run_sync(service, dest, no_covers=True).summary
    assert (summary.exit_code, summary.files.fetched) == (0, 3)
    assert all(entry_of(dest, item)["cover"] is None for item in items)
    assert run_sync(service, dest, no_covers=True).summary.assets.unchanged == 3
    service.forget()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.files.fetched) == (0, 3)
    assert all(request.path.endswith(".cover") for request in service.cdn_requests())
    check_mirror(dest, library)
    before = snapshot(dest)
    assert run_sync(service, dest, no_covers=True).summary.assets.unchanged == 3
    assert snapshot(dest) == before


# What happens to the files here.


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
    _check_sums(dest)


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
    _check_sums(dest)


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
    assert list(_in_history(dest).values()) == [b"my own picture"]
    assert note.read_text() == "mine"
    check_records(dest)


def test_a_file_that_is_right_already_needs_no_history(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """The same bytes at an asset's path are simply taken over."""
    item = library.add(1, "image")
    (dest / "image").mkdir(parents=True)
    mine = dest / "image" / f"clip1-{item['id']}.png"
    mine.write_bytes(library.files["/cdn/image/1"].body)
    assert run_sync(service, dest).summary.exit_code == 0
    assert _in_history(dest) == {}
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


# Dry runs.


def test_a_dry_run_before_the_first_run_writes_nothing(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path, home: Path
) -> None:
    """It lists and tells, asks the CDN for nothing, and makes no folder, not even for its state."""
    item = library.add(1)
    done = sync("--dry-run")
    assert done.code == 0
    check_output("", done.err)
    assert item["id"] in done.err
    assert json.loads(done.out)["assets"] == {
        "listed": 1, "new": 1, "changed": 0, "unchanged": 0,
        "repaired": 0, "failed": 0, "filtered": 0, "gone": 0,
    }  # fmt: skip
    assert service.cdn_requests() == []
    assert not dest.exists()
    assert list(home.iterdir()) == []


def test_a_dry_run_tells_what_a_run_then_does(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """The same counts, from a mirror that is left as it is to the last byte."""
    library.add(50)
    library.change(items[1], media("image", "new"))
    library.delete(items[2])
    (dest / entry_of(dest, items[3])["cover"]["path"]).unlink()
    before = snapshot(dest), (dest / ".kling-mirror/runs.jsonl").read_bytes()
    notes = Notes()
    planned = run_sync(service, dest, notes=notes, dry_run=True).summary
    assert planned.exit_code == 0
    assert (snapshot(dest), (dest / ".kling-mirror/runs.jsonl").read_bytes()) == before
    assert service.cdn_requests() == []
    assert len(notes.plans) == 3
    real = run_sync(service, dest).summary
    assert planned.assets == real.assets
    assert (real.assets.new, real.assets.changed, real.assets.repaired) == (1, 1, 1)
    assert (real.assets.gone, real.assets.unchanged) == (1, 9)
    check_mirror(dest, library)


def test_a_dry_run_warns_of_what_a_run_would_not_believe(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Too much vanished: exit 5 in a dry run as well, and nothing is written."""
    for item in items[:8]:
        library.delete(item)
    before = snapshot(dest)
    assert run_sync(service, dest, dry_run=True).summary.exit_code == 5
    assert snapshot(dest) == before


# Accounts.


@pytest.fixture
def both(library: Library) -> dict[str, list[dict[str, Any]]]:
    """Two accounts of three assets each."""
    return {
        email: [library.add(first + number, "image", email=email, size=100) for number in range(3)]
        for email, first in ((EMAIL, 0), (OTHER, 10))
    }


def test_several_accounts_lie_side_by_side(
    sync: RunProgram, library: Library, dest: Path, both: dict[str, list[dict[str, Any]]]
) -> None:
    """`--all-accounts`: each under its own folder, with one manifest and one SHA256SUMS for all."""
    done = sync("--all-accounts")
    assert (done.code, done.summary["accounts"]) == (0, [EMAIL, OTHER])
    for email, items in both.items():
        for item in items:
            entry = entry_of(dest, item)
            assert entry["account"] == email
            assert entry["resource"]["path"].startswith(f"{email}/image/")
    check_mirror(dest, library)
    _check_sums(dest)
    again = sync("--all-accounts")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out)["listing"] == {
        "assets": 6, "pages": 4, "walks": 2, "proven": True,
    }  # fmt: skip


def test_one_accounts_listing_says_nothing_of_the_other(
    service: Misbehaving,
    library: Library,
    dest: Path,
    both: dict[str, list[dict[str, Any]]],
) -> None:
    """A run with `--email` marks gone in that account alone."""
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    for email in (EMAIL, OTHER):
        library.delete(both[email][0], email)
    summary = run_sync(service, dest, email=[OTHER]).summary
    assert (summary.exit_code, summary.assets.gone, summary.accounts) == (0, 1, [OTHER])
    assert entry_of(dest, both[EMAIL][0])["state"] == "current"
    assert entry_of(dest, both[OTHER][0])["state"] == "gone"
    assert run_sync(service, dest, email=[EMAIL]).summary.assets.gone == 1
    check_mirror(dest, library)


def test_one_account_sits_in_the_root_unless_it_is_named(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """With `--email` the type folders sit under the account's, even if it is the only one."""
    item = library.add(1, "image")
    assert run_sync(service, dest, email=[EMAIL]).summary.exit_code == 0
    assert entry_of(dest, item)["resource"]["path"].startswith(f"{EMAIL}/image/")
    check_mirror(dest, library)


@pytest.mark.parametrize("named", [{"email": [EMAIL]}, {"all_accounts": True}])
def test_entries_without_account_are_adopted(
    service: Misbehaving,
    library: Library,
    dest: Path,
    items: list[dict[str, Any]],
    named: dict[str, object],
) -> None:
    """The account that lists them takes them over, where they are, without a download."""
    before = media_in(dest)
    assert {entry["account"] for entry, _ in stored_of(dest)} == {None}
    summary = run_sync(service, dest, **named).summary  # type: ignore[arg-type]
    assert (summary.exit_code, summary.assets.unchanged, summary.files.fetched) == (0, 12, 0)
    assert service.cdn_requests() == []
    assert {entry["account"] for entry, _ in stored_of(dest)} == {EMAIL}
    assert media_in(dest) == before
    library.delete(items[0])
    new = library.add(50, "image")
    summary = run_sync(service, dest, **named).summary  # type: ignore[arg-type]
    assert (summary.exit_code, summary.assets.gone, summary.assets.new) == (0, 1, 1)
    assert entry_of(dest, new)["account"] == EMAIL
    check_mirror(dest, library)


def test_entries_of_an_account_are_known_without_its_name(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """A mirror that began with `--email` goes on without it: no download, no second copy."""
    items = [library.add(number, "image") for number in range(3)]
    assert run_sync(service, dest, email=[EMAIL]).summary.exit_code == 0
    service.forget()
    library.delete(items[0])
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.unchanged, summary.assets.gone) == (0, 2, 1)
    assert service.cdn_requests() == []
    check_mirror(dest, library)


# What the API may list.


EXAMPLE = """
{
  "uploadAssetsList": [
    {
      "id": "1234567890",
      "name": "abcdef12345.mp4",
      "userId": 12345,
      "contentType": "video",
      "resource": {
        "resource": "HOST/cdn/video.mp4?x-kcdn-pid=112452",
        "height": 1080, "width": 720, "duration": 9040, "resourceKey": ""
      },
      "cover": {
        "resource": "HOST/cdn/cover?x-kcdn-pid=112452",
        "height": 1080, "width": 720, "duration": 0, "resourceKey": ""
      },
      "createTime": 1754630473303,
      "updateTime": 1754630473303,
      "favored": false,
      "extraInfo": "{}",
      "entrance": ""
    },
    {
      "id": "1234567890",
      "name": "abcdef12345.mp4",
      "userId": 12345,
      "contentType": "image",
      "resource": {
        "resource": "HOST/cdn/image?x-kcdn-pid=112452",
        "height": 1080, "width": 720, "duration": 0, "resourceKey": ""
      },
      "cover": {
        "resource": "",
        "height": 1, "width": 1, "duration": 0, "resourceKey": ""
      },
      "createTime": 1754627757354,
      "updateTime": 1754627757354,
      "favored": false,
      "extraInfo": "{}",
      "entrance": ""
    }
  ]
}
"""


def test_the_documented_example_is_two_assets_and_three_files(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """The page's own answer: one id and one name twice, kept apart; an image named `.mp4`."""
    answer = EXAMPLE.replace("HOST", service.url)
    service.fail(
        replies(200, answer.encode(), Content_Type="application/json; charset=utf-8"), ASSETS_PATH
    )
    bodies = {
        "video/abcdef12345-1234567890.mp4": media("video", 1),
        "video/abcdef12345-1234567890.cover.jpg": JPEG + media("audio", 2),
        "image/abcdef12345-1234567890.png": media("image", 3),
    }
    for path, body in zip(("video.mp4", "cover", "image"), bodies.values(), strict=True):
        library.files[f"/cdn/{path}"] = File.of(body, "binary/octet-stream", modified_ms=0)
    done = sync()
    assert (done.code, json.loads(done.out)["assets"]["new"]) == (0, 2)
    assert media_in(dest) == set(bodies)
    assert all((dest / path).read_bytes() == body for path, body in bodies.items())
    assets = manifest_of(dest)["assets"]
    assert set(assets) == {"1234567890@1754630473303", "1234567890@1754627757354"}
    assert {entry["id"] for entry in assets.values()} == {"1234567890"}
    listed = json.loads(EXAMPLE.replace("HOST", service.url).replace("?x-kcdn-pid=112452", ""))
    by_time = {item["updateTime"]: item for item in listed["uploadAssetsList"]}
    assert all(entry["asset"] == by_time[entry["updateTime"]] for entry in assets.values())
    _check_sums(dest)
    again = sync()
    assert (again.code, again.err) == (0, "")


@pytest.mark.parametrize("kind", ["video", "image"])
def test_assets_that_share_an_id_change_each_for_itself(
    service: Misbehaving, library: Library, dest: Path, kind: str
) -> None:
    """A new updateTime of one of them supersedes that one, and a deletion is its own."""
    pair = {name: library.add(number, name) for number, name in enumerate(("video", "image"))}
    for item in pair.values():
        item |= {"id": "1234567890", "name": "abcdef12345.mp4"}
    assert run_sync(service, dest).summary.exit_code == 0
    old = _key(pair[kind])
    library.change(pair[kind], media(kind, "new"))
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.changed, summary.assets.unchanged) == (0, 1, 1)
    assert [key for key, state in _states(dest).items() if state == "superseded"] == [old]
    check_mirror(dest, library)
    library.delete(pair[kind])
    assert run_sync(service, dest).summary.assets.gone == 1
    check_mirror(dest, library)


def test_assets_of_one_id_and_type_are_kept_apart(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Two keys and two paths, and a change of one of them is told by the one that is left."""
    pair = [library.add(number, "image") for number in range(2)]
    for item in pair:
        item |= {"id": "7", "name": "same.png"}
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)
    assert len(media_in(dest)) == 2
    library.change(pair[0], media("image", "new"))
    assert run_sync(service, dest).summary.assets.changed == 1
    check_mirror(dest, library)


@pytest.mark.parametrize("number", [42, 2**53 + 1, 2**64 + 1, 10**30])
def test_an_id_that_is_a_number_is_kept_as_text(
    service: Misbehaving, library: Library, dest: Path, number: int
) -> None:
    """No digit is lost, and the same id as text is the same asset."""
    item = library.add(1, "image")
    item["id"] = number
    assert run_sync(service, dest).summary.exit_code == 0
    [entry] = manifest_of(dest)["assets"].values()
    assert entry["id"] == str(number)
    assert str(number) in entry["resource"]["path"]
    item["id"] = str(number)
    assert run_sync(service, dest).summary.assets.unchanged == 1
    check_mirror(dest, library)


BARE: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing-else": ({}, 0, "other/7.png"),
    "null-fields": ({"name": None, "contentType": None, "cover": None}, 0, "other/7.png"),
    "create-time": ({"createTime": 5000}, 5000, "other/7.png"),
    "times-as-text": ({"updateTime": "6000"}, 6000, "other/7.png"),
    "times-as-float": ({"updateTime": 7000.0}, 7000, "other/7.png"),
    "negative-time": ({"updateTime": -1}, -1, "other/7.png"),
    "far-future": ({"updateTime": 10**15}, 10**15, "other/7.png"),
    "type-and-name": ({"contentType": "image", "name": "a"}, 0, "image/a-7.png"),
    "unknown-type": ({"contentType": "3d", "name": "a.glb"}, 0, "other/a-7.png"),
    "empty-name": ({"contentType": "image", "name": ""}, 0, "image/7.png"),
    "evil-name": ({"contentType": "image", "name": "../../etc/passwd"}, 0, "image/"),
    "evil-type": ({"contentType": "../../etc", "name": "a"}, 0, "other/a-7.png"),
    "empty-cover": ({"cover": {}}, 0, "other/7.png"),
    "unknown-field": ({"tags": [{"url": "http://example.com/x?secret=1"}]}, 0, "other/7.png"),
}


@pytest.mark.parametrize(("fields", "update_time", "path"), BARE.values(), ids=BARE)
def test_every_field_but_the_id_may_be_missing_or_odd(  # noqa: PLR0917 - fixtures, by name
    service: Misbehaving,
    library: Library,
    dest: Path,
    fields: dict[str, Any],
    update_time: int,
    path: str,
) -> None:
    """An id and a URL are enough for a mirrored file, wherever the rest has gone."""
    body = media("image", 1)
    library.files["/cdn/bare"] = File.of(body, "image/png", modified_ms=0)
    library.accounts[EMAIL].append(
        {"id": "7", "resource": {"resource": "/cdn/bare?x-kcdn-pid=1"}, **fields}
    )
    assert run_sync(service, dest).summary.exit_code == 0
    [(key, entry)] = manifest_of(dest)["assets"].items()
    assert key == f"7@{update_time}"
    assert entry["resource"]["path"].startswith(path)
    assert (dest / entry["resource"]["path"]).resolve().is_relative_to(dest)
    assert (dest / entry["resource"]["path"]).read_bytes() == body
    text = (dest / "manifest.json").read_text()
    assert "x-kcdn-pid" not in text
    assert "secret=1" not in text
    check_records(dest)
    assert run_sync(service, dest).summary.assets.unchanged == 1


@pytest.mark.parametrize("fields", [{}, {"resource": None}, {"resource": {"resource": ""}}])
def test_an_asset_without_a_url_is_a_failure(
    service: Misbehaving, library: Library, dest: Path, fields: dict[str, Any]
) -> None:
    """There is nothing to mirror: exit 3, on record, and the others are mirrored."""
    good = library.add(1, "image")
    library.accounts[EMAIL].append({"id": "7", **fields})
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.new, summary.assets.failed) == (3, 1, 1)
    assert "URL" in manifest_of(dest)["failures"]["7@0"]["error"]
    assert entry_of(dest, good)["state"] == "current"
