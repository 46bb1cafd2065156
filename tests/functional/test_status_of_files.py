"""`status` looks at the disk: it is safe only if its files are there, and not known as rotten."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror.clock import now_iso
from tests.conftest import RunProgram
from tests.lib.damage import DAMAGE, flip
from tests.lib.effects import replies
from tests.lib.library import PNG, Library
from tests.lib.mirrored import PRIVATE, entry_of, manifest_of, path_of
from tests.lib.misbehaving import Misbehaving
from tests.lib.processes import wait_until
from tests.lib.runs import run_sync

State = Callable[[], dict[str, Any]]


@pytest.fixture
def state(program: RunProgram, dest: Path) -> State:
    """What `status --json` says; where files are wrong, `--max-age` must raise the alarm."""

    def stated() -> dict[str, Any]:
        done = program("status", "--json", "--max-age", "9999d", "--dest", dest)
        found: dict[str, Any] = json.loads(done.out)
        if found["missing"] or found["damaged"] or found["last_complete"] is None:
            assert done.code == 1
        assert "Traceback" not in done.err
        return found

    return stated


def words(program: RunProgram, dest: Path) -> str:
    """What `status` says to people."""
    done = program("status", "--dest", dest)
    assert done.code == 0
    return done.out


def test_a_folder_that_is_gone_is_not_safe(
    program: RunProgram, state: State, trio: list[Any], dest: Path
) -> None:
    """`rm -rf DEST/video`: the files are counted, and the first line says so."""
    assert trio
    assert state()["is_complete"]
    shutil.rmtree(dest / "video")
    found = state()
    assert (found["is_complete"], found["missing"], found["damaged"]) == (False, 2, 0)
    assert words(program, dest).startswith("Not safe: 2 recorded files are missing or cut; ")


@pytest.mark.parametrize("damage", [name for name in DAMAGE if name != "flipped"])
@pytest.mark.parametrize("kept", ["current", "gone", "superseded"])
def test_each_recorded_file_counts(
    *,
    state: State,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    dest: Path,
    damage: str,
    kept: str,
) -> None:
    """Whatever its entry's state: missing, cut or grown, it is not what was recorded."""
    path = path_of(dest, trio[1])
    if kept == "gone":
        library.delete(trio[1])
    elif kept == "superseded":
        library.change(trio[1], PNG + b"new" * 100)
    assert run_sync(service, dest).summary.exit_code == 0
    [path] = [
        entry["resource"]["path"]
        for entry in manifest_of(dest)["assets"].values()
        if entry["id"] == trio[1]["id"] and entry["state"] == kept
    ]
    assert state()["missing"] == 0
    DAMAGE[damage][0](dest / path)
    assert state()["missing"] == 1


def test_what_verify_found_is_remembered_until_it_is_repaired(
    program: RunProgram, verify: RunProgram, state: State, trio: list[Any], dest: Path
) -> None:
    """A flipped bit is seen by `verify` alone: from then on `status` knows it, too."""
    assert "has not read them again" in words(program, dest)
    flip(dest / path_of(dest, trio[0]))
    assert state()["is_complete"], "nothing has read it yet"
    assert verify().code == 1
    found = state()
    assert (found["is_complete"], found["missing"], found["damaged"]) == (False, 0, 1)
    text = words(program, dest)
    assert text.startswith("Not safe: the last `verify` found 1 damaged file; ")
    assert "Last verified just now (" in text
    assert verify("--repair").code == 0
    assert state()["is_complete"]


def test_a_damaged_file_stays_so_where_history_keeps_it(
    verify: RunProgram,
    state: State,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    *,
    dest: Path,
) -> None:
    """A newer version takes its place in the tree; the earlier one is rotten as before."""
    flip(dest / path_of(dest, trio[1]))
    assert verify().code == 1
    library.change(trio[1], PNG + b"new" * 100)
    assert run_sync(service, dest).summary.exit_code == 0
    assert state()["damaged"] == 1


def test_a_damaged_file_that_is_fetched_anew_is_sound(
    verify: RunProgram, state: State, service: Misbehaving, trio: list[Any], dest: Path
) -> None:
    """Its owner deletes it, and the next run fetches it."""
    path = dest / path_of(dest, trio[1])
    flip(path)
    assert verify().code == 1
    path.unlink()
    before = entry_of(dest, trio[1])["resource"]["fetched"]
    wait_until(lambda: now_iso() > before)  # its time separates one fetch from the other
    assert run_sync(service, dest).summary.exit_code == 0
    assert state()["damaged"] == 0


def test_what_verify_cannot_note_is_no_hindrance(
    verify: RunProgram, trio: list[Any], dest: Path
) -> None:
    """A mirror that may only be read can be verified."""
    assert trio
    (dest / PRIVATE / "verified.json").mkdir()
    assert verify().code == 0


def test_a_root_without_a_spool_has_a_state(state: State, trio: list[Any], dest: Path) -> None:
    """A run was cut off right after it had made the root."""
    assert trio
    (dest / PRIVATE / "partial").rmdir()
    assert state()["free"] > 0


def test_a_spoilt_note_is_none(state: State, trio: list[Any], dest: Path) -> None:
    """What a crash or a hand has spoilt says nothing."""
    assert trio
    (dest / PRIVATE / "verified.json").write_bytes(b'{"at": 7')
    assert state()["last_verified"] is None


def _run_log(dest: Path) -> Path:
    return dest / PRIVATE / "runs.jsonl"


def test_a_run_dated_in_the_future_is_not_fresh(
    program: RunProgram, state: State, service: Misbehaving, trio: list[Any], dest: Path
) -> None:
    """One night with the clock ahead does not make a mirror safe until then."""
    assert trio
    run = json.loads(_run_log(dest).read_text())
    ahead = {**run, "started": "2099-01-01T00:00:00Z"}
    _run_log(dest).write_text(json.dumps(ahead) + "\n")
    found = state()
    assert (found["is_complete"], found["last_complete"]) == (False, None)
    text = words(program, dest)
    assert "in the future" in text.splitlines()[0]
    assert "just now" not in text
    old = {**run, "started": "2025-01-01T00:00:00Z"}
    _run_log(dest).write_text(f"{json.dumps(old)}\n{json.dumps(ahead)}\n")
    assert state()["last_complete"] == "2025-01-01T00:00:00Z"
    done = program("status", "--max-age", "9999d", "--dest", dest)
    assert (done.code, "in the future" in done.err) == (1, True), "no age is known"
    assert run_sync(service, dest).summary.exit_code == 0
    assert state()["is_complete"]


def test_a_rebuilt_manifest_is_complete_only_after_the_next_run(
    program: RunProgram,
    verify: RunProgram,
    state: State,
    service: Misbehaving,
    trio: list[Any],
    *,
    dest: Path,
) -> None:
    """What is lost with the manifest leaves no trace in the new one: earlier runs count no more."""
    (dest / path_of(dest, trio[0])).unlink()
    for name in ("manifest.json", "manifest.json.bak", "SHA256SUMS"):
        (dest / name).unlink(missing_ok=True)
    assert verify("--rebuild").code == 0
    assert verify().code == 0, "a later look at the files must not change that"
    found = state()
    assert (found["is_complete"], found["last_complete"], found["missing"]) == (False, None, 0)
    text = words(program, dest)
    assert text.startswith("Not safe: no run has mirrored all of the library since the manifest ")
    assert run_sync(service, dest).summary.exit_code == 0
    assert state()["is_complete"]


def test_a_manifest_rebuilt_from_itself_stays_complete(
    verify: RunProgram, state: State, trio: list[Any]
) -> None:
    """Nothing can be missing from what was read whole."""
    assert trio
    assert verify("--rebuild").code == 0
    assert state()["is_complete"]


def _note_holder(dest: Path, pid: int) -> None:
    note = {"pid": pid, "since": "2025-01-01T00:00:00Z"}
    (dest / PRIVATE / "lock.json").write_text(json.dumps(note))


def test_a_killed_run_is_not_at_work_though_its_pid_lives_again(
    state: State, trio: list[Any], dest: Path
) -> None:
    """The lock is asked, and not the process that has the number by now."""
    assert trio
    _note_holder(dest, os.getpid())
    assert state()["at_work"] is None


@pytest.mark.skipif(os.name == "nt", reason="the lock is not asked there")
def test_a_run_of_another_container_is_at_work(state: State, trio: list[Any], dest: Path) -> None:
    """Its pid means nothing here: the lock does."""
    assert trio
    held = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); input()"
    lock = dest / PRIVATE / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", f"{held}", lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        _note_holder(dest, 4_194_305)  # above what Linux gives
        while state()["at_work"] is None:
            assert process.poll() is None
        assert state()["at_work"]["pid"] == 4_194_305
        process.kill()
    assert state()["at_work"] is None


def test_status_keeps_no_run_from_its_lock(
    program: RunProgram, service: Misbehaving, trio: list[Any], dest: Path
) -> None:
    """A stale note is looked into while a run begins: neither is in the other's way."""
    assert trio
    for _ in range(3):
        _note_holder(dest, os.getpid())
        assert program("status", "--dest", dest).code == 0
        assert run_sync(service, dest).summary.exit_code == 0


def test_a_failure_whose_file_is_back_is_over(
    state: State, service: Misbehaving, library: Library, trio: list[Any], dest: Path
) -> None:
    """A file that could not be fetched, and was put back by hand, does not wait to be fetched."""
    path = dest / path_of(dest, trio[1])
    body = path.read_bytes()
    path.unlink()
    service.fail(replies(404), "/cdn/image/*")
    assert run_sync(service, dest).summary.exit_code == 3
    assert len(state()["failures"]) == 1
    path.write_bytes(body)
    found = state()
    assert (found["failures"], found["missing"]) == ([], 0)
    assert library


def test_a_failure_whose_file_is_back_leaves_the_manifest(
    service: Misbehaving, trio: list[Any], dest: Path
) -> None:
    """The next run sees the file, and the failure is no longer recorded."""
    path = dest / path_of(dest, trio[1])
    body = path.read_bytes()
    path.unlink()
    service.fail(replies(404), "/cdn/image/*")
    assert run_sync(service, dest).summary.exit_code == 3
    path.write_bytes(body)
    assert run_sync(service, dest).summary.exit_code == 0
    assert manifest_of(dest)["failures"] == {}
