"""Transfers that were cut go on where they were, and never splice two files."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.server import Request, Response
from mirror.demo.service import File
from tests.lib.damage import flip
from tests.lib.effects import (
    HTML,
    alters,
    chunked,
    ends,
    ignores,
    is_resumed,
    meanwhile,
    replies,
    resets,
    serves,
)
from tests.lib.library import Library, media
from tests.lib.mirrored import check_mirror, entry_of, left_over
from tests.lib.misbehaving import Answer, Effect, Misbehaving, Signing
from tests.lib.rounds import BROKEN, CUT, PATH, SIZE, Round, resumes
from tests.lib.runs import run_sync


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
    assert resumes(service) == [f"bytes={CUT}-"]
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
    assert resumes(service) == ["bytes=50000-", "bytes=100000-"]
    check_mirror(dest, library)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
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
    assert resumes(service) == []
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
    assert resumes(service) == [f"bytes={CUT}-"]
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
