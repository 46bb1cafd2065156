"""Whatever the CDN does: the complete right file in the end, or a failure that is on record."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.server import Request, Response
from tests.conftest import RunProgram
from tests.lib.effects import (
    HTML,
    alters,
    as_part,
    chunked,
    ends,
    error,
    garbles,
    redirects,
    replies,
    resets,
    serves,
    stalls,
    too_many,
    unframed,
)
from tests.lib.library import Library
from tests.lib.mirrored import (
    check_mirror,
    check_output,
    check_records,
    entry_of,
    key_of,
    manifest_of,
    media_in,
)
from tests.lib.misbehaving import Answer, Effect, Misbehaving, Signing
from tests.lib.rounds import BROKEN, CUT, DIGESTS, PATH, SIZE, Round, digest
from tests.lib.runs import run_sync


def _right_digest(header: str) -> Effect:
    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        response.headers[header] = digest(header, bytes(response.body))
        return response

    return effect


LASTING: dict[str, Effect] = {
    **BROKEN,
    "unframed": unframed(CUT),
    "no-http": garbles(),
    "304": replies(304),
    "400": error(400),
    "401": error(401),
    "403": error(403),
    "404": error(404),
    "410": error(410),
    "416": replies(416, Content_Range=f"bytes */{SIZE}"),
    "302-to-file": redirects("file:///etc/hostname"),
    "302-to-ftp": redirects("ftp://127.0.0.1/x"),
    "302-to-nowhere": replies(302),
    "302-garbled": redirects("http://[::1/x"),
}


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Round:
    """Every asset met its fault once."""
    passing = Round(tmp_path_factory.mktemp("passing"))
    for name, effect in BROKEN.items():
        passing.add(name)
        passing.fail(name, effect, times=1)
    passing.sync(max_attempts=2)
    return passing


@pytest.mark.parametrize("name", BROKEN)
def test_a_passing_fault_ends_in_the_right_file(passing: Round, name: str) -> None:
    """What goes wrong once is asked for again, and not a byte is wrong in the end."""
    assert (passing.faults[name].hits, len(passing.asked(name))) == (1, 2)
    passing.check(name)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Round]:
    """Every asset met its fault in a run of one attempt, then none; and the manifest between."""
    lasting = Round(tmp_path_factory.mktemp("lasting"))
    for name, effect in LASTING.items():
        lasting.add(name)
        lasting.fail(name, effect)
    lasting.add("well")
    lasting.sync(max_attempts=1)
    manifest = manifest_of(lasting.dest)
    check_records(lasting.dest)
    manifest["tree"] = media_in(lasting.dest)
    lasting.service.faults.clear()
    lasting.sync(max_attempts=2)
    return manifest, lasting


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_fault_is_recorded_and_cured_by_the_next_run(
    lasting: tuple[dict[str, Any], Round], name: str
) -> None:
    """A failure in summary and manifest, no entry and no file; mirrored once the fault is gone."""
    between, runs = lasting
    item = runs.items[name]
    key = key_of(item)
    assert key not in between["assets"]
    recorded = between["failures"][key]
    assert (recorded["id"], recorded["updateTime"]) == (item["id"], item["updateTime"])
    assert (recorded["role"], recorded["attempts"], recorded["account"]) == ("resource", 1, None)
    [failed] = [failure for failure in runs.runs[0].failures if failure.id == item["id"]]
    assert (failed.role, failed.error) == ("resource", recorded["error"])
    assert not [path for path in between["tree"] if item["id"] in path]
    assert key not in manifest_of(runs.dest)["failures"]
    runs.check(name)


def test_failures_are_counted_and_leave_the_others_alone(
    lasting: tuple[dict[str, Any], Round],
) -> None:
    """Exit 3 with `listed = new + failed`, then exit 0; and every record is true at all times."""
    between, runs = lasting
    first, second = runs.runs
    assert (first.exit_code, second.exit_code) == (3, 0)
    assert (first.assets.new, first.assets.failed) == (1, len(LASTING))
    assert first.assets.listed == len(LASTING) + 1
    assert (second.assets.new, second.assets.unchanged) == (len(LASTING), 1)
    assert len(between["failures"]) == len(LASTING)
    check_mirror(runs.dest, runs.library)


UNUSUAL: dict[str, Effect] = {
    "chunked": chunked(),
    "png-as-html": alters({"Content-Type": "text/html"}),
    "no-type": alters({"Content-Type": None}),
    "no-validators": alters({"ETag": None, "Last-Modified": None}),
    "no-ranges": alters({"Accept-Ranges": None}),
    "weak": alters({"ETag": 'W/"1"'}),
    "odd-date": alters({"Last-Modified": "yesterday"}),
    "odd-digest": alters({"Repr-Digest": "sha-256=nonsense, unknown=:AA==:"}),
    "odd-md5": alters({"Content-MD5": "!"}),
    "hex-md5": alters({"Content-MD5": "d41d8cd98f00b204e9800998ecf8427e"}),
    "identity": alters({"Content-Encoding": "identity"}),
    "no-coding": alters({"Content-Encoding": "utf-8, binary"}),
    "whole-as-part": as_part(0, SIZE),
    "png-as-text": alters({"Content-Type": "text/plain"}),
    **{header: _right_digest(header) for header in DIGESTS},
}


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory) -> Round:
    """Every asset was answered in an unusual way."""
    unusual = Round(tmp_path_factory.mktemp("unusual"))
    for name, effect in UNUSUAL.items():
        unusual.add(name)
        unusual.fail(name, effect)
    unusual.sync(max_attempts=1)
    return unusual


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_answer_is_still_the_file(unusual: Round, name: str) -> None:
    """What HTTP allows is no fault: one request, the right file, the suffix of its bytes."""
    assert len(unusual.asked(name)) == 1
    unusual.check(name)
    assert entry_of(unusual.dest, unusual.items[name])["resource"]["path"].endswith(".png")


def test_a_stalled_transfer_is_cut_and_resumed(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """No byte for `--stall-timeout`, before the headers or in the body, and it is asked again."""
    assert item
    silent = library.add(3, "image", size=SIZE)
    service.fail(stalls(after=CUT), PATH, times=1)
    service.fail(stalls(), "/cdn/image/3", times=1)
    began = time.monotonic()
    assert run_sync(service, dest, stall_timeout=1).summary.exit_code == 0
    assert 1 <= time.monotonic() - began < 20, "without the setting it is 30 s"
    assert service.asked(PATH)[1].headers["range"] == f"bytes={CUT}-"
    assert entry_of(dest, silent)["resource"]["size"] == SIZE
    check_mirror(dest, library)


def test_the_time_that_a_transfer_takes_is_no_wait(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """`--max-wait` bounds the waits between requests: a long transfer that breaks is resumed."""
    assert item
    service.fail(stalls(after=CUT, seconds=1.2), PATH, times=1)
    summary = run_sync(service, dest, max_wait=1, stall_timeout=5).summary
    assert (summary.exit_code, len(service.asked(PATH))) == (0, 2)
    check_mirror(dest, library)


# Covers.


def test_a_missing_cover_holds_no_resource_back(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """The video is recorded, its cover a failure, exit 3; the next run asks for the cover alone."""
    item = library.add(1, "video")
    fault = service.fail(replies(404), "/cdn/video/1.cover")
    done = sync()
    assert done.code == 3
    check_output(done.out, done.err)
    [line] = done.err.splitlines()
    assert item["id"] in line
    assert "cover" in line
    failed = json.loads(done.out)["failures"][0]
    assert (failed["id"], failed["role"]) == (item["id"], "cover")
    entry = entry_of(dest, item)
    assert entry["cover"] is None
    assert media_in(dest) == {entry["resource"]["path"]}
    check_records(dest)
    service.forget()
    assert run_sync(service, dest).summary.exit_code == 3
    assert service.asked("/cdn/video/1") == []
    [failure] = manifest_of(dest)["failures"].values()
    assert (failure["role"], failure["attempts"]) == ("cover", 2)
    service.faults.remove(fault)
    assert run_sync(service, dest).summary.exit_code == 0
    assert service.asked("/cdn/video/1") == []
    check_mirror(dest, library)


def test_a_missing_cover_does_not_matter_without_covers(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """With `--no-covers` the asset is complete without it."""
    item = library.add(1, "video")
    service.fail(replies(404), "/cdn/video/1.cover")
    assert run_sync(service, dest, no_covers=True).summary.exit_code == 0
    assert entry_of(dest, item)["cover"] is None
    check_records(dest)


# Rates and waits.


@pytest.mark.parametrize(("form", "status"), [("seconds", 503), ("date", 429)])
def test_a_wait_that_the_cdn_asks_for_is_waited_by_all(
    service: Misbehaving, library: Library, dest: Path, form: str, status: int
) -> None:
    """No worker asks the CDN for anything before the time that one of them was given."""
    for number in range(12):
        library.add(number, "image")
    fault = service.fail(too_many(form, 1, status=status), "/cdn/*", skip=3, times=1)
    assert run_sync(service, dest, jobs=2).summary.exit_code == 0
    shown = fault.hit_at[0]
    early = [at - shown for at, each in service.arrivals if "/cdn/" in each.path]
    assert [at for at in early if 0.3 < at < 0.95] == []
    check_mirror(dest, library)


def test_a_wait_beyond_max_wait_fails_the_file_at_once(
    service: Misbehaving, dest: Path, item: dict[str, Any]
) -> None:
    """Asked to wait for an hour, the asset fails now and is tried again by the next run."""
    assert item
    service.fail(too_many("seconds", 3600), PATH)
    began = time.monotonic()
    summary = run_sync(service, dest, max_wait=1, max_attempts=5).summary
    assert time.monotonic() - began < 60, "it waited"
    assert (summary.exit_code, summary.assets.failed, summary.assets.new) == (3, 1, 1)
    assert len(service.asked(PATH)) == 1


def test_attempts_are_counted(service: Misbehaving, dest: Path, item: dict[str, Any]) -> None:
    """`--max-attempts` is how often one file is asked for."""
    assert item
    service.fail(error(500), PATH)
    service.fail(alters({"Retry-After": "0"}), PATH)
    assert run_sync(service, dest, max_attempts=3).summary.exit_code == 3
    assert len(service.asked(PATH)) == 3


def test_a_url_in_no_ascii_is_asked_for_in_ascii(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Blanks and letters of any script are escaped, and what is escaped already is left."""
    item = library.add(1, "image")
    item["resource"]["resource"] = "/cdn/ü x%20y?k=ä b"
    library.files["/cdn/%C3%BC%20x%20y"] = library.files[PATH]
    assert run_sync(service, dest, max_attempts=1).summary.exit_code == 0
    [request] = service.cdn_requests()
    assert request.query == {"k": "ä b"}
    assert (dest / entry_of(dest, item)["resource"]["path"]).is_file()
    check_records(dest)


# Many at once.


def test_a_storm_of_faults_loses_nothing(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Every third request of 40 files goes wrong in one of many ways; all files come right."""
    for number in range(30):
        library.add(number, ("video", "image", "audio")[number % 3], size=20_000)
    storm = (
        resets(after=9000),
        ends(after=1),
        chunked(upto=500),
        serves(HTML),
        error(503),
        resets(),
    )
    for number, effect in enumerate(storm):
        service.fail(effect, "/cdn/*", skip=number * 3, every=18)
    service.signing = Signing(uses=3)
    assert run_sync(service, dest, max_attempts=8).summary.exit_code == 0
    assert all(fault.hits for fault in service.faults)
    check_mirror(dest, library)


def test_each_failure_takes_one_line(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Exit 3: stderr names asset, role and reason; stdout's JSON has the same; no secret."""
    items = [library.add(number, "image") for number in range(3)]
    service.fail(serves(HTML), "/cdn/image/0")
    service.fail(replies(404), "/cdn/image/1")
    done = sync("--max-attempts", "1")
    assert done.code == 3 == done.summary["exit_code"]
    check_output(done.out, done.err)
    lines = done.err.splitlines()
    assert len(lines) == 2
    for item, reason in zip(items, ("error page", "404"), strict=False):
        [line] = [line for line in lines if item["id"] in line]
        assert reason in line
        assert "resource" in line
    failures = done.summary["failures"]
    assert isinstance(failures, list)
    assert {failure["id"] for failure in failures} == {item["id"] for item in items[:2]}
    assert all(set(failure) == {"id", "updateTime", "role", "error"} for failure in failures)
    assert entry_of(dest, items[2])["state"] == "current"


def test_a_service_that_goes_away_in_mid_run_is_survived(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Every connection cut, the files are failures and the run ends; the next one completes."""
    for number in range(6):
        library.add(number, "image", size=SIZE)
    service.fail(resets(after=CUT), "/cdn/*")
    service.fail(stalls(after=10, seconds=0), "/cdn/*", skip=3)
    assert run_sync(service, dest, max_attempts=1).summary.exit_code == 3
    assert manifest_of(dest)["assets"] == {}
    service.faults.clear()
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)
