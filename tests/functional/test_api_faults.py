"""Whatever the API answers: the run ends with a reason, or goes on as if nothing had been."""

import time
from pathlib import Path

import pytest

from mirror.demo.service import ASSETS_PATH
from tests.conftest import RunProgram
from tests.lib.effects import (
    HTML,
    cuts_json,
    ends,
    error,
    garbles,
    is_page,
    replies,
    resets,
    too_many,
)
from tests.lib.library import EMAIL, Library
from tests.lib.mirrored import check_mirror, check_output, entry_of, manifest_of, snapshot
from tests.lib.misbehaving import Effect, Misbehaving, Signing
from tests.lib.runs import check_one_error, printed_errors, run_sync

ROUND = 12
PAGE = 5


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
    assert not done.listing["proven"]
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
    check_one_error(result)
    assert snapshot(dest) == mirrored


def test_a_failing_api_takes_three_lines(
    sync: RunProgram, service: Misbehaving, dest: Path, mirrored: dict[str, str]
) -> None:
    """What, where and what to do, on stderr, and no traceback; exit 7 also in the JSON."""
    service.fail(FAILING["html"], ASSETS_PATH)
    done = sync("--max-attempts", "1")
    assert done.code == 7 == done.summary["exit_code"]
    check_output(done.out, done.err)
    assert len(done.err.splitlines()) == 3, done.err
    assert "127.0.0.1" in done.err
    assert not done.listing["proven"]
    assert snapshot(dest) == mirrored


@pytest.mark.parametrize("effect", [error(500, "The upstream is down"), FAILING["500-nested"]])
def test_what_the_api_says_is_passed_on(service: Misbehaving, dest: Path, effect: Effect) -> None:
    """The text of a flat error body, and of the upstream's nested one, is in the message."""
    service.fail(effect, ASSETS_PATH)
    assert "500: The upstream is down" in printed_errors(run_sync(service, dest, max_attempts=1))


@pytest.mark.parametrize("name", ["503", "503-odd-wish", "html", "cut-json", "reset", "cut-body"])
def test_a_passing_failure_goes_unnoticed(
    service: Misbehaving, library: Library, dest: Path, name: str
) -> None:
    """A page that fails once is asked for again, and the run is complete."""
    library.fill(ROUND)
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
def test_a_wait_beyond_max_wait_is_not_started(
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
    check_one_error(result)


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
    """Once one look-up must wait, neither the lister nor another worker asks meanwhile."""
    library.fill(20)
    service.signing = Signing(void=1)
    fault = service.fail(
        too_many("seconds", 1),
        ASSETS_PATH,
        when=lambda each: "fileName" in each.query,
        skip=2,
        times=1,
    )
    assert run_sync(service, dest, page_size=PAGE, jobs=4).summary.exit_code == 0
    shown = fault.hit_at[0]
    early = [
        at - shown
        for at, request in service.arrivals
        if request.path == ASSETS_PATH and 0.3 < at - shown < 0.95
    ]
    assert early == [], "0.3 s are for what was on its way already"
    check_mirror(dest, library)
