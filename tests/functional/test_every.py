"""`sync --every`: one process for all nights: it waits, wakes, survives failures, and stops."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunProgram
from tests.lib.held import Held
from tests.lib.library import ACCESS, TOKEN, Library
from tests.lib.misbehaving import Misbehaving
from tests.lib.processes import open_files, started, stopped_within_s, sync_arguments, wait_until
from tests.lib.terminal import CTRL_C, Terminal

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
linux = pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux")

Process = subprocess.Popen[bytes]
Start = Callable[..., contextlib.AbstractContextManager[Process]]


@pytest.fixture
def every(environ: Mapping[str, str], service: Misbehaving, dest: Path) -> Start:
    """Starts `sync --json --every TIME`; keyword arguments are for its environment."""

    def start(interval: str, *arguments: object, **env: str) -> Any:  # noqa: ANN401
        words = ("--max-wait", "2", "--max-attempts", "1", "--every", interval, *arguments)
        return started({**environ, **env}, *sync_arguments(service, dest), *words)

    return start


def _summary(process: Process) -> dict[str, Any]:
    """The summary of the next run, once there is one."""
    assert process.stdout is not None
    summary: dict[str, Any] = json.loads(process.stdout.readline())
    return summary


def _runs(dest: Path) -> int:
    """How many runs the mirror has recorded."""
    log = dest / ".kling-mirror/runs.jsonl"
    return len(log.read_bytes().splitlines()) if log.exists() else 0


def _end(process: Process, signum: int = signal.SIGTERM) -> tuple[int, bytes]:
    began = time.monotonic()
    process.send_signal(signum)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - began < stopped_within_s()
    return process.returncode, err


def test_what_is_new_comes_with_the_next_run(library: Library, every: Start, dest: Path) -> None:
    """Each run prints its own summary; one without news asks for the listing alone."""
    library.add(1)
    with every("1s") as process:
        assert _summary(process)["assets"]["new"] == 1
        library.add(2)
        wait_until(lambda: len([*dest.rglob("*.mp4")]) == 2)
        while _summary(process)["assets"]["new"] != 1:
            pass
        assert _summary(process)["files"]["fetched"] == 0
        code, err = _end(process)
    assert (code, b"Traceback" in err) == (143, False)


@posix
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_wait_at_once(
    library: Library, every: Start, dest: Path, signum: signal.Signals
) -> None:
    """It waits for tomorrow, and ends within two seconds; nothing more is printed."""
    library.add(1)
    with every("24h") as process:
        assert _summary(process)["exit_code"] == 0
        code, err = _end(process, signum)
    assert code == 128 + signum
    assert len(err.splitlines()) <= 1
    assert _runs(dest) == 1


@posix
def test_a_terminal_shows_when_it_goes_on(
    library: Library, environ: Mapping[str, str], service: Misbehaving, dest: Path
) -> None:
    """A person sees that it waits, until when, and how to end it."""
    library.add(1)
    _, _, *arguments = sync_arguments(service, dest)
    command = [sys.executable, "-m", "mirror", "sync", *arguments, "--every", "24h"]
    with Terminal(command, env={**ACCESS, **environ}, cwd=dest.parent) as terminal:
        terminal.expect("1 new")
        terminal.expect("the next run begins at ")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
    assert "Traceback" not in terminal.seen


@posix
def test_a_signal_in_a_run_ends_both(
    library: Library, environ: Mapping[str, str], dest: Path
) -> None:
    """The run is reported as any other that is stopped, and no other begins."""
    library.add(1)
    with (
        library.service(Held) as service,
        started(environ, *sync_arguments(service, dest), "--every", "1s") as process,
    ):
        wait_until(service.cdn_requests)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert [json.loads(line)["exit_code"] for line in out.splitlines()] == [143]


def test_a_failure_is_not_the_end(
    library: Library, every: Start, service: Misbehaving, dest: Path
) -> None:
    """The API is away for a while, and the token is replaced: the runs after that are complete."""
    library.add(1)
    token = dest.parent / "token"
    token.write_text("user:1-other")
    token.chmod(0o600)
    with every("1s", "--token-file", token, KLING_MIRROR_TOKEN="") as process:
        assert _summary(process)["exit_code"] == 4
        token.write_text(TOKEN)
        while (code := _summary(process)["exit_code"]) == 4:
            pass
        assert code == 0
        service.token = "user:1-new"  # noqa: S105 - opens nothing
        while _summary(process)["exit_code"] == 0:
            pass
        service.token = TOKEN
        while _summary(process)["exit_code"] == 4:
            pass
        assert process.poll() is None
        assert _end(process)[0] == 143


def test_a_wrong_config_ends_it_only_at_the_start(
    library: Library, program: RunProgram, every: Start, dest: Path
) -> None:
    """Nobody waits a day to read of it; in a config that worked, somebody may be editing."""
    library.add(1)
    config = dest.parent / "config.toml"
    config.write_text("jobs = 0\n")
    refused = program("--config", config, "sync", "--every", "24h")
    assert refused.code == 2
    assert "jobs" in refused.err
    config.write_text("jobs = 2\n")
    with every("1s", XDG_CONFIG_HOME=str(dest.parent)) as process:
        (dest.parent / "kling-mirror").mkdir()
        config.rename(dest.parent / "kling-mirror/config.toml")
        assert _summary(process)["exit_code"] == 0
        (dest.parent / "kling-mirror/config.toml").write_text("jobs = 0\n")
        assert process.stderr is not None
        while b"jobs" not in process.stderr.readline():
            pass
        (dest.parent / "kling-mirror/config.toml").write_text("jobs = 1\n")
        before = _runs(dest)
        wait_until(lambda: _runs(dest) > before + 1)
        assert _end(process)[0] == 143


@pytest.mark.parametrize("text", ["0s", "24", "often", "-1h", "0.5s", "400d", "1e12d"])
def test_a_time_that_is_none(program: RunProgram, text: str) -> None:
    """It is a usage error that shows how a time is written."""
    done = program("sync", f"--every={text}")
    assert (done.code, done.out) == (2, "")
    assert "24h" in done.err or "26h" in done.err


def test_a_dry_run_is_done_once(program: RunProgram) -> None:
    """To repeat it has no use."""
    done = program("sync", "--dry-run", "--every", "24h")
    assert (done.code, done.out) == (2, "")
    assert "--dry-run" in done.err


@pytest.mark.soak
@linux
def test_the_nights_leave_nothing_open(library: Library, every: Start) -> None:
    """After many runs the process has no more files and threads than after a few."""
    library.fill(6)
    with every("1s") as process:
        tasks = Path(f"/proc/{process.pid}/task")
        for _ in range(3):
            _summary(process)
        wait_until(lambda: len([*tasks.iterdir()]) == 1)
        before = len(open_files(process.pid))
        for _ in range(4):
            _summary(process)
        wait_until(lambda: len(open_files(process.pid)) <= before)
        assert _end(process)[0] == 143


def _memory(process: Process) -> int:
    """The memory that the process has in use, in bytes."""
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
@linux
def test_the_nights_do_not_add_up_in_memory(library: Library, every: Start) -> None:
    """What one run leaves is gone before the next begins."""
    library.fill(2000)
    with every("1s") as process:
        for _ in range(3):
            assert _summary(process)["exit_code"] == 0
        before = _memory(process)
        for _ in range(7):
            _summary(process)
        assert _memory(process) < before + 10_000_000
        assert _end(process)[0] == 143


_BROKEN_ONCE = """
import sys
class Finder:
    def find_spec(self, name, *_):
        if name == "mirror.jobs.sync":
            sys.meta_path.remove(self)
            raise ImportError("half of a package")
sys.meta_path.insert(0, Finder())
"""
"""Python runs `sitecustomize` as it starts: this one has a module missing, the first time."""


def test_an_unexpected_error_is_not_the_end(
    library: Library, every: Start, environ: Mapping[str, str], tmp_path: Path
) -> None:
    """The package is upgraded under a running process: one night fails, the next does not."""
    library.add(1)
    (tmp_path / "sitecustomize.py").write_text(_BROKEN_ONCE)
    with every("1s", PYTHONPATH=f"{tmp_path}{os.pathsep}{environ['PYTHONPATH']}") as process:
        assert _summary(process)["exit_code"] == 0
        code, err = _end(process)
    assert code == 143
    assert b"half of a package" in err


# A suspended machine.

_SUSPENDED = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, now);
    if (id == CLOCK_BOOTTIME && access(getenv("SUSPENDED"), F_OK) == 0)
        now->tv_sec += atoi(getenv("SUSPENDED_S"));
    return code;
}
"""
"""A machine that slept: of all clocks, the one that counts sleep alone has moved."""


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[int], dict[str, str]]:
    """The environment of a machine that will have slept so long, once the file is there."""
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("a suspended machine was not tried: it needs Linux and gcc")
    shim = tmp_path / "suspend.so"
    source = shim.with_suffix(".c")
    source.write_text(_SUSPENDED)
    build = ["gcc", "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"]
    subprocess.run(build, check=True)

    def sleeping(seconds: int) -> dict[str, str]:
        slept = {"SUSPENDED": str(tmp_path / "slept"), "SUSPENDED_S": str(seconds)}
        return {"LD_PRELOAD": str(shim), **slept}

    return sleeping


def test_a_machine_that_slept_is_not_late(
    library: Library, every: Start, machine: Callable[[int], dict[str, str]], tmp_path: Path
) -> None:
    """It was suspended for a day, in which the clock that waits use stood still: it runs now."""
    library.add(1)
    with every("24h", **machine(86_400)) as process:
        assert _summary(process)["assets"]["new"] == 1
        library.add(2)
        (tmp_path / "slept").touch()
        assert _summary(process)["assets"]["new"] == 1
        assert _end(process)[0] == 143


def test_an_api_that_is_away_is_asked_after_an_hour(
    library: Library,
    every: Start,
    service: Misbehaving,
    machine: Callable[[int], dict[str, str]],
    tmp_path: Path,
) -> None:
    """Not after a day."""
    library.add(1)
    with every("24h", "--api-url", "http://127.0.0.1:9/v1", **machine(3600)) as process:
        assert _summary(process)["exit_code"] == 7
        (tmp_path / "slept").touch()
        assert _summary(process)["exit_code"] == 7
        assert _end(process)[0] == 143
    assert not service.requests


# systemd.


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that systemd would listen at."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(30)
        yield listening


@linux
def test_systemd_watches_it(
    library: Library, every: Start, systemd: socket.socket, dest: Path
) -> None:
    """Ready once, alive again and again, stopping at the end: not at the end of each run."""
    library.add(1)
    env = {
        "NOTIFY_SOCKET": systemd.getsockname(),
        "WATCHDOG_USEC": "200000",
        "KLING_MIRROR_ON_FINISH": 'test -z "$NOTIFY_SOCKET$WATCHDOG_USEC"',
    }
    with every("1s", **env) as process:
        wait_until(lambda: _runs(dest) >= 2)
        assert [systemd.recv(99) for _ in range(4)] == [b"READY=1", *[b"WATCHDOG=1"] * 3]
        code, err = _end(process)
    assert (code, b"on_finish" in err) == (143, False)
    heard = {}
    systemd.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            heard[systemd.recv(99)] = True
    assert [*heard] == [b"WATCHDOG=1", b"STOPPING=1"]


@linux
def test_a_watchdog_of_another_process(
    library: Library, every: Start, systemd: socket.socket
) -> None:
    """What `WATCHDOG_PID` does not mean for this process sends nothing."""
    library.add(1)
    env = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    with every("24h", **env) as process:
        assert _summary(process)["exit_code"] == 0
        assert _end(process)[0] == 143
    assert [systemd.recv(99), systemd.recv(99)] == [b"READY=1", b"STOPPING=1"]
