"""What the API may list: shared ids, numbers for ids, fields that are missing or odd."""

import json
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import ASSETS_PATH, File
from tests.conftest import RunProgram
from tests.lib.effects import replies
from tests.lib.example import EXAMPLE
from tests.lib.library import EMAIL, JPEG, Library, media
from tests.lib.mirrored import (
    check_mirror,
    check_records,
    check_sums,
    entry_of,
    key_of,
    manifest_of,
    media_in,
    states_of,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync


def test_the_documented_example_is_two_assets_and_three_files(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """The page's own answer: one id and one name twice, kept apart; an image named `.mp4`."""
    listed = json.loads(EXAMPLE)
    video, image = listed["uploadAssetsList"]
    files = (video["resource"], video["cover"], image["resource"])
    for file, path in zip(files, ("video.mp4", "cover", "image"), strict=True):
        file["resource"] = f"{service.url}/cdn/{path}"
    service.fail(
        replies(200, json.dumps(listed).encode(), Content_Type="application/json; charset=utf-8"),
        ASSETS_PATH,
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
    by_time = {item["updateTime"]: item for item in listed["uploadAssetsList"]}
    assert all(entry["asset"] == by_time[entry["updateTime"]] for entry in assets.values())
    check_sums(dest)
    again = sync()
    assert (again.code, again.err) == (0, "")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/" + "a" * 8_000_001,
        "http://127.0.0.1:99999/x",
        "http://[::1/x",
        "http://\ud800/x",
        "http://a\0b/x",
        "http://" + "a" * 300 + "/x",
        "http://127.0.0.1:9/\r\nHost: example.com",
    ],
    ids=lambda url: ascii(url[:40]),
)
@pytest.mark.parametrize("role", ["resource", "cover"])
def test_an_odd_url_fails_its_asset_alone(
    service: Misbehaving, library: Library, dest: Path, url: str, role: str
) -> None:
    """Whatever a URL is, the run goes on, and the message fits on a line."""
    library.add(9, "video")[role]["resource"] = url
    library.fill(3)
    summary = run_sync(service, dest, max_attempts=1).summary
    assert (summary.exit_code, summary.assets.failed, summary.assets.new) == (3, 1, 3)
    assert summary.failures[0].role == role
    assert len(summary.failures[0].error) < 300
    check_records(dest)


@pytest.mark.parametrize("kind", ["video", "image"])
def test_assets_that_share_an_id_change_each_for_itself(
    service: Misbehaving, library: Library, dest: Path, kind: str
) -> None:
    """A new updateTime of one of them supersedes that one, and a deletion is its own."""
    pair = {name: library.add(number, name) for number, name in enumerate(("video", "image"))}
    for item in pair.values():
        item |= {"id": "1234567890", "name": "abcdef12345.mp4"}
    assert run_sync(service, dest).summary.exit_code == 0
    old = key_of(pair[kind])
    library.change(pair[kind], media(kind, "new"))
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.changed, summary.assets.unchanged) == (0, 1, 1)
    assert [key for key, state in states_of(dest).items() if state == "superseded"] == [old]
    check_mirror(dest, library)
    library.delete(pair[kind])
    assert run_sync(service, dest).summary.assets.gone == 1
    check_mirror(dest, library)


def test_assets_of_one_id_and_type_are_kept_apart(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Two keys and two paths, and a change of one of them is known by the one that is left."""
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
