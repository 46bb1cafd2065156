"""One request in ten fails, in any way that we know of: all the same, the mirror is complete."""

import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Lock

import pytest

from mirror.demo.server import Request, Response
from mirror.demo.service import ASSETS_PATH
from tests.lib.effects import (
    HTML,
    alters,
    chunked,
    clamps,
    cuts_json,
    ends,
    error,
    garbles,
    gzips,
    lists_nothing,
    refuses,
    repeats_last_page,
    replies,
    resets,
    serves,
    stalls,
    too_many,
    unframed,
)
from tests.lib.invariant import Served, check_invariant
from tests.lib.library import KINDS, Library
from tests.lib.mirrored import check_mirror, manifest_of
from tests.lib.misbehaving import Answer, Effect, Misbehaving, Signing
from tests.lib.runs import run_sync

ANY: dict[str, Effect] = {
    "408": error(408),
    "425": error(425),
    "500": error(500),
    "502": error(502, nested=True),
    "503": too_many("seconds", 0, status=503),
    "504": replies(504, HTML, Content_Type="text/html"),
    "429": too_many("seconds", 0),
    "429-date": too_many("date", 1),
    "429-body": too_many("body", 1),
    "reset": resets(),
    "reset-in-body": resets(after=700),
    "closed": ends(),
    "short": ends(after=900),
    "stall": stalls(),
    "stall-in-body": stalls(after=50),
    "no-http": garbles(),
    "error-page": replies(200, HTML, Content_Type="text/html"),
    "empty": replies(200),
    "cut-chunks": chunked(upto=600),
    "chunks": chunked(),
}
"""What may befall any request."""
LISTING: dict[str, Effect] = {
    **ANY,
    "cut-json": cuts_json(1000),
    "empty-page": lists_nothing(),
    "clamped": clamps(7),
    "no-sort": refuses("sort"),
    "repeats": repeats_last_page(),
}
FILE: dict[str, Effect] = {
    **ANY,
    "401": error(401),
    "403": error(403),
    "404": error(404),
    "410": error(410),
    "416": replies(416),
    "302-in-a-circle": lambda request, _: Response(302, {"Location": request.path}, b""),
    "gzip": gzips(),
    "json": serves(b'{"error": "no such object"}'),
    "unframed": unframed(400),
    "wrong-digest": alters({"Repr-Digest": f"sha-256=:{'A' * 43}=:"}),
    "no-validators": alters({"ETag": None, "Last-Modified": None}),
    "weak": alters({"ETag": 'W/"1"'}),
}


class Storm:
    """An effect that strikes one request in ten.

    Which and how hangs on the seed, on what is asked for, and on how often it was asked before:
    not on the order in which connections happen to be served.
    """

    def __init__(self, seed: int) -> None:
        self.struck: Counter[str] = Counter()
        self.asked = 0
        self._seed = seed
        self._times: Counter[str] = Counter()
        self._lock = Lock()

    def __call__(self, request: Request, answer: Answer) -> Response:
        """Answer, or strike."""
        is_listing = request.path == ASSETS_PATH
        what = request.path
        if is_listing:
            what += f"{request.query.get('pageNum')} {request.query.get('fileName')}"
        with self._lock:
            self._times[what] += 1
            dice = Random(f"{self._seed} {what} {self._times[what]}")  # noqa: S311 - repeatable
            self.asked += 1
            name = dice.choice(sorted(LISTING if is_listing else FILE))
            if dice.random() >= 0.1:
                return answer(request)
            self.struck[name] += 1
        return (LISTING if is_listing else FILE)[name](request, answer)


@pytest.fixture
def service(library: Library) -> Iterator[Misbehaving]:
    """The service over the test's library; its URLs are signed, and a listing renews them."""
    with library.service(Misbehaving) as running:
        running.signing = Signing()
        yield running


def _survive(
    service: Misbehaving, dest: Path, *, seed: int, jobs: int
) -> tuple[Storm, list[tuple[int, int]]]:
    """Sync in the storm until a run is complete; gives each run's exit code and failures."""
    storm = Storm(seed)
    service.fail(storm)
    runs: list[tuple[int, int]] = []
    while not runs or (runs[-1][0] != 0 and len(runs) < 3):
        summary = run_sync(
            service, dest, jobs=jobs, max_attempts=6, max_wait=20, stall_timeout=1, page_size=25
        ).summary
        counts = summary.assets
        parts = counts.new + counts.changed + counts.unchanged + counts.repaired + counts.failed
        assert counts.listed == parts
        assert counts.gone == 0, "nothing was deleted"
        runs.append((int(summary.exit_code), counts.failed))
    assert runs[-1] == (0, 0), runs
    return storm, runs


def _check_complete(dest: Path, library: Library) -> None:
    """See that each file is what the library has, by hash, and that each entry is current."""
    check_mirror(dest, library)
    served = Served()
    served.note(library)
    check_invariant(dest, served, is_settled=True)
    wanted = Counter(hashlib.sha256(file.body).hexdigest() for file in library.files.values())
    found: Counter[str] = Counter()
    for entry in manifest_of(dest)["assets"].values():
        assert entry["state"] == "current"
        found.update(entry[role]["sha256"] for role in ("resource", "cover") if entry[role])
    assert found == wanted


@pytest.mark.soak
@pytest.mark.parametrize("seed", [4])
def test_a_storm_over_a_small_library(
    service: Misbehaving, library: Library, dest: Path, seed: int
) -> None:
    """150 assets, one request in ten struck: complete in at most three runs, each hash right."""
    for number in range(150):
        library.add(number, KINDS[number % 3])
    storm, _ = _survive(service, dest, seed=seed, jobs=32)
    assert storm.struck.total() > 10
    assert len(storm.struck) > 8
    _check_complete(dest, library)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_over_a_large_library(
    service: Misbehaving, library: Library, dest: Path, seed: int
) -> None:
    """2,000 assets, every way of failing met: complete in at most three runs, each hash right."""
    dice = Random(seed)  # noqa: S311 - the same library each time
    for number in range(2000):
        library.add(number, KINDS[number % 3], size=dice.randint(1000, 200_000))
    began = time.monotonic()
    storm, runs = _survive(service, dest, seed=seed, jobs=16)
    took_s = time.monotonic() - began
    _check_complete(dest, library)
    missed = (LISTING.keys() | FILE.keys()) - storm.struck.keys()
    assert missed <= LISTING.keys() - FILE.keys(), "each way of a file's failing was met"
    figures = {
        "seconds": round(took_s, 1),
        "runs": runs,
        "requests": storm.asked,
        "struck": storm.struck.total(),
        "ways": dict(storm.struck),
        "bytes": sum(len(file.body) for file in library.files.values()),
        "cpus": os.cpu_count(),
    }
    sys.stderr.write(f"{json.dumps(figures)}\n")
