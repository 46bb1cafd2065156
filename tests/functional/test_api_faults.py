"""Whatever the listing does: the right exit code, a message that helps, and nothing lost."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import ACCOUNTS_PATH, ASSETS_PATH
from mirror.jobs.result import Result
from tests.conftest import Finished, RunProgram
from tests.lib.effects import (
    HTML,
    clamps,
    cuts_json,
    edits,
    ends,
    error,
    garbles,
    is_page,
    lists_nothing,
    meanwhile,
    redirects,
    refuses,
    repeats_last_page,
    replies,
    resets,
    too_many,
)
from tests.lib.library import EMAIL, TOKEN, Library, media
from tests.lib.mirrored import check_mirror, check_output, entry_of, manifest_of, snapshot
from tests.lib.misbehaving import Effect, Misbehaving, Signing
from tests.lib.runs import Notes, run_sync, told

ROUND = 12
PAGE = 5
OTHER = "other@example.com"


@pytest.fixture
def mirrored(service: Misbehaving, library: Library, dest: Path) -> dict[str, str]:
    """A complete mirror of a dozen assets; gives what its tree looks like."""
    _fill(library)
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)
    service.forget()
    return snapshot(dest)


def _fill(library: Library, count: int = ROUND) -> None:
    for number in range(count):
        library.add(number, ("video", "image", "audio")[number % 3], size=200)


def _check_told(result: Result) -> None:
    """See that one error is told in three lines: what, where, and what to do."""
    text = told(result)
    check_output("", text)
    assert len(text.splitlines()) == 3, text
    assert "127.0.0.1" in text


def _listing(done: Finished) -> dict[str, Any]:
    found = done.summary["listing"]
    assert isinstance(found, dict)
    return found


# What the API refuses.


@pytest.mark.parametrize(
    ("effect", "code", "words"),
    [
        pytest.param(error(401, "Unauthorized"), 4, ("token", "init"), id="401"),
        pytest.param(error(402, "No credit"), 4, ("subscription", "renew"), id="402"),
        pytest.param(error(403, "Not yours"), 4, (EMAIL, "--email"), id="403"),
        pytest.param(error(404, "No account"), 4, (EMAIL, "--email"), id="404"),
        pytest.param(error(596, "Session"), 4, (EMAIL, "delete the account"), id="596"),
        pytest.param(error(596, "Session", nested=True), 4, (EMAIL,), id="596-nested"),
        pytest.param(error(418, "A teapot"), 7, ("418", "A teapot"), id="418"),
        pytest.param(error(400, "Bad fileName"), 7, ("400", "Bad fileName"), id="400"),
    ],
)
def test_a_refusal_ends_the_run_with_its_reason(  # noqa: PLR0917 - fixtures, by name
    sync: RunProgram,
    service: Misbehaving,
    dest: Path,
    mirrored: dict[str, str],
    effect: Effect,
    code: int,
    words: tuple[str, ...],
) -> None:
    """Exit 4 or 7, what and where and what to do, no request repeated, the mirror untouched."""
    service.fail(effect, ASSETS_PATH)
    done = sync("--email", EMAIL)
    assert done.code == code == done.summary["exit_code"]
    check_output(done.out, done.err)
    assert len(done.err.splitlines()) == 3, done.err
    assert "127.0.0.1" in done.err
    for word in words:
        assert word in done.err
    assert len(service.pages()) == len(set(service.pages())), "a refused request was repeated"
    assert not _listing(done)["proven"]
    assert snapshot(dest) == mirrored


# What passes, or does not.


FAILING = {
    "408": error(408),
    "429": error(429),
    "500": error(500, "The upstream is down"),
    "500-nested": error(500, "The upstream is down", nested=True),
    "502": replies(502, HTML, Content_Type="text/html", Retry_After="0"),
    "503": error(503),
    "503-odd-wish": replies(503, Retry_After="soon"),
    "504": replies(504, Retry_After="0"),
    "520": error(520),
    "html": replies(200, HTML, Content_Type="text/html"),
    "no-body": replies(200),
    "json-array": replies(200, b"[]"),
    "json-error": replies(200, b'{"error": "Internal"}'),
    "list-is-text": replies(200, b'{"uploadAssetsList": "none"}'),
    "cut-json": cuts_json(400),
    "cut-body": ends(after=40),
    "reset": resets(),
    "reset-in-body": resets(after=40),
    "no-http": garbles(),
}


@pytest.mark.parametrize("effect", FAILING.values(), ids=FAILING)
def test_an_api_that_keeps_failing_is_given_up(
    service: Misbehaving, dest: Path, mirrored: dict[str, str], effect: Effect
) -> None:
    """Exit 7 after `--max-attempts` requests, with a message; the mirror is untouched."""
    fault = service.fail(effect, ASSETS_PATH)
    result = run_sync(service, dest, max_attempts=2)
    assert (result.summary.exit_code, fault.hits) == (7, 2)
    assert not result.summary.listing.proven
    _check_told(result)
    assert snapshot(dest) == mirrored


def test_a_failing_api_is_told_in_three_lines(
    sync: RunProgram, service: Misbehaving, dest: Path, mirrored: dict[str, str]
) -> None:
    """What, where and what to do, on stderr, and no traceback; exit 7 also in the JSON."""
    service.fail(FAILING["html"], ASSETS_PATH)
    done = sync("--max-attempts", "1")
    assert done.code == 7 == done.summary["exit_code"]
    check_output(done.out, done.err)
    assert len(done.err.splitlines()) == 3, done.err
    assert "127.0.0.1" in done.err
    assert not _listing(done)["proven"]
    assert snapshot(dest) == mirrored


@pytest.mark.parametrize("effect", [error(500, "The upstream is down"), FAILING["500-nested"]])
def test_what_the_api_says_is_passed_on(service: Misbehaving, dest: Path, effect: Effect) -> None:
    """The text of a flat error body, and of the upstream's nested one, is in the message."""
    service.fail(effect, ASSETS_PATH)
    assert "500: The upstream is down" in told(run_sync(service, dest, max_attempts=1))


@pytest.mark.parametrize("name", ["503", "503-odd-wish", "html", "cut-json", "reset", "cut-body"])
def test_a_passing_failure_goes_unnoticed(
    service: Misbehaving, library: Library, dest: Path, name: str
) -> None:
    """A page that fails once is asked for again, and the run is complete."""
    _fill(library)
    fault = service.fail(FAILING[name], ASSETS_PATH, when=is_page(2), times=1)
    result = run_sync(service, dest, page_size=PAGE)
    assert (result.summary.exit_code, fault.hits) == (0, 1)
    check_mirror(dest, library)


def test_a_page_that_never_comes_costs_only_what_is_behind_it(
    service: Misbehaving, library: Library, dest: Path, mirrored: dict[str, str]
) -> None:
    """Exit 7; what was listed is mirrored, nothing is marked gone, the next run completes."""
    new = [library.add(number, "image") for number in (-3, -2, -1)]
    library.delete(library.accounts[EMAIL][ROUND - 1])
    fault = service.fail(error(503), ASSETS_PATH, when=is_page(2))
    result = run_sync(service, dest, page_size=PAGE)
    assert (result.summary.exit_code, result.summary.listing.proven) == (7, False)
    assert all(entry_of(dest, item)["state"] == "current" for item in new)
    states = {entry["state"] for entry in manifest_of(dest)["assets"].values()}
    assert states == {"current"}
    assert mirrored.items() - snapshot(dest).items() <= {
        (path, digest)
        for path, digest in mirrored.items()
        if path.startswith(("manifest.json", "SHA256SUMS"))
    }
    service.faults.remove(fault)
    result = run_sync(service, dest, page_size=PAGE)
    assert (result.summary.exit_code, result.summary.assets.gone) == (0, 1)


def test_a_token_that_is_withdrawn_in_mid_walk(
    service: Misbehaving, library: Library, dest: Path, mirrored: dict[str, str]
) -> None:
    """Exit 4 at once; what was listed before is mirrored, and nothing is marked gone."""
    assert mirrored
    new = library.add(-1, "image")
    library.delete(library.accounts[EMAIL][ROUND - 1])
    service.fail(error(401, "Unauthorized"), ASSETS_PATH, when=is_page(2))
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.assets.new, summary.assets.gone) == (4, 1, 0)
    assert len(service.pages()) == 2
    assert entry_of(dest, new)["state"] == "current"


# Rates and waits.


@pytest.mark.parametrize("form", ["seconds", "date", "body"])
def test_a_wait_that_the_api_asks_for_is_waited(
    service: Misbehaving, library: Library, dest: Path, form: str
) -> None:
    """429 with Retry-After in seconds, as a date, or `retryAfter` in the body."""
    library.add(1)
    fault = service.fail(too_many(form, 1), ASSETS_PATH, times=1)
    assert run_sync(service, dest).summary.exit_code == 0
    after = [at for at, _ in service.arrivals if at > fault.hit_at[0]]
    assert 0.98 <= min(after) - fault.hit_at[0] < 30
    check_mirror(dest, library)


@pytest.mark.parametrize("form", ["seconds", "date", "body"])
def test_a_wait_beyond_max_wait_is_not_begun(
    service: Misbehaving, dest: Path, mirrored: dict[str, str], form: str
) -> None:
    """Asked to wait for an hour, the run ends at once with exit 7 and says so."""
    fault = service.fail(too_many(form, 3600), ASSETS_PATH)
    began = time.monotonic()
    result = run_sync(service, dest, max_attempts=5)
    assert time.monotonic() - began < 60, "it waited"
    assert (result.summary.exit_code, fault.hits) == (7, 1)
    assert "wait 36" in str(result.errors[0])
    assert "--max-wait" in result.errors[0].hint
    assert snapshot(dest) == mirrored


@pytest.mark.parametrize("wish", ["9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wish_to_wait_for_ever_is_not_granted(
    service: Misbehaving, dest: Path, wish: str
) -> None:
    """Numbers and dates beyond all measure are an error like any other: exit 7."""
    fault = service.fail(replies(429, Retry_After=wish), ASSETS_PATH)
    result = run_sync(service, dest, max_attempts=5)
    assert (result.summary.exit_code, fault.hits) == (7, 1)
    _check_told(result)


def test_max_wait_bounds_all_waits_of_one_request(service: Misbehaving, dest: Path) -> None:
    """Backoff ends where the next wait would exceed `--max-wait`, whatever attempts are left."""
    fault = service.fail(replies(503), ASSETS_PATH)
    began = time.monotonic()
    result = run_sync(service, dest, max_attempts=100, max_wait=1)
    assert time.monotonic() - began < 20, "100 attempts take minutes"
    assert result.summary.exit_code == 7
    assert 2 <= fault.hits <= 5


def test_all_requests_to_the_api_wait_together(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Once one look-up is told to wait, neither the lister nor another worker asks meanwhile."""
    _fill(library, 20)
    service.signing = Signing(void=1)
    fault = service.fail(
        too_many("seconds", 1), ASSETS_PATH, when=lambda it: "fileName" in it.query, skip=2, times=1
    )
    assert run_sync(service, dest, page_size=PAGE, jobs=4).summary.exit_code == 0
    told = fault.hit_at[0]
    early = [
        at - told
        for at, request in service.arrivals
        if request.path == ASSETS_PATH and 0.3 < at - told < 0.95
    ]
    assert early == [], "0.3 s are for what was on its way already"
    check_mirror(dest, library)


# Pages that lie.


def test_a_clamped_page_size_hides_nothing(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """A service that gives 7 of the 100 that were asked for is walked to its end."""
    _fill(library, 30)
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
    ("effects", "shape"),
    [
        pytest.param([refuses("pageSize", unless="20")], ("20", "asc"), id="pageSize"),
        pytest.param([refuses("sort")], ("100", None), id="sort"),
        pytest.param(
            [refuses("pageSize", unless="20"), refuses("sort")],
            ("20", None),
            id="pageSize-and-sort",
        ),
    ],
)
def test_refused_parameters_are_done_without(
    service: Misbehaving,
    library: Library,
    dest: Path,
    effects: list[Effect],
    shape: tuple[str, str | None],
) -> None:
    """400 to `pageSize` or `sort` leads to the documented 20 and no order, found out only once."""
    _fill(library, 25)
    for effect in effects:
        service.fail(effect, ASSETS_PATH)
    result = run_sync(service, dest)
    assert (result.summary.exit_code, result.summary.listing.proven) == (0, True)
    shapes = [page[1:] for page in service.pages()]
    found_at = shapes.index(shape)
    assert shapes[0] == ("100", "asc")
    assert found_at <= 3
    assert set(shapes[found_at:]) == {shape}
    check_mirror(dest, library)


def test_a_last_page_that_repeats_for_ever_ends_the_walk(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """A page with nothing new is the end; nothing is listed twice."""
    _fill(library)
    service.fail(repeats_last_page(), ASSETS_PATH)
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.listing.proven, summary.assets.listed) == (0, True, ROUND)
    assert (summary.listing.pages, summary.listing.walks) == (8, 2)
    check_mirror(dest, library)


def test_one_empty_page_in_the_middle_hides_nothing_at_first(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Two walks that differ prove nothing: a third one does."""
    _fill(library)
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
    _fill(library)
    service.fail(lists_nothing(), ASSETS_PATH, when=is_page(2))
    summary = run_sync(service, dest, page_size=PAGE).summary
    assert (summary.exit_code, summary.listing.proven) == (5, False)
    assert summary.assets.new == ROUND - PAGE


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
    _check_told(result)
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
    assert gone == [f"{first['id']}@{first['updateTime']}"]


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
    assert (_listing(done)["walks"], _listing(done)["proven"]) == (4, False)
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


def test_an_item_that_cannot_be_read_is_told_in_one_line(
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
    assert _listing(done)["assets"] == 1
    assert entry_of(dest, item)["name"] == item["name"]
    assert service.asked("/cdn/second") == []


def test_the_same_item_on_two_pages_is_no_difference(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """An item that shifted onto the next page is the same asset; nothing is reported."""
    _fill(library)
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


# The token.


def test_a_redirect_of_the_api_is_not_followed(
    sync: RunProgram, service: Misbehaving, dest: Path, mirrored: dict[str, str]
) -> None:
    """Exit 7; the host that it leads to is never asked, so it cannot see the token."""
    with Misbehaving.over(Library()) as thief:
        service.fail(redirects(thief.api_url + "/assets/uploaded/", 307), ASSETS_PATH)
        done = sync()
        assert thief.requests == []
    assert done.code == 7
    check_output(done.out, done.err)
    assert "307" in done.err
    assert snapshot(dest) == mirrored


def test_the_token_goes_to_the_api_alone(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """No request for a file carries it: not to the CDN, not after a redirect to the API's host."""
    with Misbehaving.over(Library()) as cdn:
        for number in range(4):
            item = library.add(number, "image")
            path = item["resource"]["resource"].partition("?")[0]
            cdn.files[path] = library.files[path]
            item["resource"]["resource"] = cdn.url + path
        cdn.fail(redirects(service.url + "/cdn/image/0"), "/cdn/image/0")
        assert run_sync(service, dest).summary.exit_code == 0
        files = cdn.requests + service.cdn_requests()
        assert len(files) == 5
    assert not any("authorization" in request.headers for request in files)
    assert not any(TOKEN in str(request.headers) for request in files)
    asked = service.api_requests()
    assert asked
    assert {request.headers["authorization"] for request in asked} == {f"Bearer {TOKEN}"}


ECHOES: dict[str, Callable[[bytes], Effect]] = {
    "flat-401": lambda token: replies(401, b'{"error": "Bad token %s"}' % token),
    "nested-500": lambda token: replies(500, b'{"error": {"message": "No %s"}}' % token),
    "html-403": lambda token: replies(403, b"<html>%s is not allowed</html>" % token),
    "html-200": lambda token: replies(200, b"<html>Hello %s</html>" % token),
    "json-200": lambda token: replies(200, b'{"error": "Hello %s"}' % token),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_token_that_the_api_echoes_is_not_shown(
    service: Misbehaving,
    dest: Path,
    caplog: pytest.LogCaptureFixture,
    echo: Callable[[bytes], Effect],
) -> None:
    """Neither an error, nor what `-vv` shows, nor any file of the mirror holds the token."""
    service.fail(echo(TOKEN.encode()), ASSETS_PATH)
    caplog.set_level(logging.DEBUG, "mirror")
    result = run_sync(service, dest, max_attempts=1)
    assert result.summary.exit_code in {4, 7}
    assert TOKEN not in told(result)
    assert caplog.messages
    assert TOKEN not in caplog.text
    assert not [path for path in dest.rglob("*") if path.is_file() and _holds_token(path)]


def test_requests_are_shown_without_secrets(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """-vv names every request, but neither the token nor the query of a file's URL."""
    library.add(1)
    library.add(2)
    service.fail(replies(403), "/cdn/video/1")
    done = sync("-vv")
    assert done.code == 3
    assert "pageNum=1" in done.err
    check_output(done.out, "")
    assert TOKEN not in done.err
    assert "x-kcdn-pid" not in done.err
    assert not [path for path in dest.rglob("*") if path.is_file() and _holds_token(path)]
    assert "x-kcdn-pid" not in (dest / "manifest.json").read_text()


def _holds_token(path: Path) -> bool:
    return TOKEN.encode() in path.read_bytes()


# Accounts.


def test_one_broken_account_does_not_stop_the_others(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Exit 4 that names the account; the other one is mirrored."""
    library.add(1, email=EMAIL)
    other = library.add(2, email=OTHER)
    service.fail(error(596), ASSETS_PATH, when=lambda it: it.query.get("email") == EMAIL)
    done = sync("--all-accounts")
    assert done.code == 4
    check_output(done.out, done.err)
    assert EMAIL in done.err
    assert OTHER not in done.err.partition("→")[0]
    assert done.summary["accounts"] == [EMAIL, OTHER]
    assert not _listing(done)["proven"]
    assert entry_of(dest, other)["account"] == OTHER


@pytest.mark.parametrize(
    ("effect", "code"),
    [
        pytest.param(error(404, "None is configured"), 4, id="404"),
        pytest.param(replies(200, b"{}"), 4, id="none"),
        pytest.param(error(500), 7, id="500"),
        pytest.param(replies(200, HTML), 7, id="html"),
        pytest.param(replies(200, b'["me@example.com"]'), 7, id="array"),
    ],
)
def test_accounts_that_cannot_be_had_end_the_run(
    service: Misbehaving, dest: Path, mirrored: dict[str, str], effect: Effect, code: int
) -> None:
    """`--all-accounts` without a list of accounts is exit 4 or 7, and changes nothing."""
    service.fail(effect, ACCOUNTS_PATH)
    result = run_sync(service, dest, all_accounts=True, max_attempts=1)
    assert result.summary.exit_code == code
    _check_told(result)
    assert snapshot(dest) == mirrored


def test_large_pages_are_read_whole(service: Misbehaving, library: Library, dest: Path) -> None:
    """A page of items with long texts in fields that nobody knows comes through as it is."""
    item = library.add(1, "image")
    item["extraInfo"] = json.dumps({"prompt": "ü" * 100_000})
    item["unknown"] = {"deep": [1, 2.5, None, True, media("image", 1).hex()]}
    assert run_sync(service, dest).summary.exit_code == 0
    kept = entry_of(dest, item)["asset"]
    assert kept["extraInfo"] == item["extraInfo"]
    assert kept["unknown"] == item["unknown"]
