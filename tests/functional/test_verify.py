"""`verify`: every byte is looked at, and what is wrong is named."""

import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mirror.jobs import verify as verifying
from mirror.stopping import Stop
from mirror.storage.root import Root
from tests.conftest import Finished, RunProgram, access_to, check_shown
from tests.lib.damage import DAMAGE, UNREADABLE, wrong_files
from tests.lib.library import Library, media
from tests.lib.mirrored import check_records, manifest_of, path_of, snapshot, stored_of
from tests.lib.misbehaving import Misbehaving
from tests.lib.paced import Paced
from tests.lib.processes import (
    BIG,
    open_files,
    started,
    stopped_within_s,
    sync_arguments,
    wait_until,
)
from tests.lib.runs import Notes, run_sync


def test_a_sound_mirror_is_said_to_be_so(
    program: RunProgram, service: Misbehaving, library: Library, trio: list[Any], dest: Path
) -> None:
    """Exit 0 over current, superseded and gone files; no token, no request, no byte changed."""
    library.change(trio[0], media("video", "new"))
    library.delete(trio[1])
    assert run_sync(service, dest).summary.exit_code == 0
    service.forget()
    before = snapshot(dest)
    stored = [stored for _, stored in stored_of(dest)]
    done = program("verify", "--json", "--dest", dest)
    assert (done.code, done.err) == (0, "")
    assert done.summary == {
        "checked": len(stored),
        "by_checksum": 0,
        "bytes": sum(each["size"] for each in stored),
        "wrong": [],
        "extra": [],
        "fetched": [],
        "restored": [],
        "failed": [],
        "lost": [],
    }
    shown = program("verify", "--dest", dest)
    assert (shown.code, shown.out) == (0, "")
    assert shown.err == f"{len(stored)} files checked: every file is as recorded\n"
    assert program("verify", "-q", "--dest", dest) == Finished(0, "", "")
    assert service.requests == []
    assert snapshot(dest) == before


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_as_recorded_is_named(
    verify_in_words: RunProgram, verify: RunProgram, trio: list[Any], dest: Path, damage: str
) -> None:
    """Exit 1, each file at fault by its path and its problem, no other; and nothing is touched."""
    inflict, problem = DAMAGE[damage]
    video, image = path_of(dest, trio[0], "cover"), path_of(dest, trio[1])
    inflict(dest / video)
    inflict(dest / image)
    before = snapshot(dest)
    done = verify()
    assert (done.code, done.err) == (1, "")
    assert wrong_files(done) == {video: problem, image: problem}
    assert done.summary["checked"] == 4
    shown = verify_in_words()
    assert shown.code == 1
    *lines, verdict = shown.err.splitlines()
    assert sorted(lines) == sorted(f"{problem}: {path}" for path in (video, image))
    assert "2 missing or damaged" in verdict
    assert "verify --repair" in verdict
    assert snapshot(dest) == before


@pytest.mark.parametrize("way", UNREADABLE)
def test_what_cannot_be_read_is_damaged(
    verify: RunProgram, trio: list[Any], dest: Path, way: str
) -> None:
    """A file that cannot be opened is named, and the others are looked at all the same."""
    path = path_of(dest, trio[1])
    UNREADABLE[way](dest / path)
    done = verify()
    assert done.code == 1
    assert wrong_files(done) == {path: "damaged"}
    assert done.summary["checked"] == 4


def test_a_file_without_permission_is_damaged(
    verify: RunProgram, trio: list[Any], dest: Path
) -> None:
    """A file that may not be read is named."""
    if os.geteuid() == 0:
        pytest.skip("files without permission were not tested: root may read every one")
    path = path_of(dest, trio[1])
    (dest / path).chmod(0)
    done = verify()
    assert done.code == 1
    assert wrong_files(done) == {path: "damaged"}


def test_a_link_out_of_the_mirror_is_no_file_of_it(
    verify: RunProgram, trio: list[Any], dest: Path, tmp_path: Path
) -> None:
    """A link to the very bytes elsewhere is not the file: `sync` would fetch it, so it is named."""
    path = path_of(dest, trio[1])
    shutil.move(dest / path, tmp_path / "elsewhere")
    (dest / path).symlink_to(tmp_path / "elsewhere")
    done = verify()
    assert done.code == 1
    assert set(wrong_files(done)) == {path}


def test_files_that_nobody_recorded_are_named(
    verify_in_words: RunProgram, verify: RunProgram, trio: list[Any], dest: Path
) -> None:
    """Exit 0: extra files are no fault. Each is named, and left alone."""
    assert trio
    strangers = ["video/holiday.mp4", "notes.txt", "someone@example.com/image/x-1234567.png"]
    for path in strangers:
        (dest / path).parent.mkdir(parents=True, exist_ok=True)
        (dest / path).write_bytes(b"mine")
    done = verify()
    assert (done.code, done.err) == (0, "")
    assert done.summary["extra"] == sorted(strangers)
    assert done.summary["wrong"] == []
    shown = verify_in_words()
    assert shown.code == 0
    assert shown.err.splitlines()[:-1] == [
        f"not in the manifest: {path}" for path in sorted(strangers)
    ]
    assert all((dest / path).read_bytes() == b"mine" for path in strangers)


def test_a_sync_at_work_is_no_damage(
    library: Library, environ: Mapping[str, str], dest: Path
) -> None:
    """Files that a run replaces while they are hashed are not called damaged."""
    trio = [library.add(number, "image") for number in range(50)]
    with library.service(Paced) as service:
        assert run_sync(service, dest).summary.exit_code == 0
        for number, item in enumerate(trio):
            library.change(item, media("image", ("new", number)))
        service.pause_s = 0.02
        looks = 0
        with started(environ, *sync_arguments(service, dest), "--jobs", "2") as process:
            while process.poll() is None:
                found = verifying.check(Root.read(dest), jobs=2, progress=Notes(), stop=Stop())
                assert found.wrong == []
                assert found.checked >= 50
                looks += 1
            assert process.returncode == 0
    assert looks > 3
    check_records(dest)


def _grow(dest: Path, path: str) -> None:
    """Make a file so big that it takes for ever to read, and as big in the manifest."""
    os.truncate(dest / path, BIG)
    manifest = manifest_of(dest)
    for asset in manifest["assets"].values():
        if asset["resource"]["path"] == path:
            asset["resource"]["size"] = BIG
    (dest / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("arguments", [(), ("--repair",)])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_obeyed_in_the_midst_of_a_file(
    service: Misbehaving,
    environ: Mapping[str, str],
    trio: list[Any],
    dest: Path,
    arguments: tuple[str, ...],
    *,
    signum: int,
) -> None:
    """A file of hundreds of gigabytes does not delay a stop for more than two seconds."""
    _grow(dest, path_of(dest, trio[1]))
    big = (dest / path_of(dest, trio[1])).as_posix()
    env = {**environ, **access_to(service)}
    with started(env, "verify", "--dest", dest, *arguments) as process:
        wait_until(lambda: big in open_files(process.pid))
        began = time.monotonic()
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < stopped_within_s()
    assert process.returncode == 128 + signum
    check_shown((out + err).decode())
    assert "stopped" in err.decode()


def test_a_signal_that_another_thread_gets_is_obeyed(
    environ: Mapping[str, str], trio: list[Any], dest: Path
) -> None:
    """The system may hand a signal to any thread: one that hashes does not keep it to itself."""
    big = dest / path_of(dest, trio[1])
    _grow(dest, path_of(dest, trio[1]))
    with started(environ, "verify", "--dest", dest) as process:
        wait_until(lambda: big.as_posix() in open_files(process.pid))
        time.sleep(0.2)
        threads = [int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()]
        worker = next(thread for thread in threads if thread != process.pid)
        os.kill(worker, signal.SIGTERM)  # Linux: for the process, and this thread is asked first
        process.communicate(timeout=stopped_within_s())
    assert process.returncode == 143
