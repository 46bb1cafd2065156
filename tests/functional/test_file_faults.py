"""Whatever the CDN does: the complete right file in the end, or a failure that is on record."""

import base64
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import ASSETS_PATH, File, Request, Response
from mirror.models import Summary
from tests.conftest import RunProgram
from tests.lib.effects import (
    HTML,
    alters,
    chunked,
    ends,
    error,
    garbles,
    gzips,
    ignores,
    is_resumed,
    meanwhile,
    redirects,
    replies,
    resets,
    serves,
    stalls,
    too_many,
    unframed,
)
from tests.lib.library import EMAIL, Library, media
from tests.lib.mirrored import (
    check_mirror,
    check_output,
    check_records,
    entry_of,
    left_over,
    manifest_of,
    media_in,
    snapshot,
)
from tests.lib.misbehaving import Answer, Effect, Fault, Misbehaving, Signing
from tests.lib.runs import run_sync

PATH = "/cdn/image/1"
SIZE = 300_000
CUT = 120_000
JSON = b'{"error": {"code": 404, "message": "no such object"}}'
PRETTY_JSON = b'{\n  "error": "no such object"\n}\n'
XML = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
COMMENTED_HTML = b"<!-- edge 7 -->\n" + HTML


@pytest.fixture
def item(library: Library) -> dict[str, Any]:
    """An asset at `PATH`, of `SIZE` bytes; another one beside it must never be in the way."""
    library.add(2, "audio")
    return library.add(1, "image", size=SIZE)


class Round:
    """Assets that each meet a trouble of their own, all in one run: their waits pass together."""

    def __init__(self, folder: Path) -> None:
        self.dest = folder / "mirror"
        self.library = Library()
        self.service = Misbehaving.over(self.library)
        self.items: dict[str, dict[str, Any]] = {}
        self.faults: dict[str, Fault] = {}
        self.runs: list[Summary] = []

    def add(self, name: str) -> str:
        """Upload one more asset; gives its path."""
        self.items[name] = self.library.add(len(self.items), "image", size=SIZE)
        return self.path(name)

    def path(self, name: str) -> str:
        """Where the service has an asset's file."""
        path: str = self.items[name]["resource"]["resource"].partition("?")[0]
        return path

    def fail(self, name: str, effect: Effect, **options: Any) -> None:  # noqa: ANN401 - Fault's
        """Switch a fault of one asset on, inside of those that are there already."""
        self.faults[name] = self.service.fail(effect, self.path(name), **options)

    def sync(self, *, max_attempts: int) -> None:
        """Run once more, as wide as it takes for all to be under way at the same time."""
        with self.service:
            result = run_sync(self.service, self.dest, jobs=64, max_attempts=max_attempts)
        self.runs.append(result.summary)

    def asked(self, name: str) -> list[Request]:
        """The requests for one asset's file."""
        return self.service.asked(self.path(name))

    def check(self, name: str) -> None:
        """See that an asset is mirrored, and that its file is what the service has now."""
        stored = entry_of(self.dest, self.items[name])["resource"]
        body = self.library.files[self.path(name)].body
        assert stored["sha256"] == hashlib.sha256(body).hexdigest()
        assert (self.dest / stored["path"]).read_bytes() == body


def _digest(header: str, body: bytes) -> str:
    if header == "Content-MD5":
        return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return f"sha-256={digest}" if header == "Digest" else f"sha-256=:{digest}:"


def _right_digest(header: str) -> Effect:
    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        response.headers[header] = _digest(header, bytes(response.body))
        return response

    return effect


def _unasked_206() -> Effect:
    part = alters({"Content-Range": f"bytes 7-{SIZE - 1}/{SIZE}"})
    return lambda request, answer: replace(part(request, answer), status=206)


DIGESTS = ("Repr-Digest", "Content-Digest", "Digest", "Content-MD5")
BROKEN: dict[str, Effect] = {
    "reset": resets(),
    "reset-in-body": resets(after=CUT),
    "short": ends(after=CUT),
    "short-by-one": ends(after=SIZE - 1),
    "closed": ends(),
    "cut-chunks": chunked(upto=CUT),
    "html": serves(HTML, "text/html"),
    "html-as-png": serves(HTML),
    "html-with-comment": serves(COMMENTED_HTML),
    "json": serves(JSON, "application/json"),
    "json-as-png": serves(JSON),
    "pretty-json": serves(PRETTY_JSON, "application/json; charset=utf-8"),
    "pretty-json-as-png": serves(PRETTY_JSON),
    "xml": serves(XML, "application/xml"),
    "xml-as-png": serves(XML),
    "empty": serves(b""),
    "gzip": gzips(),
    "unasked-206": _unasked_206(),
    "500": error(500),
    "503": too_many("seconds", 0, status=503),
    "429": too_many("seconds", 0),
    "408": error(408),
    **{header: alters({header: _digest(header, b"something else")}) for header in DIGESTS},
}
LASTING: dict[str, Effect] = {
    **BROKEN,
    "unframed": unframed(CUT),
    "no-http": garbles(),
    "204": replies(204),
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
    key = f"{item['id']}@{item['updateTime']}"
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


# Resuming.


def _resumes(service: Misbehaving) -> list[str]:
    return [
        request.headers["range"] for request in service.asked(PATH) if "range" in request.headers
    ]


@pytest.mark.parametrize("effect", [resets(after=CUT), ends(after=CUT), chunked(upto=CUT)])
def test_only_the_rest_is_asked_for(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any], effect: Effect
) -> None:
    """After a cut the next request has Range and If-Range, and fewer bytes come."""
    assert item
    service.fail(effect, PATH, times=1)
    summary = run_sync(service, dest).summary
    assert summary.exit_code == 0
    first, second = service.asked(PATH)
    assert "range" not in first.headers
    assert second.headers["range"] == f"bytes={CUT}-"
    assert second.headers["if-range"] == library.files[PATH].etag
    assert summary.files.bytes == SIZE + 2000
    check_mirror(dest, library)


def test_the_rest_of_a_url_outside_ascii_is_asked_for(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """A URL that HTTP wants escaped is still known as the same one when it is continued."""
    item["resource"]["resource"] = "/cdn/image/пленка 1?x-kcdn-pid=1"
    escaped = "/cdn/image/%D0%BF%D0%BB%D0%B5%D0%BD%D0%BA%D0%B0%201"
    library.files[escaped] = library.files.pop(PATH)
    service.fail(resets(after=CUT), escaped, times=1)
    assert run_sync(service, dest).summary.exit_code == 0
    assert [request.headers.get("range") for request in service.asked(escaped)] == [
        None,
        f"bytes={CUT}-",
    ]


def test_the_next_run_goes_on_where_this_one_was_cut(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """Partial files survive the run, and the next one asks for the rest alone."""
    service.fail(ends(after=CUT), PATH, times=1)
    assert run_sync(service, dest, max_attempts=1).summary.exit_code == 3
    assert [path.stat().st_size for path in left_over(dest)] == [CUT]
    service.signing = Signing()  # another query in the URL is no other file
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.files.bytes) == (0, SIZE - CUT)
    assert _resumes(service) == [f"bytes={CUT}-"]
    assert entry_of(dest, item)["resource"]["size"] == SIZE
    check_mirror(dest, library)


def test_it_goes_on_after_every_cut(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """A transfer that breaks again and again is built of its parts; no byte comes twice."""
    assert item
    service.fail(ends(after=50_000), PATH, times=2)
    summary = run_sync(service, dest, max_attempts=4).summary
    assert (summary.exit_code, summary.files.bytes) == (0, SIZE + 2000)
    assert _resumes(service) == ["bytes=50000-", "bytes=100000-"]
    check_mirror(dest, library)


def _flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[CUT // 2] ^= 1
    path.write_bytes(body)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "shorter": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "gone": lambda path: path.unlink(),
    "note-damaged": lambda path: path.with_name(f"{path.name}.json").write_text("{"),
    "note-gone": lambda path: path.with_name(f"{path.name}.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_partial_file_is_not_continued(
    service: Misbehaving,
    library: Library,
    dest: Path,
    item: dict[str, Any],
    damage: Callable[[Path], object],
) -> None:
    """What a power cut left of it is found out, and the file is fetched from its start."""
    assert item
    service.fail(ends(after=CUT), PATH, times=1)
    assert run_sync(service, dest, max_attempts=1).summary.exit_code == 3
    [partial] = left_over(dest)
    damage(partial)
    assert run_sync(service, dest, max_attempts=1).summary.exit_code == 0
    assert _resumes(service) == []
    check_mirror(dest, library)


def test_bytes_behind_the_note_are_not_trusted(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """Only what the note vouches for is kept: what lies behind is written over."""
    assert item
    service.fail(ends(after=CUT), PATH, times=1)
    assert run_sync(service, dest, max_attempts=1).summary.exit_code == 3
    [partial] = left_over(dest)
    with partial.open("ab") as file:
        file.write(b"\0" * SIZE)
    assert run_sync(service, dest, max_attempts=1).summary.exit_code == 0
    assert _resumes(service) == [f"bytes={CUT}-"]
    check_mirror(dest, library)


def _piece(size: int) -> Effect:
    """A 206 with less than was asked for, as its Content-Range says: a server may cap ranges."""

    def effect(request: Request, answer: Answer) -> Response:
        response = answer(request)
        response.headers["Content-Range"] = f"bytes {CUT}-{CUT + size - 1}/{SIZE}"
        return replace(response, body=bytes(response.body[:size]))

    return effect


ODD_PARTS: dict[str, Effect] = {
    "whole-file": ignores("range"),
    "earlier-part": alters({"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"}),
    "later-part": alters({"Content-Range": f"bytes {CUT + 1}-{SIZE}/{SIZE + 1}"}),
    "no-content-range": alters({"Content-Range": None}),
    "other-unit": alters({"Content-Range": f"items {CUT}-{SIZE - 1}/{SIZE}"}),
    "longer-file": alters({"Content-Range": f"bytes {CUT}-{SIZE - 1}/{SIZE + 1}"}),
    "unknown-length": alters({"Content-Range": f"bytes {CUT}-{SIZE - 1}/*"}),
    "416": replies(416, Content_Range=f"bytes */{SIZE}"),
    "cut-again": ends(after=1000),
    "piece": _piece(1000),
    "html": serves(HTML, "text/html"),
    "other-etag": alters({"ETag": '"other"'}),
    "wrong-digest": BROKEN["Repr-Digest"],
}


@pytest.fixture(scope="module")
def odd_parts(tmp_path_factory: pytest.TempPathFactory) -> Round:
    """Every asset was cut, and the rest of it was answered in an odd way."""
    odd_parts = Round(tmp_path_factory.mktemp("odd_parts"))
    for name, effect in ODD_PARTS.items():
        odd_parts.add(name)
        odd_parts.fail(name, ends(after=CUT), times=1)
        odd_parts.fail(name, effect, when=is_resumed, times=1)
    odd_parts.sync(max_attempts=4)
    return odd_parts


@pytest.mark.parametrize("name", ODD_PARTS)
def test_an_odd_answer_to_a_range_is_never_spliced(odd_parts: Round, name: str) -> None:
    """A rest that is not the one that was asked for is thrown away; the file comes right."""
    assert odd_parts.faults[name].hits == 1
    odd_parts.check(name)


RECENT = {"etag": "", "last_modified": "Fri, 31 Dec 2094 23:59:59 GMT"}
BOTH: dict[str, str] = {}
DATE = {"etag": ""}
ETAG = {"last_modified": ""}
NONE = {"etag": "", "last_modified": ""}
WEAK = {"etag": 'W/"1"', "last_modified": ""}
CHANGES = {
    f"{name}-{size}": (before, after, size)
    for name, before, after in (
        ("both", BOTH, BOTH),
        ("date", DATE, DATE),
        ("weak-etag", WEAK, WEAK),
        ("recent-date", RECENT, RECENT),
        ("none", NONE, NONE),
        ("etag-then-date", ETAG, DATE),
        ("date-then-etag", DATE, ETAG),
    )
    for size in (SIZE, SIZE + 1000, CUT - 1000)
}


def _changed(folder: Path, *faults: Effect) -> Round:
    """A run in which every file was cut, and had other bytes when it was asked for again."""
    changed = Round(folder)
    for name, (before, after, size) in CHANGES.items():
        path = changed.add(name)
        new = File.of(media("image", name, size), "image/png", modified_ms=1_760_000_000_000)
        changed.library.files[path] = _with(changed.library.files[path], before)
        replacement = partial(changed.library.files.__setitem__, path, _with(new, after))
        for fault in faults:
            changed.fail(name, fault)
        changed.fail(name, ends(after=CUT), times=1)
        changed.fail(name, meanwhile(replacement), times=1)
    changed.sync(max_attempts=4)
    return changed


def _with(file: File, validators: dict[str, str]) -> File:
    return File(
        file.body,
        file.content_type,
        validators.get("etag", file.etag),
        validators.get("last_modified", file.last_modified),
    )


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Round:
    """Every file changed between two attempts, on a server that knows If-Range."""
    return _changed(tmp_path_factory.mktemp("changed"))


@pytest.fixture(scope="module")
def changed_unseen(tmp_path_factory: pytest.TempPathFactory) -> Round:
    """Every file changed between two attempts, on a server that does not know If-Range."""
    return _changed(tmp_path_factory.mktemp("changed_unseen"), ignores("if-range"))


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_changes_between_two_attempts_is_not_spliced(changed: Round, name: str) -> None:
    """A rest is asked for only on a validator, so that new content comes whole at once."""
    assert len(changed.asked(name)) == 2
    changed.check(name)


@pytest.mark.parametrize("name", CHANGES)
def test_a_server_that_ignores_if_range_splices_nothing(changed_unseen: Round, name: str) -> None:
    """A 206 that lacks the validator that was asked for is the rest of another file."""
    assert len(changed_unseen.asked(name)) >= 2
    changed_unseen.check(name)


# URLs that expire.


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_expired_url_is_looked_up_afresh(
    service: Misbehaving, library: Library, dest: Path, status: int
) -> None:
    """A URL that was listed but answers no more: one look-up by name finds the one that does."""
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


def test_a_url_that_expires_in_mid_file_is_replaced_and_resumed(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """A URL that is good for one request: the rest comes by the next one, and nothing twice."""
    assert item
    service.signing = Signing(uses=1)
    service.fail(ends(after=CUT), PATH, times=1)
    summary = run_sync(service, dest, max_attempts=3).summary
    assert (summary.exit_code, summary.files.bytes) == (0, SIZE + 2000)
    assert _resumes(service) == [f"bytes={CUT}-"] * 2
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
    service.fail(error(500), ASSETS_PATH, when=lambda it: "fileName" in it.query)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.failed, summary.assets.new) == (3, 1, 1)
    assert "403" in summary.failures[0].error
    library.delete(item)
    service.faults.clear()
    assert run_sync(service, dest).summary.exit_code == 0
    assert manifest_of(dest)["failures"] == {}, "nobody lists it any more"


# Covers.


def test_a_missing_cover_leaves_the_asset_undone(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Exit 3, no entry, the failure names the cover; the next run fetches the cover alone."""
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
    assert manifest_of(dest)["assets"] == {}
    assert media_in(dest) == set()
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


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any], status: int
) -> None:
    """A relative one, then one to another host; the URL on record is the listed one."""
    library.files["/cdn/elsewhere"] = library.files[PATH]
    other_host = f"http://localhost:{service.port}/cdn/elsewhere"
    service.fail(redirects("../elsewhere?step=1", status), PATH)
    service.fail(redirects(other_host, status), "/cdn/elsewhere", times=1)
    assert run_sync(service, dest, max_attempts=1).summary.exit_code == 0
    hosts = [request.headers["host"] for request in service.asked("/cdn/elsewhere")]
    assert hosts == [f"127.0.0.1:{service.port}", f"localhost:{service.port}"]
    assert entry_of(dest, item)["resource"]["url"] == service.url + PATH
    check_mirror(dest, library)


def test_a_redirected_transfer_is_resumed(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """A cut behind a redirect is continued through the redirect."""
    assert item
    library.files["/cdn/elsewhere"] = library.files[PATH]
    service.fail(redirects("/cdn/elsewhere?x-kcdn-pid=1"), PATH)
    service.fail(ends(after=CUT), "/cdn/elsewhere", times=1)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.files.bytes) == (0, SIZE + 2000)
    check_mirror(dest, library)


def test_a_redirect_to_a_local_file_is_refused(
    service: Misbehaving, dest: Path, tmp_path: Path, item: dict[str, Any]
) -> None:
    """Nothing of this machine is ever taken for an asset, nor by a URL in the listing."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(media("image", "secret", SIZE))
    service.fail(redirects(secret.as_uri()), PATH)
    listed = {**item, "id": "77", "resource": {"resource": secret.as_uri()}}
    service.accounts[EMAIL].append(listed)
    summary = run_sync(service, dest, max_attempts=3).summary
    assert (summary.exit_code, summary.assets.failed) == (3, 2)
    assert len(service.asked(PATH)) == 1, "there is no use in asking again"
    digests = set(snapshot(dest).values())
    assert hashlib.sha256(secret.read_bytes()).hexdigest() not in digests


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x?sig=SECRET", "HTTP:/x?sig=SECRET", "//?SECRET"])
def test_an_odd_url_is_told_without_its_query(
    sync: RunProgram, library: Library, dest: Path, url: str
) -> None:
    """A URL that is none of http fails its asset, and its query is nowhere in what is told."""
    library.add(1, "image")["resource"]["resource"] = url
    done = sync("-vv")
    assert done.code == 3
    assert "SECRET" not in done.out + done.err
    [failure] = manifest_of(dest)["failures"].values()
    assert "SECRET" not in failure["error"]


def test_a_loop_of_redirects_ends(service: Misbehaving, dest: Path, item: dict[str, Any]) -> None:
    """Few requests, and a failure that says so."""
    assert item
    service.fail(redirects(PATH), PATH)
    summary = run_sync(service, dest, max_attempts=3).summary
    assert summary.exit_code == 3
    assert "redirect" in summary.failures[0].error
    assert len(service.asked(PATH)) <= 12


# Rates and waits.


@pytest.mark.parametrize(("form", "status"), [("seconds", 503), ("date", 429)])
def test_a_wait_that_the_cdn_asks_for_is_waited_by_all(
    service: Misbehaving, library: Library, dest: Path, form: str, status: int
) -> None:
    """No worker asks the CDN for anything before the time that one of them was told."""
    for number in range(12):
        library.add(number, "image")
    fault = service.fail(too_many(form, 1, status=status), "/cdn/*", skip=3, times=1)
    assert run_sync(service, dest, jobs=2).summary.exit_code == 0
    told = fault.hit_at[0]
    early = [at - told for at, it in service.arrivals if "/cdn/" in it.path]
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


def test_failures_are_told_in_one_line_each(
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
