"""Pages that lie, and a library that changes while it is listed: nothing is hidden or gone."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import ASSETS_PATH
from tests.conftest import RunProgram
from tests.lib.effects import (
    clamps,
    edits,
    is_page,
    lists_nothing,
    meanwhile,
    refuses,
    repeats_last_page,
    replies,
)
from tests.lib.library import EMAIL, Library, media
from tests.lib.mirrored import check_mirror, check_output, entry_of, key_of, manifest_of, snapshot
from tests.lib.misbehaving import Effect, Misbehaving
from tests.lib.runs import Notes, check_one_error, run_sync

ROUND = 12
PAGE = 5


# Pages that lie.


def test_a_clamped_page_size_hides_nothing(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """A service that gives 7 of the 100 that were asked for is walked to its end."""
    library.fill(30)
    service.fail(clamps(7), ASSETS_PATH)
    first = run_sync(service, dest).summary
    assert first.exit_code == 0
    # 5 pages, an empty one, and the one behind it, twice
    assert (first.listing.assets, first.listing.pages, first.listing.walks) == (30, 14, 2)
    assert first.listing.proven
    check_mirror(dest, library)
    second = run_sync(service, dest).summary
    assert (second.exit_code, second.listing.pages, second.listing.walks) == (0, 6, 1)
    assert (second.listing.proven, second.assets.unchanged) == (True, 30)


@pytest.mark.parametrize(
    ("effects", "shapes"),
    [
        pytest.param(
            [refuses("pageSize", unless="20")], [("20", "asc"), ("20", "desc")], id="pageSize"
        ),
        pytest.param([refuses("sort")], [("100", None), ("22", None)], id="sort"),
        pytest.param(
            [refuses("pageSize", unless="20"), refuses("sort")],
            [("20", None), ("20", None)],
            id="pageSize-and-sort",
        ),
    ],
)
def test_refused_parameters_are_done_without(
    service: Misbehaving,
    library: Library,
    dest: Path,
    effects: list[Effect],
    shapes: list[tuple[str, str | None]],
) -> None:
    """400 to `pageSize` or `sort` leads to the documented 20 and no order, found out only once.

    The second walk asks in another order or size, as far as the service lets it.
    """
    library.fill(25)
    for effect in effects:
        service.fail(effect, ASSETS_PATH)
    result = run_sync(service, dest)
    assert (result.summary.exit_code, result.summary.listing.proven) == (0, True)
    asked = [page[1:] for page in service.pages()]
    assert asked[0] == ("100", "asc")
    assert asked.index(shapes[0]) <= 3
    pages = {shape: len([*same]) for shape, same in itertools.groupby(asked)}
    walked = [shape for shape, number in pages.items() if number > 1]
    assert walked == list(dict.fromkeys(shapes))
    check_mirror(dest, library)


def test_a_last_page_that_repeats_for_ever_ends_the_walk(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """A page with nothing new is the end; nothing is listed twice."""
    library.fill(ROUND)
    service.fail(repeats_last_page(), ASSETS_PATH)
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.listing.proven, summary.assets.listed) == (0, True, ROUND)
    # 3 pages and two repeated ones, in pages of 5 and of 4
    assert (summary.listing.pages, summary.listing.walks) == (10, 2)
    check_mirror(dest, library)


def test_one_empty_page_in_the_middle_hides_nothing_at_first(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Two walks that differ prove nothing: a third one does."""
    library.fill(ROUND)
    service.fail(lists_nothing(), ASSETS_PATH, when=is_page(2), times=1)
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.listing.walks, summary.listing.proven) == (0, 3, True)
    check_mirror(dest, library)


@pytest.mark.parametrize("page", [1, 2, 3])
def test_one_empty_page_marks_nothing_gone(
    service: Misbehaving, dest: Path, mirrored: dict[str, str], page: int
) -> None:
    """A second walk sees what the first one missed, and a run without news changes nothing."""
    service.fail(lists_nothing(), ASSETS_PATH, when=is_page(page), times=1)
    summary = run_sync(service, dest, page_size=PAGE, max_gone="100%").summary
    assert (summary.exit_code, summary.listing.walks, summary.listing.proven) == (0, 2, True)
    assert (summary.assets.unchanged, summary.assets.gone) == (ROUND, 0)
    assert snapshot(dest) == mirrored


def test_an_empty_page_that_stays_hides_nothing(
    sync: RunProgram, service: Misbehaving, dest: Path, mirrored: dict[str, str]
) -> None:
    """Exit 5: it is no end while the page behind it has assets, however often it is lost."""
    service.fail(lists_nothing(), ASSETS_PATH, when=is_page(2))
    done = sync("--page-size", PAGE, "--max-gone", "100%")
    assert done.code == 5
    check_output(done.out, done.err)
    assert "could not be proven in 4 walks" in done.err
    assert snapshot(dest) == mirrored


def test_an_empty_page_that_stays_is_no_end_of_a_first_run(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """What lies behind it is mirrored, and the run is not called complete."""
    library.fill(ROUND)
    service.fail(lists_nothing(), ASSETS_PATH, when=is_page(2))
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.listing.proven) == (5, False)
    assert ROUND - PAGE <= summary.assets.new < ROUND


EMPTY = {
    "no-list": replies(200, b"{}"),
    "null": replies(200, b'{"uploadAssetsList": null}'),
    "empty-list": lists_nothing(),
}


@pytest.mark.parametrize("effect", EMPTY.values(), ids=EMPTY)
def test_an_empty_listing_over_a_mirror_is_not_believed(
    service: Misbehaving, dest: Path, mirrored: dict[str, str], effect: Effect
) -> None:
    """`{}` and the like: exit 5 after a second walk, even if all are allowed to vanish."""
    service.fail(effect, ASSETS_PATH)
    result = run_sync(service, dest, max_gone="100%")
    assert (result.summary.exit_code, result.summary.listing.walks) == (5, 2)
    check_one_error(result)
    assert snapshot(dest) == mirrored


def test_the_hint_about_an_empty_listing_is_true(
    sync: RunProgram, service: Misbehaving, mirrored: dict[str, str]
) -> None:
    """Advice that is given works: `--max-gone`, which an empty listing ignores, is not advised."""
    assert mirrored
    service.fail(lists_nothing(), ASSETS_PATH)
    done = sync()
    assert done.code == 5
    assert len(done.err.splitlines()) == 3
    assert "--max-gone" not in done.err


@pytest.mark.parametrize("effect", EMPTY.values(), ids=EMPTY)
def test_an_empty_library_is_complete(service: Misbehaving, dest: Path, effect: Effect) -> None:
    """Nothing uploaded is exit 0, once a second walk has said so too."""
    service.fail(effect, ASSETS_PATH)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.listing.walks, summary.listing.proven) == (0, 2, True)
    assert manifest_of(dest)["assets"] == {}


# A library that moves while it is walked.


def test_an_upload_during_the_walk_is_mirrored(
    service: Misbehaving, library: Library, dest: Path, mirrored: dict[str, str]
) -> None:
    """What is uploaded while page 1 is on its way is there in the end."""
    assert mirrored
    service.fail(meanwhile(lambda: library.add(99)), ASSETS_PATH, when=is_page(1), times=1)
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.assets.new, summary.listing.proven) == (0, 1, True)
    check_mirror(dest, library)


def test_a_deletion_during_the_walk_hides_no_neighbour(
    service: Misbehaving, library: Library, dest: Path, mirrored: dict[str, str]
) -> None:
    """Pages that shift past an asset do not make it gone; the one that was deleted is, in time."""
    assert mirrored
    first, neighbour = library.accounts[EMAIL][0], library.accounts[EMAIL][PAGE]
    service.fail(meanwhile(lambda: library.delete(first)), ASSETS_PATH, when=is_page(1), times=1)
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.listing.proven) == (0, True)
    assert entry_of(dest, neighbour)["state"] == "current"
    assert run_sync(service, dest, page_size=PAGE).summary.exit_code == 0
    states = {key: entry["state"] for key, entry in manifest_of(dest)["assets"].items()}
    gone = [key for key, state in states.items() if state == "gone"]
    assert gone == [key_of(first)]


def test_a_listing_that_never_settles_proves_nothing(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path, mirrored: dict[str, str]
) -> None:
    """Exit 5 after four walks that all differ: what they saw is mirrored, nothing is gone."""
    assert mirrored
    library.delete(library.accounts[EMAIL][0])
    numbers = iter(range(100, 200))
    service.fail(meanwhile(lambda: library.add(next(numbers))), ASSETS_PATH, when=is_page(1))
    done = sync("--page-size", PAGE)
    assert done.code == 5, done.err
    check_output(done.out, done.err)
    assert (done.listing["walks"], done.listing["proven"]) == (4, False)
    entries = manifest_of(dest)["assets"].values()
    assert {entry["state"] for entry in entries} == {"current"}
    assert len(entries) >= ROUND + 3


# Items that lie.


MALFORMED: list[object] = [
    "an asset",
    7,
    None,
    [],
    {},
    {"name": "no-id.mp4"},
    {"id": None},
    {"id": ""},
    {"id": ["7"]},
    {"id": "71", "name": 5},
    {"id": "72", "resource": []},
    {"id": "73", "resource": {"resource": 5}},
    {"id": "74", "updateTime": "soon"},
    {"id": "75", "cover": "x"},
]


def test_items_that_cannot_be_read_hide_no_others(
    service: Misbehaving, library: Library, dest: Path, mirrored: dict[str, str]
) -> None:
    """Each is a failure with its place; the others are mirrored, and nothing is marked gone."""
    assert mirrored
    lost = library.accounts[EMAIL][0]
    library.delete(lost)
    new = library.add(50)
    service.fail(edits(lambda items: items.__setitem__(slice(1, 1), MALFORMED)), ASSETS_PATH)
    notes = Notes()
    summary = run_sync(service, dest, page_size=100, notes=notes).summary
    assert (summary.exit_code, summary.assets.failed) == (3, len(MALFORMED))
    assert (summary.assets.new, summary.assets.gone) == (1, 0)
    assert summary.assets.listed == len(MALFORMED) + ROUND
    assert {failure.id for failure in summary.failures} >= {"71", "72", "73", "74", "75", None}
    assert all("of page 1" in failure.error for failure in notes.failures)
    assert entry_of(dest, new)["state"] == "current"
    assert entry_of(dest, lost)["state"] == "current"
    service.faults.clear()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.gone) == (0, 1)


def test_an_item_that_cannot_be_read_takes_one_line(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Exit 3, a line on stderr that names page, position and field, and no secret of the item."""
    good = library.add(1)
    bad = {"id": "72", "resource": {"resource": 5, "key": "x-kcdn-pid=1"}}
    service.fail(edits(lambda items: items.append(bad) if items else None), ASSETS_PATH)
    done = sync()
    assert done.code == 3
    check_output(done.out, done.err)
    assert "item 2 of page 1" in done.err
    assert "resource" in done.err
    assert json.loads(done.out)["failures"][0]["id"] == "72"
    assert entry_of(dest, good)["state"] == "current"


def test_one_key_listed_twice_is_one_asset(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """The first is kept; that the second differs is reported, and no reason to fail."""
    item = library.add(1, "image")
    library.files["/cdn/second"] = library.files["/cdn/image/1"]
    second = {**item, "name": "second.png", "resource": {"resource": "/cdn/second"}}
    library.accounts[EMAIL].append(second)
    done = sync()
    assert done.code == 0, done.err
    check_output(done.out, done.err)
    assert f"{item['id']} is listed twice" in done.err
    assert done.listing["assets"] == 1
    assert entry_of(dest, item)["name"] == item["name"]
    assert service.asked("/cdn/second") == []


def test_the_same_item_on_two_pages_is_no_difference(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """An item that shifted onto the next page is the same asset; nothing is reported."""
    library.fill(ROUND)
    service.fail(
        edits(lambda items: items.insert(0, _published(service, library, PAGE - 1))),
        ASSETS_PATH,
        when=is_page(2),
    )
    done = sync("--page-size", PAGE)
    assert done.code == 0, done.err
    assert "twice" not in done.err
    check_mirror(dest, library)


def _published(service: Misbehaving, library: Library, index: int) -> dict[str, Any]:
    return service.publish(library.accounts[EMAIL][index])


def test_large_pages_are_read_whole(service: Misbehaving, library: Library, dest: Path) -> None:
    """A page of items with long texts in fields that nobody knows comes through as it is."""
    item = library.add(1, "image")
    item["extraInfo"] = json.dumps({"prompt": "ü" * 100_000})
    item["unknown"] = {"deep": [1, 2.5, None, True, media("image", 1).hex()]}
    assert run_sync(service, dest).summary.exit_code == 0
    kept = entry_of(dest, item)["asset"]
    assert kept["extraInfo"] == item["extraInfo"]
    assert kept["unknown"] == item["unknown"]
