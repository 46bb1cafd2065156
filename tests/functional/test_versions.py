"""Which version of which asset a listed item is, and when one replaces another."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import ASSETS_PATH
from tests.conftest import RunProgram
from tests.lib.damage import flip
from tests.lib.effects import edits, is_page, meanwhile, replies, without
from tests.lib.library import EMAIL, OTHER, Library, media
from tests.lib.mirrored import (
    check_mirror,
    check_records,
    check_sums,
    entry_of,
    in_history,
    key_of,
    manifest_of,
    media_in,
    snapshot,
    states_of,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync

NO_TIME = ("updateTime", "createTime")


# Superseded, by proof alone.


def test_an_unproven_listing_replaces_nothing(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """The new version lies beside the old one, until a proven listing says that it replaces it."""
    item, old = items[1], key_of(items[1])
    library.change(item, media("image", "new"))
    numbers = itertools.count(100)
    fault = service.fail(
        meanwhile(lambda: library.add(next(numbers), "audio", size=50)),
        ASSETS_PATH,
        when=is_page(1),
    )
    summary = run_sync(service, dest, page_size=5).summary
    assert (summary.exit_code, summary.listing.proven) == (5, False)
    assert (states_of(dest)[old], states_of(dest)[key_of(item)]) == ("current", "current")
    assert in_history(dest) == {}
    service.faults.remove(fault)
    service.forget()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.gone) == (0, 0)
    assert (states_of(dest)[old], states_of(dest)[key_of(item)]) == ("superseded", "current")
    assert not [request for request in service.cdn_requests() if request.path == "/cdn/image/1"]
    check_mirror(dest, library)
    check_sums(dest)
    after = snapshot(dest)
    assert not run_sync(service, dest).has_news
    assert snapshot(dest) == after


def test_a_listing_with_an_unreadable_item_of_that_id_replaces_nothing(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """The item may be the very version that seems to be missing."""
    item, old = items[1], key_of(items[1])
    library.change(item, media("image", "new"))
    service.fail(
        edits(lambda listed: listed.append({"id": item["id"], "resource": 5})), ASSETS_PATH
    )
    assert run_sync(service, dest).summary.exit_code == 3
    assert (states_of(dest)[old], states_of(dest)[key_of(item)]) == ("current", "current")
    service.faults.clear()
    assert run_sync(service, dest).summary.exit_code == 0
    assert states_of(dest)[old] == "superseded"
    check_mirror(dest, library)


def test_another_accounts_asset_replaces_nothing(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """The same id and type, owned by another user: two assets, each with versions of its own."""
    mine = library.add(1, "image", email=EMAIL)
    other = library.add(2, "image", email=OTHER)
    other["id"] = mine["id"]
    assert run_sync(service, dest, email=[EMAIL]).summary.exit_code == 0
    for _ in range(2):
        assert run_sync(service, dest, email=[OTHER]).summary.exit_code == 0
        assert states_of(dest) == {key_of(mine): "current", key_of(other): "current"}
    old = key_of(other)
    library.change(other, media("image", "new"))
    assert run_sync(service, dest, email=[OTHER]).summary.assets.changed == 1
    states = {key_of(mine): "current", key_of(other): "current", old: "superseded"}
    assert states_of(dest) == states


def test_what_earlier_programs_recorded_twice_is_put_right(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Two current entries of one asset, one of them without a time: the listing decides."""
    item = library.add(1, "image")
    library.add(2, "image")
    real, item["updateTime"] = item["updateTime"], 0
    assert run_sync(service, dest).summary.exit_code == 0
    phantom = key_of(item)
    item["updateTime"] = real
    manifest = manifest_of(dest)
    assert run_sync(service, dest).summary.exit_code == 0
    now = manifest_of(dest)
    now["assets"][phantom] = manifest["assets"][phantom]
    (dest / "manifest.json").write_text(json.dumps(now))
    kept = dest / now["assets"][phantom]["resource"]["path"]
    now["assets"][phantom]["resource"]["path"] = "image/phantom.png"
    (dest / "manifest.json").write_text(json.dumps(now))
    (dest / "image/phantom.png").write_bytes(kept.read_bytes())
    assert run_sync(service, dest).summary.exit_code == 0
    assert states_of(dest)[phantom] == "superseded"
    check_mirror(dest, library)
    check_sums(dest)


def test_one_version_replaces_all_that_there_are(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Two entries of one asset, left side by side by unproven listings: both are superseded."""
    item, keys = items[1], [key_of(items[1])]
    numbers = itertools.count(100)
    upload = meanwhile(lambda: library.add(next(numbers), "audio", size=50))
    for version in ("second", "third"):
        library.change(item, media("image", version))
        keys.append(key_of(item))
        if version == "third":
            service.faults.clear()
        else:
            service.fail(upload, ASSETS_PATH, when=is_page(1))
        run_sync(service, dest, page_size=5)
    assert [states_of(dest)[key] for key in keys] == ["superseded", "superseded", "current"]
    check_mirror(dest, library)
    check_sums(dest)


def test_a_gone_version_that_comes_back_replaces_what_came_after_it(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """It is listed again, and the version after it is not: neither is missed, one is current."""
    item = items[1]
    first = dict(item)
    library.accounts[EMAIL].remove(item)
    assert run_sync(service, dest).summary.assets.gone == 1
    library.accounts[EMAIL].append(item)
    library.change(item, media("image", "second"))
    second = key_of(item)
    assert run_sync(service, dest).summary.exit_code == 0
    library.accounts[EMAIL][-1] = first
    for _ in range(2):
        assert run_sync(service, dest).summary.exit_code == 0
    assert (states_of(dest)[key_of(first)], states_of(dest)[second]) == ("current", "superseded")
    check_sums(dest)


# Items without a time.


@pytest.mark.parametrize("names", [NO_TIME, ("updateTime",)])
def test_a_night_without_times_changes_nothing(
    service: Misbehaving,
    library: Library,
    dest: Path,
    items: list[dict[str, Any]],
    names: tuple[str, ...],
) -> None:
    """Each item is the version that we have, also where that was updated once."""
    for item in items[:4]:
        library.change(item, media(item["contentType"], ("new", item["id"])))
    assert run_sync(service, dest).summary.assets.changed == 4
    before = snapshot(dest)
    service.forget()
    fault = service.fail(without(*names), ASSETS_PATH)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.unchanged, summary.listing.walks) == (0, 12, 1)
    assert service.cdn_requests() == []
    assert snapshot(dest) == before
    service.faults.remove(fault)
    assert run_sync(service, dest).summary.assets.unchanged == 12
    assert snapshot(dest) == before


def test_a_night_without_types_changes_nothing(
    service: Misbehaving, dest: Path, items: list[dict[str, Any]]
) -> None:
    """An item whose `contentType` is left out is the asset of its id and time."""
    before = snapshot(dest)
    service.fail(without("contentType"), ASSETS_PATH)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.unchanged) == (0, len(items))
    assert snapshot(dest) == before


def test_what_is_lost_here_is_fetched_on_a_night_without_times(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """It is recorded under the time that it had, and nothing is forgotten that is left out."""
    before = entry_of(dest, items[1])
    (dest / before["resource"]["path"]).unlink()
    service.fail(without(*NO_TIME, "contentType", "name"), ASSETS_PATH)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.repaired) == (0, 1)
    check_mirror(dest, library)
    after = entry_of(dest, items[1])
    for name in ("updateTime", "createTime", "contentType", "name"):
        assert after[name] == before[name]


@pytest.mark.parametrize("names", [NO_TIME, ("updateTime",)])
@pytest.mark.parametrize("answers", [1, 2, 3, 4, 5])
def test_a_first_run_with_some_answers_without_times(
    service: Misbehaving, library: Library, dest: Path, names: tuple[str, ...], answers: int
) -> None:
    """Each asset counts once, and later runs find nothing to do, or a change of the time."""
    items = library.fill(7)
    for item in items:
        item["updateTime"] += 1
    service.fail(without(*names), ASSETS_PATH, times=answers)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.new, summary.listing.assets) == (0, 7, 7)
    again = run_sync(service, dest).summary
    assert (again.exit_code, again.assets.listed, again.files.fetched) == (0, 7, 0)
    last = run_sync(service, dest)
    assert (last.summary.assets.unchanged, last.has_news) == (7, False)
    check_mirror(dest, library)


def test_pages_without_times_in_every_walk_of_a_first_run(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """An asset that came with its time once is known by it; the others are, once they do."""
    library.fill(12)
    service.fail(without(*NO_TIME), ASSETS_PATH, when=is_page(2))
    for _ in range(2):
        summary = run_sync(service, dest, page_size=5).summary
        assert (summary.exit_code, summary.assets.listed) == (0, 12)
    undated = [key for key in states_of(dest) if key.endswith("@0")]
    assert (len(states_of(dest)), len(undated)) == (12, 3)
    service.faults.clear()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.changed, summary.files.fetched) == (0, 3, 0)
    check_mirror(dest, library)


def test_a_video_and_an_image_of_one_id_without_times(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Both are mirrored, and both are known again, in any order, and once they have times."""
    pair = [library.add(1, "video", cover=False), library.add(2, "image")]
    for item in pair:
        item["id"] = "77"
    fault = service.fail(without(*NO_TIME), ASSETS_PATH)
    assert run_sync(service, dest).summary.assets.new == 2
    assert {*manifest_of(dest)["assets"]} in ({"77@0", "77@0@image"}, {"77@0", "77@0@video"})
    assert {path.partition("/")[0] for path in media_in(dest)} == {"video", "image"}
    library.accounts[EMAIL].reverse()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.unchanged) == (0, 2)
    service.faults.remove(fault)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.changed, summary.files.fetched) == (0, 2, 0)
    assert sorted(states_of(dest).values()) == ["current"] * 2 + ["superseded"] * 2
    check_mirror(dest, library)
    check_sums(dest)


# Two assets of one id and time.


@pytest.fixture
def twins(library: Library) -> list[dict[str, Any]]:
    """A video and an image that share id and time, in the order in which they are listed."""
    twins = [library.add(1, "video", cover=False), library.add(2, "image")]
    twins[1] |= {name: twins[0][name] for name in ("id", "createTime", "updateTime")}
    return twins


def _twin_keys(twins: list[dict[str, Any]]) -> dict[str, str]:
    key = key_of(twins[0])
    return {key: "video", f"{key}@image": "image"}


def _types(dest: Path) -> dict[str, str]:
    assets = manifest_of(dest)["assets"].items()
    return {key: entry["contentType"] for key, entry in assets if entry["state"] != "superseded"}


def test_assets_of_one_id_and_time_are_both_mirrored(
    service: Misbehaving, library: Library, dest: Path, twins: list[dict[str, Any]]
) -> None:
    """The second has a key that names its type, and keeps it when the order changes."""
    for _ in range(2):
        assert run_sync(service, dest).summary.exit_code == 0
        assert _types(dest) == _twin_keys(twins)
    for item in twins:
        [path] = [path for path in media_in(dest) if path.startswith(item["contentType"])]
        file = item["resource"]["resource"].partition("?")[0]
        assert (dest / path).read_bytes() == library.files[file].body
    check_records(dest)
    before = snapshot(dest)
    library.accounts[EMAIL].reverse()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.unchanged, summary.listing.walks) == (0, 2, 1)
    assert snapshot(dest) == before


def test_a_night_without_types_misses_no_twin(
    service: Misbehaving, library: Library, dest: Path, twins: list[dict[str, Any]]
) -> None:
    """Two items of one id and time are the two that we have; one alone is the current one."""
    assert run_sync(service, dest).summary.assets.new == 2
    fault = service.fail(without("contentType"), ASSETS_PATH)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.unchanged) == (0, 2)
    service.faults.remove(fault)
    library.change(twins[0], media("video", "new"))
    assert run_sync(service, dest).summary.assets.changed == 1
    before = states_of(dest)
    service.faults.append(fault)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.unchanged) == (0, 2)
    assert states_of(dest) == before


@pytest.mark.parametrize("which", [0, 1])
def test_a_twin_changes_goes_and_comes_back_for_itself(
    service: Misbehaving, library: Library, dest: Path, twins: list[dict[str, Any]], which: int
) -> None:
    """Whatever becomes of one of them, the other stays as it is."""
    library.add(9, "audio")
    assert run_sync(service, dest).summary.assets.new == 3
    keys = [key_of(twins[0]), f"{key_of(twins[0])}@image"]
    library.accounts[EMAIL].remove(twins[which])
    assert run_sync(service, dest).summary.assets.gone == 1
    assert states_of(dest)[keys[which]] == "gone"
    assert states_of(dest)[keys[1 - which]] == "current"
    library.accounts[EMAIL].insert(0, twins[which])
    assert run_sync(service, dest).summary.assets.unchanged == 3
    assert set(states_of(dest).values()) == {"current"}
    library.change(twins[which], media(twins[which]["contentType"], "new"))
    assert run_sync(service, dest).summary.assets.changed == 1
    assert states_of(dest)[keys[which]] == "superseded"
    assert states_of(dest)[keys[1 - which]] == "current"
    check_sums(dest)


def test_the_second_of_two_keeps_its_key_though_the_first_has_none(
    service: Misbehaving, library: Library, dest: Path, twins: list[dict[str, Any]]
) -> None:
    """A failure is known by its type as well, and the file that comes later gets its own key."""
    service.fail(replies(500, Retry_After="0"), "/cdn/video/1")
    assert run_sync(service, dest).summary.exit_code == 3
    key = key_of(twins[0])
    assert _types(dest) == {f"{key}@image": "image"}
    failure = manifest_of(dest)["failures"][key]
    assert (failure["contentType"], failure["name"]) == ("video", "clip1.mp4")
    library.accounts[EMAIL].reverse()
    assert run_sync(service, dest).summary.exit_code == 3
    assert manifest_of(dest)["failures"][key]["attempts"] == 2
    service.faults.clear()
    assert run_sync(service, dest).summary.exit_code == 0
    assert _types(dest) == _twin_keys(twins)
    assert manifest_of(dest)["failures"] == {}


def test_a_failure_of_the_second_of_two_is_its_own(
    service: Misbehaving, dest: Path, twins: list[dict[str, Any]]
) -> None:
    """It has the second's key, and goes when the second's file comes."""
    service.fail(replies(500, Retry_After="0"), "/cdn/image/2")
    for attempts in (1, 2):
        assert run_sync(service, dest).summary.exit_code == 3
        [(key, failure)] = manifest_of(dest)["failures"].items()
        assert (key, failure["attempts"]) == (f"{key_of(twins[0])}@image", attempts)
    service.faults.clear()
    assert run_sync(service, dest).summary.exit_code == 0
    assert manifest_of(dest)["failures"] == {}
    assert _types(dest) == _twin_keys(twins)


@pytest.mark.parametrize("which", [0, 1])
def test_repair_knows_two_assets_of_one_id_and_time_apart(
    service: Misbehaving, dest: Path, twins: list[dict[str, Any]], verify: RunProgram, which: int
) -> None:
    """The damaged one is repaired with its own bytes; the other is not touched."""
    assert run_sync(service, dest).summary.exit_code == 0
    before = snapshot(dest)
    key = [*_twin_keys(twins)][which]
    flip(dest / manifest_of(dest)["assets"][key]["resource"]["path"])
    assert verify("--repair").code == 0
    assert {path: before[path] for path in media_in(dest)} == {
        path: digest for path, digest in snapshot(dest).items() if path in media_in(dest)
    }
    assert verify().code == 0
    assert _types(dest) == _twin_keys(twins)


# Items that say too little.


def test_ids_alone_prove_nothing(
    service: Misbehaving, dest: Path, items: list[dict[str, Any]]
) -> None:
    """A listing of nothing else is no proof against real assets: exit 3, all stays as it is."""
    service.fail(without(*{*items[0]} - {"id"}), ASSETS_PATH)
    before = states_of(dest)
    summary = run_sync(service, dest, max_gone="100%").summary
    assert (summary.exit_code, summary.assets.failed, summary.assets.gone) == (3, 12, 0)
    assert states_of(dest) == before
    service.faults.clear()
    assert run_sync(service, dest).summary.exit_code == 0
    assert manifest_of(dest)["failures"] == {}


def test_an_id_alone_among_others_keeps_all_from_being_gone(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """It may be any version of anything; once it is away, what was deleted is gone."""
    library.delete(items[0])
    service.fail(edits(lambda listed: listed.append({"id": "5"})), ASSETS_PATH)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.gone) == (3, 0)
    service.faults.clear()
    assert run_sync(service, dest).summary.assets.gone == 1


@pytest.mark.parametrize("field", ["createTime", "name", "userId"])
def test_an_odd_field_that_nobody_needs_keeps_no_asset_out(
    service: Misbehaving, library: Library, dest: Path, field: str
) -> None:
    """A text in place of a number, or the reverse."""
    item = library.add(1, "image")
    item[field] = {"odd": True}
    assert run_sync(service, dest).summary.exit_code == 0
    entry = entry_of(dest, item)
    assert entry["asset"][field] == {"odd": True}
    assert (dest / entry["resource"]["path"]).read_bytes() == library.files["/cdn/image/1"].body
    assert run_sync(service, dest).summary.assets.unchanged == 1


# Failures.


def test_a_failure_goes_when_its_file_is_back(
    service: Misbehaving, dest: Path, items: list[dict[str, Any]]
) -> None:
    """A file that a person put back settles it, though nothing is fetched."""
    path = dest / entry_of(dest, items[1])["resource"]["path"]
    body = path.read_bytes()
    path.unlink()
    service.fail(replies(500, Retry_After="0"), "/cdn/*")
    assert run_sync(service, dest).summary.exit_code == 3
    failure = manifest_of(dest)["failures"][key_of(items[1])]
    assert (failure["name"], failure["contentType"]) == ("clip1.png", "image")
    path.write_bytes(body)
    assert run_sync(service, dest).summary.exit_code == 0
    assert manifest_of(dest)["failures"] == {}


@pytest.mark.parametrize("filters", [{}, {"content_type": ["image"]}, {"file_name": "clip1."}])
def test_a_failure_goes_when_its_asset_is_no_longer_listed(
    service: Misbehaving,
    library: Library,
    dest: Path,
    items: list[dict[str, Any]],
    filters: dict[str, Any],
) -> None:
    """A filter that would let it through says so as well as no filter."""
    item = items[1]
    library.change(item, media("image", "new"))
    service.fail(replies(500, Retry_After="0"), "/cdn/image/1")
    assert run_sync(service, dest).summary.exit_code == 3
    library.delete(item)
    assert run_sync(service, dest, content_type=["audio"]).summary.exit_code == 0
    assert set(manifest_of(dest)["failures"]) == {key_of(item)}
    assert run_sync(service, dest, **filters).summary.exit_code == 0
    assert manifest_of(dest)["failures"] == {}
