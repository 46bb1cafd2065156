"""How long the CDN is waited for: wishes to wait, files that drip, and files that get on slowly."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.server import Request, Response
from tests.lib.effects import drips, ends, error, resets, too_many
from tests.lib.library import Library
from tests.lib.mirrored import check_mirror, manifest_of
from tests.lib.misbehaving import Answer, Effect, Misbehaving, Signing
from tests.lib.rounds import PATH, SIZE, resumes
from tests.lib.runs import run_sync


@pytest.mark.parametrize("seconds", [86_400, 1], ids=["for a day", "again and again"])
def test_a_host_that_is_not_worth_waiting_for_fails_its_files_at_once(
    service: Misbehaving, library: Library, dest: Path, seconds: int
) -> None:
    """Beyond `--max-wait` in all, no file waits any more: each would do so in its turn."""
    for number in range(60):
        library.add(number, "image")
    service.fail(too_many("seconds", seconds, status=503), "/cdn/*")
    began = time.monotonic()
    summary = run_sync(service, dest, jobs=2, max_wait=1, max_attempts=9).summary
    assert time.monotonic() - began < 20, "each file waited"
    assert (summary.exit_code, summary.assets.failed) == (3, 60)
    assert len(service.cdn_requests()) <= 6
    errors = {failure.error for failure in summary.failures}
    assert all("asks to wait" in text for text in errors), errors


def test_another_host_is_asked_all_the_same(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """The wish to wait is one host's own."""
    with library.service(Misbehaving) as other:
        other.fail(too_many("seconds", 86_400), "/cdn/*")
        for number in range(20):
            item = library.add(number, "image")
            if number < 10:
                item["resource"]["resource"] = other.url + item["resource"]["resource"]
        summary = run_sync(service, dest, jobs=2, max_wait=1).summary
    assert (summary.assets.failed, summary.assets.new) == (10, 10)


@pytest.mark.soak
def test_a_host_that_recovers_is_waited_for_anew(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """What was waited before a success is over: only what comes behind it counts."""
    for number in range(6):
        library.add(number, "image")
    service.fail(too_many("seconds", 1), "/cdn/*", every=2)
    assert run_sync(service, dest, jobs=1, max_wait=1.5, max_attempts=3).summary.exit_code == 0
    check_mirror(dest, library)


def test_look_ups_do_not_wait_one_by_one(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """An API that asks for a day's wait is not waited for by each of many expired URLs."""
    for number in range(30):
        library.add(number, "image")
    service.fail(error(403), "/cdn/*")
    service.fail(
        too_many("seconds", 86_400),
        "/v1/kling/assets/uploaded/",
        when=lambda request: "fileName" in request.query,
    )
    began = time.monotonic()
    summary = run_sync(service, dest, jobs=2, max_wait=1).summary
    assert time.monotonic() - began < 20, "each look-up waited"
    assert summary.assets.failed == 30
    assert summary.exit_code in {3, 7}, "7 where the lister has to wait for the API, too"


def test_a_file_that_only_drips_is_given_up(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """The run and its lock are not held for the days that it would take; the others are there."""
    assert item
    service.fail(drips(after=100), PATH)
    summary = run_sync(service, dest, stall_timeout=1, max_attempts=2).summary
    assert (summary.exit_code, summary.assets.new, summary.assets.failed) == (3, 1, 1)
    assert "too slow" in summary.failures[0].error
    assert len(service.asked(PATH)) == 2
    service.faults.clear()
    assert run_sync(service, dest).summary.exit_code == 0
    assert len(resumes(service)) == 2
    check_mirror(dest, library)


def test_a_file_that_drips_once_is_tried_again(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """Another connection may be a good one, and goes on where the slow one was cut."""
    assert item
    service.fail(drips(after=100), PATH, times=1)
    assert run_sync(service, dest, stall_timeout=1, max_attempts=2).summary.exit_code == 0
    assert len(resumes(service)) == 1
    check_mirror(dest, library)


@pytest.mark.soak
def test_a_limit_of_ours_is_not_dripping(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Under `--limit-rate` a transfer waits for its turn for longer than the stall timeout."""
    for number in range(4):
        library.add(number, "image", size=40_000)
    summary = run_sync(
        service, dest, limit_rate=20_000, stall_timeout=1, max_attempts=1, jobs=4
    ).summary
    assert summary.exit_code == 0, summary.failures
    check_mirror(dest, library)


def _thinks(request: Request, answer: Answer) -> Response:
    """The right answer, after a while."""
    time.sleep(0.9)
    return answer(request)


def test_a_slow_start_is_not_dripping(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """What counts is how fast the bytes come once they do."""
    assert item
    service.fail(_thinks, PATH)
    assert run_sync(service, dest, stall_timeout=1, max_attempts=1).summary.exit_code == 0
    check_mirror(dest, library)


@pytest.mark.parametrize("cut", [ends(after=SIZE // 10), resets(after=SIZE // 10)])
def test_a_file_that_gets_on_is_not_given_up(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any], cut: Effect
) -> None:
    """Cut at every tenth, it is complete after ten requests, however few attempts there are."""
    assert item
    service.fail(cut, PATH)
    assert run_sync(service, dest, max_attempts=2, max_wait=2).summary.exit_code == 0
    assert len(service.asked(PATH)) >= 10
    check_mirror(dest, library)


def test_a_file_without_further_progress_is_given_up(
    service: Misbehaving, dest: Path, item: dict[str, Any]
) -> None:
    """Attempts count from the last progress on."""
    assert item
    service.fail(ends(after=SIZE // 10), PATH, times=3)
    service.fail(error(500), PATH, skip=3)
    assert run_sync(service, dest, max_attempts=2).summary.exit_code == 3
    assert len(service.asked(PATH)) == 3 + 2


def test_a_file_that_cannot_be_continued_is_given_up(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """Without a validator every attempt starts from the beginning: that is no progress."""
    assert item
    library.files[PATH] = replace(library.files[PATH], etag="", last_modified="")
    service.fail(ends(after=SIZE // 2), PATH)
    assert run_sync(service, dest, max_attempts=3).summary.exit_code == 3
    assert len(service.asked(PATH)) == 3


def test_urls_that_expire_on_the_way_are_looked_up_as_often_as_it_takes(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """Each URL is good for a part of the file: the rest comes from the next one."""
    assert item
    service.signing = Signing(uses=1)
    service.fail(ends(after=SIZE // 6), PATH)
    assert run_sync(service, dest, max_attempts=2).summary.exit_code == 0
    check_mirror(dest, library)
    assert manifest_of(dest)["failures"] == {}
