"""A bucket as the root, with runs that die, freeze, race, and lose answers: no untrue entry."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mirror.storage.copied_down import take_in
from mirror.storage.durable import Disk
from tests.conftest import RunProgram, access_to
from tests.lib.buckets import S3, Bucket
from tests.lib.crash_host import CRASHED, Host, started
from tests.lib.invariant import Served, check_invariant
from tests.lib.library import ACCESS, EMAIL, Library, media
from tests.lib.mirrored import PRIVATE, check_mirror
from tests.lib.misbehaving import Misbehaving
from tests.lib.processes import sync_arguments, wait_until
from tests.lib.s3_gateway import Gateway

pytestmark = pytest.mark.soak

HEAD = f"{PRIVATE}/head.json"


@pytest.fixture
def environ(environ: dict[str, str], s3: S3) -> dict[str, str]:
    """What cron gives a job, and the keys of the service."""
    return {**environ, **s3.environ}


@pytest.fixture
def machines(
    environ: Mapping[str, str], service: Misbehaving, tmp_path: Path
) -> Iterator[list[Host]]:
    """Two machines that run jobs, and let them crash."""
    hosts, processes = [], []
    for name in ("one", "two"):
        home = tmp_path / name
        home.mkdir()
        process = started({**environ, "HOME": str(home)})
        processes.append(process)
        hosts.append(Host(process, home / "state", service.api_url))
    yield hosts
    for process in processes:
        process.kill()
        process.communicate()


def _end_lease(bucket: Bucket) -> None:
    """Have the lease ended, as a minute later."""
    head = json.loads(bucket.read(HEAD))
    bucket.put(HEAD, json.dumps(head | {"until_s": time.time() - 1}).encode())


def _check(bucket: Bucket, folder: Path, served: Served, *, is_settled: bool = False) -> Path:
    """See that every entry is true, in a copy of the bucket as it lies."""
    shutil.rmtree(folder, ignore_errors=True)
    bucket.copy_down(folder)
    if (folder / PRIVATE).exists():
        take_in(folder / PRIVATE, Disk())
        if not is_settled:  # what a killed run uploaded is promised on its own machine
            (folder / PRIVATE / "promised").write_text("there\n")
        check_invariant(folder, served, is_settled=is_settled)
    return folder


def test_a_crash_at_every_step(
    machines: list[Host], library: Library, s3: S3, tmp_path: Path
) -> None:
    """Whatever step a run dies at, the next one completes it: on its machine, or on another."""
    served = Served()
    for number, kind in enumerate(("video", "image", "audio", "image")):
        library.add(number, kind)
    served.note(library)
    top = f"crash-{os.urandom(4).hex()}"
    base = s3.bucket(top)
    assert machines[0].run("sync", base.url)["code"] == 0
    steps = 60
    roots = [Bucket(s3, f"s3://{top}/{number}") for number in range(steps)]
    for root in roots:
        root.copy_from(base)
    changed, renamed, deleted, _ = library.accounts[EMAIL]
    library.change(changed, media("video", "changed"))
    library.change(renamed, media("image", "renamed"))
    renamed["name"] = "another.png"
    library.delete(deleted)
    library.add(7, "video")
    served.note(library)
    crashes = 0
    for at, root in enumerate(roots):
        done = machines[0].run("sync", root.url, stop_at=at)
        if done["code"] == 0:
            break
        assert done["code"] == CRASHED
        crashes += 1
        _check(root, tmp_path / "crashed", served)
        if at % 2:
            _end_lease(root)
        assert machines[at % 2].run("sync", root.url)["code"] == 0, at
        down = _check(root, tmp_path / "down", served, is_settled=True)
        entries = json.loads((down / "manifest.json").read_text())["assets"].values()
        assert sorted(entry["state"] for entry in entries) == [
            *["current"] * 4, "gone", "superseded", "superseded",
        ], at  # fmt: skip
        assert not json.loads(root.read(HEAD)).get("segments")
    assert 20 <= crashes < steps


def test_answers_that_get_lost(
    program_here: RunProgram, service: Misbehaving, library: Library, bucket: Bucket, tmp_path: Path
) -> None:
    """Every third answer to a PUT is lost: it is found to have come true, and nothing else is."""
    library.fill(20)
    count = itertools.count(1)
    with Gateway(bucket.s3.url) as gateway:
        gateway.loses = lambda method, _: method == "PUT" and next(count) % 3 == 0
        env = {**access_to(service), **bucket.s3.environ, "AWS_ENDPOINT_URL": gateway.url}
        for _ in range(2):
            done = program_here("sync", "--dest", bucket.url, env=env)
            assert done.code == 0, done.err
        first = library.accounts[EMAIL][0]
        library.change(first, media("video", "changed"))
        assert program_here("sync", "--dest", bucket.url, env=env).code == 0
    down = bucket.copy_down(tmp_path / "down")
    check_invariant(down, is_settled=True)
    assert program_here("verify", "--dest", bucket.url, env=bucket.s3.environ).code == 0


def test_six_at_once(
    environ: dict[str, str], service: Misbehaving, library: Library, bucket: Bucket, tmp_path: Path
) -> None:
    """Of six machines that begin at the same moment one works; the others end with exit 11."""
    library.fill(30)
    running = []
    for number in range(6):
        home = tmp_path / f"home{number}"
        home.mkdir()
        arguments = map(str, sync_arguments(service, Path("x")))
        line = [word if word != "x" else bucket.url for word in arguments]
        env = {**environ, **ACCESS, "HOME": str(home)}
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "mirror", *line],
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        )
    ended = [(process.communicate()[1].decode(), process.returncode) for process in running]
    assert {code for _, code in ended} <= {0, 11}, ended
    assert 0 in {code for _, code in ended}
    down = bucket.copy_down(tmp_path / "down")
    check_invariant(down, is_settled=True)
    check_mirror(down, library)


@pytest.mark.parametrize("moment", ["file", "segment", "head", "backup", "manifest", "sums"])
def test_a_run_that_freezes_while_another_goes_by(
    environ: dict[str, str],
    program_here: RunProgram,
    service: Misbehaving,
    library: Library,
    bucket: Bucket,
    *,
    tmp_path: Path,
    moment: str,
) -> None:
    """It is frozen before a PUT, past its lease; it then records nothing, and ends with exit 11."""
    library.fill(6)
    env = {**environ, **access_to(service)}
    assert program_here("sync", "--dest", bucket.url, env=env).code == 0
    served = Served()
    served.note(library)
    library.change(library.accounts[EMAIL][0], media("video", "changed"))
    library.add(8, "image")
    served.note(library)
    frozen: list[str] = []
    seen: list[tuple[str, str]] = []
    marks = {
        "file": "/image/",
        "segment": "/segments/",
        "head": "/head.json",
        "backup": "/mirror/manifest.json.bak",
        "manifest": "/mirror/manifest.json",
        "sums": "/SHA256SUMS",
    }
    home = tmp_path / "slow"
    home.mkdir()
    with Gateway(bucket.s3.url) as gateway:

        def freeze(method: str, path: str) -> None:
            seen.append((method, path))
            # It takes the lease by the first PUT of the head.
            is_late = (
                moment != "head" or sum("/head.json" in it[1] and it[0] == "PUT" for it in seen) > 1
            )
            is_it = path.endswith(marks[moment]) or f"{marks[moment]}?" in path
            is_it |= marks[moment].endswith("/") and marks[moment] in path
            if method == "PUT" and is_it and is_late and not frozen:
                frozen.append(path)
                wait_until(lambda: frozen[-1] == "go on")

        gateway.before = freeze
        slow = {**env, "AWS_ENDPOINT_URL": gateway.url, "HOME": str(home)}
        with subprocess.Popen(
            [sys.executable, "-m", "mirror", "sync", "--dest", bucket.url],
            env=slow,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                wait_until(lambda: frozen or process.poll() is not None)
                assert frozen, process.communicate()
                _end_lease(bucket)
                done = program_here("sync", "--dest", bucket.url, env=env)
                assert done.code == 0, done.err
                before = bucket.read("manifest.json"), bucket.read("SHA256SUMS")
                frozen.append("go on")
                _, err = process.communicate(timeout=60)
            finally:
                process.kill()
    assert process.returncode == 11, err.decode()
    assert (bucket.read("manifest.json"), bucket.read("SHA256SUMS")) == before
    check_invariant(bucket.copy_down(tmp_path / "down"), served, is_settled=True)
    assert program_here("verify", "--dest", bucket.url, env=env).code == 0


def test_kill_and_terminate(
    environ: dict[str, str],
    program_here: RunProgram,
    service: Misbehaving,
    library: Library,
    bucket: Bucket,
    *,
    tmp_path: Path,
) -> None:
    """SIGKILL and SIGTERM at any moment; the last run completes the mirror, on the same machine."""
    library.fill(60, size=20_000)
    served = Served()
    served.note(library)
    env = {**environ, **access_to(service)}
    for number in range(10):
        with subprocess.Popen(
            [sys.executable, "-m", "mirror", "sync", "--dest", bucket.url],
            env=env,
            stderr=subprocess.PIPE,
        ) as process:
            time.sleep(0.25 + 0.05 * number)
            signum = signal.SIGKILL if number % 2 else signal.SIGTERM
            process.send_signal(signum)
            _, err = process.communicate(timeout=30)
        assert process.returncode in (0, 143, -signal.SIGKILL), err.decode()
        assert b"Traceback" not in err
        _check(bucket, tmp_path / "killed", served)
    done = program_here("sync", "--dest", bucket.url, env=env)
    assert done.code == 0, done.err
    check_mirror(_check(bucket, tmp_path / "down", served, is_settled=True), library)
