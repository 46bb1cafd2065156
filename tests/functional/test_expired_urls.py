"""URLs that expire: the asset is looked up again, within bounds."""

from pathlib import Path
from typing import Any

import pytest

from mirror.demo.server import Request, Response
from mirror.demo.service import ASSETS_PATH
from tests.lib.effects import edits, ends, error, replies
from tests.lib.library import Library, media
from tests.lib.mirrored import check_mirror, key_of, manifest_of
from tests.lib.misbehaving import Answer, Misbehaving, Signing
from tests.lib.rounds import CUT, PATH, SIZE, resumes
from tests.lib.runs import run_sync


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_expired_url_is_looked_up_afresh(
    service: Misbehaving, library: Library, dest: Path, status: int
) -> None:
    """A listed URL that no longer answers: one look-up by name finds a fresh one."""
    for number in range(3):
        library.add(number, "image")
    service.signing = Signing(void=1, status=status)
    assert run_sync(service, dest).summary.exit_code == 0
    names = sorted(request.query["fileName"] for request in service.look_ups())
    assert names == ["clip0.png", "clip1.png", "clip2.png"]
    assert all("authorization" in request.headers for request in service.look_ups())
    check_mirror(dest, library)


@pytest.mark.parametrize("name", ["", "…", "плёнка.png", "Ferien 2025 (1).png", "a" * 200])
def test_any_name_can_be_looked_up(
    service: Misbehaving, library: Library, dest: Path, name: str
) -> None:
    """`fileName` takes letters, digits and `._-` only: whatever a name is, its asset is found."""
    for number in range(25):
        library.add(number, "image")
    library.add(99, "image", name=name)
    service.signing = Signing()
    once = service.fail(replies(403), "/cdn/image/99", times=1)
    assert run_sync(service, dest).summary.exit_code == 0
    assert once.hits == 1
    assert 1 <= len(service.asked(ASSETS_PATH)) <= 8
    check_mirror(dest, library)


def test_one_of_two_assets_of_one_name_is_looked_up_by_its_id(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """The look-up goes by the key, not by the first item that bears the name."""
    for number in (1, 2):
        library.add(number, "image", name="same.png")
    service.signing = Signing(void=1)
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)


def test_a_newer_version_is_not_taken_for_the_one_that_was_listed(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Updated between listing and look-up, its bytes belong to a version that is not listed yet."""
    item = library.add(1, "image")
    listed = key_of(item)
    service.signing = Signing(void=1)

    def updates(request: Request, answer: Answer) -> Response:
        library.change(item, media("image", "new"))
        return answer(request)

    service.fail(updates, ASSETS_PATH, when=lambda it: "fileName" in it.query, times=1)
    run_sync(service, dest)
    assert listed not in manifest_of(dest)["assets"]
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)


def test_a_look_up_without_times_finds_the_asset(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """It is the version that was listed, as far as anybody can tell."""
    item = library.add(1, "image")
    service.signing = Signing(void=1)
    undated = edits(lambda items: [(it.pop("updateTime"), it.pop("createTime")) for it in items])
    service.fail(undated, ASSETS_PATH, when=lambda it: "fileName" in it.query)
    assert run_sync(service, dest).summary.exit_code == 0
    assert key_of(item) in manifest_of(dest)["assets"]
    check_mirror(dest, library)


@pytest.mark.parametrize("name", ["", "\u732b.png"])
def test_look_ups_are_bounded(
    service: Misbehaving, library: Library, dest: Path, name: str
) -> None:
    """Where no keyword narrows the search, the library is not paged through for each asset."""
    for number in range(130):
        library.add(number, "image", name=name, size=50)
    service.fail(error(403), "/cdn/image/129")
    assert run_sync(service, dest).summary.exit_code == 3
    searched = [it for it in service.asked(ASSETS_PATH) if it.query["pageSize"] == "20"]
    assert 1 <= len(searched) <= 5


def test_a_url_that_expires_in_mid_file_is_replaced_and_resumed(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """A URL that is good for one request: the rest comes by the next one, and nothing twice."""
    assert item
    service.signing = Signing(uses=1)
    service.fail(ends(after=CUT), PATH, times=1)
    summary = run_sync(service, dest, max_attempts=3).summary
    assert (summary.exit_code, summary.files.bytes) == (0, SIZE + 2000)
    assert resumes(service) == [f"bytes={CUT}-"] * 2
    assert len(service.look_ups()) == 1
    check_mirror(dest, library)


def test_an_asset_is_looked_up_at_most_twice_in_a_run(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """URLs that never work are a failure, not an endless dance with the API."""
    library.add(1, "video")
    service.signing = Signing(void=1000)
    assert run_sync(service, dest).summary.exit_code == 3
    assert 1 <= len(service.look_ups()) <= 2
    assert len(service.cdn_requests()) <= 3
    service.signing = None
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)


def test_a_url_that_stays_the_same_is_not_tried_again(
    service: Misbehaving, dest: Path, item: dict[str, Any]
) -> None:
    """404, and the look-up gives the same URL: that is final for this run."""
    assert item
    service.fail(replies(404), PATH)
    assert run_sync(service, dest).summary.exit_code == 3
    assert (len(service.look_ups()), len(service.asked(PATH))) == (1, 1)


def test_a_look_up_that_fails_costs_one_asset(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """A look-up that is refused leaves its asset as failed, and the run goes on."""
    service.fail(replies(403), PATH)
    service.fail(error(500), ASSETS_PATH, when=lambda each: "fileName" in each.query)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.failed, summary.assets.new) == (3, 1, 1)
    assert "403" in summary.failures[0].error
    library.delete(item)
    service.faults.clear()
    assert run_sync(service, dest).summary.exit_code == 0
    assert manifest_of(dest)["failures"] == {}, "nobody lists it any more"
