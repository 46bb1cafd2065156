"""Two processes and one mirror: one writes, any may look."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import filelock
import pytest

from mirror.demo.server import Request, Response
from mirror.demo.service import KlingService
from tests.conftest import RunProgram
from tests.lib.invariant import PRIVATE, check_invariant
from tests.lib.library import ACCESS, Library
from tests.lib.processes import started, sync_arguments, wait_until

_ALL_REQUESTS = 10
"""Of a first run over three images: a walk of one page, one of two smaller ones, with two empty
ones behind each, and three files."""


class _Gate(KlingService):
    """A service that keeps one file back until the gate is opened."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(**options)
        self.asked = Event()
        self.opened = Event()
        self.path = ""

    def file(self, request: Request) -> Response:
        """Answer a file, or wait at the gate with it."""
        if request.path == self.path:
            self.asked.set()
            while not self.opened.wait(0.02) and not self.closing.is_set():
                pass
        return super().file(request)


@pytest.fixture
def gate(library: Library) -> Iterator[_Gate]:
    """Three images, and the last is kept back."""
    for number in range(3):
        library.add(number, "image")
    with library.service(_Gate) as service:
        service.path = "/cdn/image/2"
        yield service


@pytest.fixture
def sync_now(sync_to: RunProgram, gate: _Gate, dest: Path) -> RunProgram:
    """Runs `sync` to its end, past an open gate or not."""
    return partial(sync_to, gate, dest)


def _wait_for_two(gate: _Gate, dest: Path) -> None:
    wait_until(gate.asked.is_set)
    wait_until(lambda: len(check_invariant(dest)) == 2)


def test_the_second_run_is_turned_away(
    gate: _Gate, dest: Path, environ: Mapping[str, str], sync_now: RunProgram
) -> None:
    """The second run, and the third, exit 11 and name the first's pid; the first completes."""
    with started(environ, *sync_arguments(gate, dest)) as first:
        _wait_for_two(gate, dest)
        wait_until(lambda: len(gate.requests) == _ALL_REQUESTS)
        for options in ((), ("--dry-run",)):
            second = sync_now(*options)
            assert second.code == 11, second.err
            assert f"pid {first.pid}" in second.err
            assert str(dest) in second.err
            assert len(second.err.splitlines()) <= 3
            assert second.summary["exit_code"] == 11
        assert len(gate.requests) == _ALL_REQUESTS
        gate.opened.set()
        _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err.decode()
    assert len(check_invariant(dest)) == 3


def test_a_lock_that_a_killed_run_left_is_no_lock(
    gate: _Gate, dest: Path, environ: Mapping[str, str], sync_now: RunProgram
) -> None:
    """After `kill -9` the next run goes on at once; nobody has to remove a lock file."""
    with started(environ, *sync_arguments(gate, dest)) as first:
        _wait_for_two(gate, dest)
        first.kill()
        first.communicate(timeout=60)
    assert (dest / PRIVATE / "lock").exists()
    gate.opened.set()
    done = sync_now()
    assert done.code == 0, done.err
    assert len(check_invariant(dest)) == 3


def test_two_roots_do_not_hinder_each_other(
    gate: _Gate, dest: Path, environ: Mapping[str, str], program: RunProgram, tmp_path: Path
) -> None:
    """The lock is the root's: another mirror runs meanwhile."""
    with started(environ, *sync_arguments(gate, dest)):
        _wait_for_two(gate, dest)
        other = program(
            *sync_arguments(gate, tmp_path / "other"), "--file-name", "clip1",
            env=ACCESS,
        )  # fmt: skip
        assert other.code == 0, other.err


def test_a_root_that_another_run_is_making_is_left_to_it(
    gate: _Gate, dest: Path, sync_now: RunProgram
) -> None:
    """Two first runs at once: the one without the lock writes nothing, and exits 11."""
    (dest / PRIVATE).mkdir(parents=True)
    with filelock.FileLock(dest / PRIVATE / "lock"):
        second = sync_now()
    assert second.code == 11, second.err
    assert not (dest / "manifest.json").exists()
    assert not (dest / PRIVATE / "root.json").exists()
    gate.opened.set()
    assert sync_now().code == 0


def test_status_and_list_look_on(
    gate: _Gate, dest: Path, environ: Mapping[str, str], program: RunProgram
) -> None:
    """`status` and `list` work during a sync, show what is recorded so far, and disturb nothing."""
    with started(environ, *sync_arguments(gate, dest)) as first:
        _wait_for_two(gate, dest)
        status = program("status", "--json", "--dest", dest)
        assert status.code == 0, status.err
        assert json.loads(status.out)["current"] == 2
        assert json.loads(status.out)["is_complete"] is False
        assert program("status", "--dest", dest).code == 0
        listed = program("list", "--json", "--dest", dest)
        assert listed.code == 0, listed.err
        assert len(json.loads(listed.out)) == 2
        gate.opened.set()
        _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err.decode()
    assert len(check_invariant(dest)) == 3


def test_list_never_shows_less_than_was_recorded(
    gate: _Gate, dest: Path, environ: Mapping[str, str]
) -> None:
    """A reader between the manifest and the journal, while a run ends, does not see neither."""
    if shutil.which("strace") is None:
        pytest.skip("a reader that is overtaken by a run was not tested: strace is not installed")
    journal = dest / PRIVATE / "journal"
    slowly = (
        "strace", "-f", "-qq", "-o", "/dev/null", "-P", str(journal),
        "-e", "trace=openat", "-e", "inject=openat:delay_enter=2000000:when=1",
    )  # fmt: skip
    trial = subprocess.run([*slowly, "true"], capture_output=True, check=False)
    if trial.returncode:
        reason = trial.stderr.decode().strip()
        pytest.skip(f"a reader that is overtaken by a run was not tested: no ptrace ({reason})")
    with started(environ, *sync_arguments(gate, dest)) as first:
        _wait_for_two(gate, dest)
        with started(environ, "list", "--json", "--dest", dest, under=slowly) as reader:
            time.sleep(1)
            gate.opened.set()
            _, err = first.communicate(timeout=60)
            assert first.returncode == 0, err.decode()
            assert reader.poll() is None, "it was not overtaken"
            out, err = reader.communicate(timeout=60)
    assert reader.returncode == 0, err.decode()
    assert len(json.loads(out)) in (2, 3)
