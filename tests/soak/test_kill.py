"""`kill -9` at any moment: nothing is promised that is not there, and the next run goes on."""

import contextlib
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mirror.demo.server import Request, Response
from mirror.demo.service import KlingService
from mirror.storage.layout import short_hash
from tests.conftest import RunProgram
from tests.lib.invariant import PRIVATE, Served, Witness, check_invariant, files_below, sha256_of
from tests.lib.library import ACCESS, EMAIL, KINDS, Library, media
from tests.lib.mirrored import key_of
from tests.lib.paced import Paced
from tests.lib.processes import started, sync_arguments, wait_until

_KILLED = -9
_ENDS = (0, 5, _KILLED)
"""How a run may end: all that a killed run has recorded may be deleted at Kling: exit 5."""


@dataclass
class _Life:
    """A library that changes, a mirror that is killed, and what is known of both."""

    library: Library
    service: KlingService
    environ: Mapping[str, str]
    dest: Path
    dice: random.Random
    served: Served = field(default_factory=Served)
    witness: Witness = field(init=False)
    found: Counter[str] = field(default_factory=Counter)
    uploads: int = 0
    kills: int = 0
    whole_s: float = 0.0
    """How long a run may take, by the last that was not killed."""

    def __post_init__(self) -> None:
        self.witness = Witness(self.dest, self.served)

    def upload(self, count: int) -> None:
        """More assets, of every kind and of sizes from a few bytes to megabytes."""
        for _ in range(count):
            size = int(10 ** self.dice.uniform(1.5, 6.3))
            self.library.add(self.uploads, self.dice.choice(KINDS), size=size)
            self.uploads += 1
        self.served.note(self.library)

    def grow_older(self, share: int = 12) -> None:
        """One in so many assets is changed (a few in name only), some are deleted, some new."""
        items = self.library.accounts[EMAIL]
        for item in self.dice.sample(items, len(items) // share + 1):
            body = media(item["contentType"], self.dice.random(), self.dice.randint(100, 90_000))
            self.library.change(item, body if self.dice.random() < 0.7 else None)
        for item in self.dice.sample(items, 2):
            self.library.delete(item)
        self.upload(3)

    def arguments(self, dest: Path | None = None) -> tuple[object, ...]:
        """Of a run that may see anything vanish."""
        return (*sync_arguments(self.service, dest or self.dest), "--max-gone", "100%")

    def measure(self, scratch: Path) -> None:
        """How long a whole first run takes."""
        began = time.monotonic()
        with started(self.environ, *self.arguments(scratch)) as process:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
        shutil.rmtree(scratch)
        self.whole_s = time.monotonic() - began

    def run_and_kill(self) -> None:
        """A run that is killed at some moment, if it is not done before."""
        began = time.monotonic()
        with started(self.environ, *self.arguments()) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.dice.uniform(0.1, 1.1 * self.whole_s))
                self.whole_s = time.monotonic() - began
            process.kill()
            _, err = process.communicate(timeout=60)
        if process.returncode == _KILLED:
            self.kills += 1
            self.whole_s *= 1.1  # what it left undone makes the next one longer
        assert process.returncode in _ENDS, err.decode()
        self.check()

    def check(self, *, is_settled: bool = False) -> None:
        """The invariant, on what the kill left; and nothing of what was there before is lost."""
        for name in ("partial", "journal"):
            path = self.dest / PRIVATE / name
            has_rest = (
                any(path.iterdir()) if path.is_dir() else path.exists() and path.stat().st_size
            )
            self.found[name] += bool(has_rest)
        self.witness.look(is_settled=is_settled)

    def check_converged(self, program: RunProgram) -> None:
        """One undisturbed run makes the mirror whole, and one more finds nothing to do."""
        environ = ACCESS
        done = program(*self.arguments(), env=environ)
        if done.code == 5:  # it believes that all are gone once there are others
            done = program(*self.arguments(), env=environ)
        assert done.code == 0, done.err
        self.check(is_settled=True)
        items = {key_of(item): item for item in self._listed()}
        entries = self.witness.entries
        current = {key for key, entry in entries.items() if entry.state == "current"}
        assert current == items.keys()
        for key, item in items.items():
            for role in ("resource", "cover"):
                stored = getattr(entries[key], role)
                path = item[role]["resource"].partition("?")[0]
                assert (stored is not None) == bool(path)
                if stored is not None:
                    assert (self.dest / stored.path).read_bytes() == self.library.files[path].body
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=self.dest, check=True)  # noqa: S607
        # What a kill left of an asset that was deleted before it was recorded is all that there is.
        left = {
            path.name.partition(".")[0] for path in files_below(self.dest / PRIVATE / "partial")
        }
        assert left.isdisjoint(map(short_hash, entries))
        again = program(*self.arguments(), env=environ).summary
        assert again["assets"] | {"unchanged": len(items)} == again["assets"]  # type: ignore[operator]
        assert again["files"] == {"fetched": 0, "reused": 0, "bytes": 0}

    def _listed(self) -> list[dict[str, Any]]:
        return self.library.accounts[EMAIL]


@pytest.fixture
def life(library: Library, environ: dict[str, str], dest: Path) -> Iterator[_Life]:
    """A library of 60 assets and no mirror of it yet."""
    with library.service(Paced) as service:
        dice = random.Random(20250806)  # noqa: S311 - dice, not secrets
        life = _Life(library, service, environ, dest, dice)
        life.upload(60)
        yield life


@pytest.mark.soak
def test_a_killed_run_promises_nothing_that_is_not_there(
    life: _Life, program: RunProgram, tmp_path: Path
) -> None:
    """After `kill -9` at 12 random moments every entry's files are there, and the mirror heals."""
    life.measure(tmp_path / "scratch")
    for _ in range(12):
        life.run_and_kill()
        if life.dice.random() < 0.5:
            life.grow_older()
    assert life.kills >= 4, "the runs were over before they could be killed"
    life.check_converged(program)


class _Slow(Paced):
    """A service that takes its time, for pages as for files."""

    pause_s = 0.01

    def listing(self, request: Request) -> Response:
        """Answer a page, slowly."""
        self.closing.wait(0.1)
        return super().listing(request)


@pytest.mark.soak
def test_two_hundred_kills(
    library: Library, environ: dict[str, str], program: RunProgram, dest: Path, tmp_path: Path
) -> None:
    """The same 200 times, with a library and a server that let kills hit every phase."""
    dice = random.Random(20250808)  # noqa: S311 - dice, not secrets
    with library.service(_Slow) as service:
        life = _Life(library, service, environ, dest, dice)
        life.upload(300)
        life.measure(tmp_path / "scratch")
        for _ in range(200):
            life.run_and_kill()
            if life.dice.random() < 0.5:
                life.grow_older(share=6)
        print(f"\n{life.kills} of 200 runs were killed; they left {life.found}")  # noqa: T201
        assert 50 <= life.kills < 200
        assert min(life.found.values()) >= 20
        life.check_converged(program)


_CALLS = {"rename": 12, "fsync": 16, "unlink": 10, "ftruncate": 5, "linkat": 5, "write": 30}
"""System calls that change the mirror, and how many of each one thread makes in such a run."""


def _strace(call: str, number: int) -> tuple[str, ...]:
    """Start a program so that it is killed as one of its threads is about to make that call."""
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    return ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject)


def _require_strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("kills at chosen system calls were not tested: strace is not installed")
    trial = subprocess.run(
        [*_strace("execve", 2), "true"],
        capture_output=True,
        check=False,
    )
    if trial.returncode:
        pytest.skip(
            "kills at chosen system calls were not tested: strace may not trace here "
            f"({trial.stderr.decode().strip()})"
        )


def _kill_at(life: _Life, call: str, number: int) -> bool:
    """A changed library, a run that is killed at that call, and the check; False if it lived."""
    life.grow_older()
    with started(life.environ, *life.arguments(), under=_strace(call, number)) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode in _ENDS, err.decode()
    life.check()
    return process.returncode == _KILLED


@pytest.fixture
def small_life(library: Library, environ: dict[str, str], dest: Path) -> Iterator[_Life]:
    """A library of 12 assets and no mirror of it yet."""
    with library.service() as service:
        dice = random.Random(20250807)  # noqa: S311 - dice, not secrets
        life = _Life(library, service, environ, dest, dice)
        life.upload(12)
        yield life


@pytest.mark.soak
def test_kills_at_the_calls_that_change_the_mirror(small_life: _Life, program: RunProgram) -> None:
    """Killed as it is about to rename, sync, cut or unlink, a run leaves the invariant whole."""
    _require_strace()
    for call in ("rename", "fsync", "unlink", "ftruncate"):
        _kill_at(small_life, call, small_life.dice.randint(1, _CALLS[call]))
    small_life.check_converged(program)


@pytest.mark.soak
@pytest.mark.parametrize("call", _CALLS)
def test_kills_at_every_call(small_life: _Life, program: RunProgram, call: str) -> None:
    """Killed at the first, the second, … of its calls until none is left, a run never lies."""
    _require_strace()
    number = 1
    while _kill_at(small_life, call, number):
        number += 1
        if number % 3 == 0:
            small_life.check_converged(program)
    assert number > 1, "no run was killed"
    small_life.check_converged(program)


class _Moody(Paced):
    """Keeps covers waiting; may stop to honour If-None-Match, as another edge of a CDN would."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(**options)
        self.cover_asked = Event()
        self.holds_covers = False
        self.honours_etags = True

    def file(self, request: Request) -> Response:
        """Answer a file, moodily."""
        if self.holds_covers and request.path.endswith(".cover"):
            self.cover_asked.set()
            self.closing.wait()
        if not self.honours_etags:
            headers = {k: v for k, v in request.headers.items() if k != "if-none-match"}
            request = Request(request.method, request.path, request.query, headers)
        return super().file(request)


def test_a_file_in_its_place_is_never_written_into(
    library: Library, environ: dict[str, str], dest: Path, sync_to: RunProgram
) -> None:
    """A copy that a 304 vouched for, and then a crash: the next download must not overwrite it."""
    item = library.add(1, size=2_000_000)
    served = Served()
    served.note(library)
    with library.service(_Moody) as service:
        assert sync_to(service, dest).code == 0
        library.change(item)
        service.holds_covers = True
        with started(environ, *sync_arguments(service, dest)) as process:
            wait_until(service.cover_asked.is_set)
            process.kill()
        check_invariant(dest, served)
        (dest / PRIVATE / "promised").unlink()  # a power cut took it, and left the copy
        service.honours_etags = False
        service.pause_s = 0.02
        service.count_anew()
        with started(environ, *sync_arguments(service, dest)) as process:
            wait_until(lambda: service.sent_bytes > 500_000)
            process.kill()
        check_invariant(dest, served)


def test_a_complete_file_outlives_a_kill_before_its_entry(
    library: Library, environ: dict[str, str], dest: Path, sync_to: RunProgram
) -> None:
    """What was recorded before a kill is not asked for again."""
    for number in range(20):
        library.add(number, "image")
    library.add(20, "video")
    with library.service(_Moody) as service:
        service.holds_covers = True
        with started(environ, *sync_arguments(service, dest)) as process:
            wait_until(service.cover_asked.is_set)
            wait_until(lambda: len(check_invariant(dest)) == 20)
            process.kill()
        service.holds_covers = False
        service.requests.clear()
        assert sync_to(service, dest).code == 0
        assert {request.path.split("/")[2] for request in service.cdn_requests()} == {"video"}
        for stored in (
            stored for entry in check_invariant(dest).values() for stored in entry.files()
        ):
            assert sha256_of(dest / stored.path) == stored.sha256
