"""An asset that changes at Kling: its old version is kept, and no byte is fetched twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import File
from tests.lib.effects import replies
from tests.lib.library import Library, media
from tests.lib.mirrored import (
    HISTORY,
    check_mirror,
    check_records,
    check_sums,
    entry_of,
    in_history,
    key_of,
    manifest_of,
    states_of,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync


def test_a_changed_asset_replaces_the_old_version_which_is_kept(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """New bytes take the path; the old ones are in history, on record, and in SHA256SUMS."""
    item = items[0]
    old_key, old = key_of(item), entry_of(dest, item)
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
    check_sums(dest)
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
    assert sorted(states_of(dest).values()) == ["current"] * 12 + ["superseded"] * 12
    check_mirror(dest, library)
    check_sums(dest)


def test_the_same_bytes_without_a_validator_are_reused(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Where only the bytes can decide, they are fetched, found the same, and counted so."""
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
    """Only a copy that still has its hash is offered to the CDN; a damaged one is fetched again."""
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
    assert sorted(in_history(dest).values()) == sorted(bodies[:3])
    assert sorted(states_of(dest).values()) == ["current"] * 12 + ["superseded"] * 3
    check_mirror(dest, library)
    check_sums(dest)


def test_a_change_that_cannot_be_fetched_leaves_the_old_version(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Exit 3; the old version stays current, in its place, and is not gone; until it is cured."""
    item, old_key = items[1], key_of(items[1])
    before = (dest / entry_of(dest, item)["resource"]["path"]).read_bytes()
    library.change(item, media("image", "new"))
    service.fail(replies(500, Retry_After="0"), "/cdn/image/1")
    for _ in range(2):
        summary = run_sync(service, dest).summary
        assert (summary.exit_code, summary.assets.failed, summary.assets.gone) == (3, 1, 0)
        assert set(manifest_of(dest)["failures"]) == {key_of(item)}
        assert states_of(dest)[old_key] == "current"
        stored = manifest_of(dest)["assets"][old_key]["resource"]
        assert (dest / stored["path"]).read_bytes() == before
        check_records(dest)
    service.faults.clear()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.changed) == (0, 1)
    assert states_of(dest)[old_key] == "superseded"
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
    check_sums(dest)


def test_a_change_that_is_taken_back(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """An older updateTime that is listed again is current again, the newer one superseded."""
    item = items[1]
    first, old = library.files["/cdn/image/1"], key_of(item)
    library.change(item, media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    new = key_of(item)
    item["updateTime"] -= 60_000
    library.files["/cdn/image/1"] = first
    assert run_sync(service, dest).summary.exit_code == 0
    assert (states_of(dest)[old], states_of(dest)[new]) == ("current", "superseded")
    check_mirror(dest, library)
    check_sums(dest)
