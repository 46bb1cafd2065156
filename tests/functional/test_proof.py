"""What a run believes of the pages that it is given, and that each of its walks has an end."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mirror.demo.server import Request, Response, json_response
from mirror.demo.service import ASSETS_PATH
from tests.conftest import RunProgram
from tests.lib.effects import (
    clamps,
    edits,
    error,
    is_page,
    items_of,
    lists_nothing,
    loses_last_page,
    stale,
)
from tests.lib.library import EMAIL, Library
from tests.lib.mirrored import check_mirror, manifest_of, snapshot, states_of
from tests.lib.misbehaving import Answer, Effect, Misbehaving
from tests.lib.runs import Notes, run_sync

PAGE = 10


def _is_listing(request: Request) -> bool:
    return "fileName" not in request.query


def _is_later_page(request: Request) -> bool:
    return request.query["pageNum"] != "1"


# Pages that hide assets the same way in every walk.


def test_a_stale_page_in_every_walk_is_no_proof(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """A cache that answers page 2 with page 1 for ever: exit 5, all that was found is mirrored."""
    library.fill(30, size=50)
    service.fail(stale(1), ASSETS_PATH, when=is_page(2))
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.listing.proven) == (5, False)
    assert summary.assets.new >= 20


def test_a_stale_page_in_the_first_walk_costs_a_walk(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Once the page is right, all is found: a page with nothing new is looked behind."""
    library.fill(30, size=50)
    service.fail(stale(1), ASSETS_PATH, when=is_page(2), times=1)
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.assets.new) == (0, 30)
    check_mirror(dest, library)


@pytest.mark.parametrize("sort", ["taken", "ignored"])
def test_a_page_size_that_is_clamped_on_the_way_is_no_proof(
    service: Misbehaving, library: Library, dest: Path, sort: str
) -> None:
    """From page 2 on, pages have 20 in place of 100: they overlap, and 30 of 130 are behind."""
    library.fill(130, size=50)
    service.fail(clamps(20), ASSETS_PATH, when=_is_later_page)
    if sort == "ignored":
        service.fail(_ignores_sort(), ASSETS_PATH)
    summary = run_sync(service, dest).summary
    assert summary.exit_code == 5
    assert summary.assets.new == (130 if sort == "taken" else 100)


def _ignores_sort() -> Effect:
    def effect(request: Request, answer: Answer) -> Response:
        request.query.pop("sort", None)
        return answer(request)

    return effect


@pytest.mark.parametrize("sort", ["taken", "ignored"])
@pytest.mark.parametrize(("count", "code"), [(2, 0), (4, 0), (6, 5)])
def test_pages_that_are_empty_for_a_few_answers_hide_nothing(  # noqa: PLR0917 - fixtures
    service: Misbehaving, library: Library, dest: Path, count: int, code: int, sort: str
) -> None:
    """Not even if they are so in two walks: these ask for other pages, and differ."""
    library.fill(30, size=50)
    service.fail(lists_nothing(), ASSETS_PATH, when=_is_later_page, times=count)
    if sort == "ignored":
        service.fail(_ignores_sort(), ASSETS_PATH)
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.assets.new) == (code, 30)
    check_mirror(dest, library)
    assert run_sync(service, dest, page_size=PAGE).summary.exit_code == 0


@pytest.mark.parametrize("sort", ["taken", "ignored"])
@pytest.mark.parametrize(
    "loss",
    [
        pytest.param((loses_last_page(), _is_listing), id="the last"),
        pytest.param((lists_nothing(), is_page(3)), id="the third"),
    ],
)
def test_a_last_page_that_is_lost_in_every_walk_is_no_proof(
    service: Misbehaving,
    library: Library,
    dest: Path,
    sort: str,
    loss: tuple[Effect, Callable[[Request], bool]],
) -> None:
    """Nothing is gone, however much may be: exit 5, and the mirror is as it was."""
    library.fill(30, size=50)
    assert run_sync(service, dest).summary.exit_code == 0
    before = snapshot(dest)
    effect, when = loss
    service.fail(effect, ASSETS_PATH, when=when)
    if sort == "ignored":
        service.fail(_ignores_sort(), ASSETS_PATH)
    summary = run_sync(service, dest, page_size=PAGE, max_gone="100%").summary
    assert (summary.exit_code, summary.assets.gone) == (5, 0)
    assert set(states_of(dest).values()) == {"current"}
    assert snapshot(dest) == before


def test_what_is_hidden_from_every_page_is_looked_up_by_name(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """An asset that two walks lack, and that a search still finds, is not gone: exit 5."""
    items = library.fill(12)
    assert run_sync(service, dest).summary.exit_code == 0
    hidden = items[5]["id"]
    service.fail(edits(_hiding(hidden)), ASSETS_PATH, when=_is_listing)
    service.forget()
    result = run_sync(service, dest)
    assert (result.summary.exit_code, result.summary.listing.proven) == (5, True)
    assert hidden in str(result.errors[0])
    assert [request.query["fileName"] for request in service.look_ups()] == [items[5]["name"]]
    assert set(states_of(dest).values()) == {"current"}
    service.faults.clear()
    library.delete(items[5])
    assert run_sync(service, dest).summary.assets.gone == 1


def _hiding(asset_id: str) -> Callable[[list[Any]], object]:
    def change(items: list[Any]) -> None:
        items[:] = [item for item in items if item["id"] != asset_id]

    return change


def test_of_many_that_vanished_a_hundred_are_looked_up(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Each has its name asked for, but never more than a hundred."""
    items = library.fill(240, size=50)
    assert run_sync(service, dest).summary.exit_code == 0
    for item in items[:120]:
        library.delete(item)
    service.forget()
    summary = run_sync(service, dest, max_gone="120").summary
    assert (summary.exit_code, summary.assets.gone) == (0, 120)
    asked = [request.query["fileName"] for request in service.look_ups()]
    assert len({*asked}) == 100
    assert {*asked} <= {item["name"] for item in items[:120]}


def test_a_search_that_fails_marks_nothing_gone(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Exit 7: what cannot be looked into is not said."""
    items = library.fill(12)
    assert run_sync(service, dest).summary.exit_code == 0
    library.delete(items[0])
    service.fail(error(503), ASSETS_PATH, when=lambda request: "fileName" in request.query)
    summary = run_sync(service, dest, max_attempts=1).summary
    assert (summary.exit_code, summary.assets.gone) == (7, 0)
    assert set(states_of(dest).values()) == {"current"}


def test_all_of_an_account_is_never_gone(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Whatever `--max-gone` allows, and though others are listed by now: exit 5."""
    items = library.fill(5)
    assert run_sync(service, dest).summary.exit_code == 0
    for item in items:
        library.delete(item)
    new = [library.add(number, "image") for number in (20, 21, 22)]
    result = run_sync(service, dest, max_gone="100%")
    assert (result.summary.exit_code, result.summary.assets.new) == (5, 3)
    assert "5 of 5 assets vanished" in str(result.errors[0])
    assert "--max-gone" not in result.errors[0].hint
    assert set(states_of(dest).values()) == {"current"}
    library.delete(new[0])  # from now on, the others are known, too
    assert run_sync(service, dest, max_gone="100%").summary.assets.gone == 6


# The end of the pages.


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize("count", [7, 10, 20, 25])
def test_a_page_past_the_end_may_be_refused(
    service: Misbehaving, library: Library, dest: Path, status: int, count: int
) -> None:
    """Behind a short page or a full one: exit 0, every night."""
    library.fill(count, size=50)
    service.fail(_refuses_empty_pages(status), ASSETS_PATH)
    first = run_sync(service, dest, page_size=PAGE).summary
    assert (first.exit_code, first.assets.new) == (0, count)
    again = run_sync(service, dest, page_size=PAGE).summary
    assert (again.exit_code, again.listing.walks) == (0, 1)
    library.delete(library.accounts[EMAIL][3])
    assert run_sync(service, dest, page_size=PAGE).summary.assets.gone == 1


@pytest.mark.parametrize("status", [400, 404])
def test_a_search_may_have_its_pages_past_the_end_refused(
    service: Misbehaving, library: Library, dest: Path, status: int
) -> None:
    """A name that others have in theirs fills a page: the next one is refused, and it is gone."""
    items = [library.add(number, "image", name=f"{number}.png", size=50) for number in range(21)]
    items[0]["name"] = ".png"
    assert run_sync(service, dest).summary.exit_code == 0
    library.delete(items[0])
    service.fail(_refuses_empty_pages(status), ASSETS_PATH)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.gone) == (0, 1)


def _refuses_empty_pages(status: int) -> Effect:
    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        if request.query["pageNum"] == "1" or items_of(response):
            return response
        return json_response(status, {"error": "Invalid parameters: pageNum"})

    return effect


@pytest.mark.parametrize(("status", "code"), [(400, 7), (404, 4)])
def test_a_page_in_the_middle_that_is_refused_is_no_end(
    service: Misbehaving, library: Library, dest: Path, status: int, code: int
) -> None:
    """What the API says of it is reported; what the other pages have is mirrored."""
    library.fill(30, size=50)
    assert run_sync(service, dest).summary.exit_code == 0
    new = library.add(40, "image")
    service.fail(error(status, "No such page"), ASSETS_PATH, when=is_page(2))
    result = run_sync(service, dest, page_size=PAGE)
    assert (result.summary.exit_code, result.summary.assets.gone) == (code, 0)
    assert "No such page" in str(result.errors[0])
    assert f"{new['id']}@{new['updateTime']}" in states_of(dest)


# Walks without an end.


def test_an_unreadable_item_that_is_signed_anew_counts_once(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """The last page repeats for ever with it: the walk ends, and one failure is reported."""
    library.fill(7, size=50)
    serial = itertools.count()

    def add_unreadable(items: list[Any]) -> None:
        url = f"https://cdn.example/x?sign={next(serial)}"
        items.append({"id": "666", "resource": [url]})
        items.append({"resource": {"resource": url}, "name": "no-id"})

    service.fail(edits(add_unreadable), ASSETS_PATH)
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.assets.new, summary.assets.failed) == (3, 7, 2)
    assert len(service.pages()) < 20


def test_unreadable_items_without_an_id_do_not_go_on_for_ever(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Each page has different unreadable items that look alike: the walk still ends."""
    library.fill(3, size=50)
    serial = itertools.count()
    service.fail(
        edits(lambda items: items.extend({"serial": next(serial)} for _ in range(500))), ASSETS_PATH
    )
    summary = run_sync(service, dest).summary
    assert summary.assets.new == 3
    assert summary.exit_code in {3, 5}
    assert len(service.pages()) < 40


@pytest.mark.parametrize("page_size", [3, 100])
def test_times_that_are_those_of_the_request_end_and_add_up_to_nothing(
    service: Misbehaving, library: Library, dest: Path, page_size: int
) -> None:
    """Exit 5; one version of each is mirrored, and no later run fetches them again."""
    library.fill(7, size=50)
    clock = itertools.count(1_800_000_000_000)

    def date_anew(items: list[Any]) -> None:
        for item in items:
            item["updateTime"] = next(clock)

    service.fail(edits(date_anew), ASSETS_PATH)
    first = run_sync(service, dest, page_size=page_size).summary
    assert (first.exit_code, first.assets.new, first.listing.walks) == (5, 7, 4)
    before = manifest_of(dest)["assets"]
    service.forget()
    again = run_sync(service, dest, page_size=page_size).summary
    assert again.exit_code == 5
    assert service.cdn_requests() == []
    assert manifest_of(dest)["assets"] == before
    service.faults.clear()
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)
    assert sorted(states_of(dest).values()) == ["current"] * 7 + ["superseded"] * 7


# The first walk, and the queue.


def test_the_first_walk_does_not_wait_for_downloads(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """No file comes before the first walk is over; all is planned once, and all is mirrored."""
    library.fill(450, size=50)
    is_walked = Event()

    def note_end(request: Request, answer: Answer) -> Response:
        if request.query["pageNum"] == "7":
            is_walked.set()
        return answer(request)

    def hold_back(request: Request, answer: Answer) -> Response:
        assert is_walked.wait(30), "the first walk waits for the downloads"
        return answer(request)

    service.fail(note_end, ASSETS_PATH)
    service.fail(hold_back, "/cdn/*")
    notes = Notes()
    summary = run_sync(service, dest, jobs=2, notes=notes, stall_timeout=40).summary
    assert (summary.exit_code, summary.listing.walks, summary.assets.new) == (0, 2, 450)
    assert len({action.asset.key for action in notes.plans}) == len(notes.plans) == 450
    check_mirror(dest, library)


def test_what_found_no_room_is_mirrored_though_a_later_page_fails(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Exit 7; the pages before it are walked again, for what the queue could not take."""
    library.fill(350, size=50)
    service.fail(error(503), ASSETS_PATH, when=is_page(4))
    summary = run_sync(service, dest, max_attempts=1, jobs=1).summary
    assert (summary.exit_code, summary.assets.new) == (7, 300)


def test_lost_files_of_a_known_library_are_all_fetched_again(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """The first walk proves the listing; what found no room comes with another one."""
    items = library.fill(300, size=50)
    assert run_sync(service, dest).summary.exit_code == 0
    for folder in ("video", "image", "audio"):
        for path in (dest / folder).iterdir():
            path.unlink()
    summary = run_sync(service, dest, jobs=1).summary
    assert (summary.exit_code, summary.assets.repaired) == (0, len(items))
    check_mirror(dest, library)


# Odd JSON.


@pytest.mark.parametrize(
    "value", [b"NaN", b"-Infinity", b"[" * 5000 + b"]" * 5000, b'{"a":' * 5000 + b"1" + b"}" * 5000]
)
def test_odd_json_in_one_asset_hides_no_other(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path, value: bytes
) -> None:
    """All are mirrored, that one, too; what is recorded is JSON that any program reads."""
    library.fill(5)

    def spoil(request: Request, answer: Answer) -> Response:
        response = answer(request)
        response.body = bytes(response.body).replace(
            b'"extraInfo": "{}"', b'"extraInfo": ' + value, 1
        )
        return response

    service.fail(spoil, ASSETS_PATH)
    done = sync()
    assert done.code == 0, done.err
    check_mirror(dest, library)
    json.loads((dest / "manifest.json").read_text(), parse_constant=_refuse)
    assert sync().code == 0


def _refuse(constant: str) -> None:
    raise AssertionError(constant)
