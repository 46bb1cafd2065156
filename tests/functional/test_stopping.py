"""SIGINT and SIGTERM in every phase: two seconds, the right code, nothing thrown away."""

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
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mirror.demo.server import Request, Response, json_response
from mirror.models import Entry
from tests.conftest import RunProgram
from tests.lib.invariant import PRIVATE, Served, check_invariant
from tests.lib.library import ACCESS, TOKEN, Library
from tests.lib.paced import Paced
from tests.lib.processes import started, stopped_within_s, sync_arguments, wait_until

_BIG = 6_000_000

each_signal = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


class _Holding(Paced):
    """A service that keeps the requests waiting for which `holds` says so."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(**options)
        self.holds: Callable[[Request], bool] = lambda _: False
        self.wants_pause: Callable[[Request], bool] = lambda _: False
        self.held = Event()

    def respond(self, request: Request) -> Response:
        """Answer, or wait for the end, or ask to come back in a minute."""
        if self.wants_pause(request):
            self.held.set()
            response = json_response(429, {"error": "Too many requests"})
            response.headers["Retry-After"] = "60"
            return response
        if self.holds(request):
            self.held.set()
            self.closing.wait()
        return super().respond(request)


@pytest.fixture
def holding(library: Library) -> Iterator[_Holding]:
    """The service over the test's library, not holding anything yet."""
    with library.service(_Holding) as service:
        yield service


@dataclass(frozen=True)
class _Stage:
    """One run to be stopped, and the one after it."""

    library: Library
    service: _Holding
    environ: Mapping[str, str]
    program: RunProgram
    dest: Path

    def begin(
        self, *arguments: object, under: tuple[str, ...] = ()
    ) -> AbstractContextManager["subprocess.Popen[bytes]"]:
        """Start `sync`, with time enough to wait for a 429."""
        return started(self.environ, *self.arguments, *arguments, under=under)

    def entries(self) -> dict[str, Entry]:
        """What is recorded, and found to be true."""
        return check_invariant(self.dest)

    def go_on(self) -> int:
        """The next run, undisturbed, to which nothing is old; gives how many bytes it took."""
        taken = self.resume()
        assert len(self.entries()) == sum(map(len, self.library.accounts.values()))
        return taken

    def resume(self) -> int:
        """The next run, undisturbed; gives how many bytes of files it took."""
        self.service.holds = self.service.wants_pause = lambda _: False
        self.service.pause_s = 0.0
        self.service.requests.clear()
        self.service.count_anew()
        done = self.program(*self.arguments, env=ACCESS)
        assert done.code == 0, done.err
        served = Served()
        served.note(self.library)
        check_invariant(self.dest, served)
        return self.service.sent_bytes

    @property
    def arguments(self) -> tuple[object, ...]:
        return (*sync_arguments(self.service, self.dest), "--max-wait", "300")


@pytest.fixture
def stage(
    library: Library,
    holding: _Holding,
    environ: Mapping[str, str],
    program: RunProgram,
    dest: Path,
) -> _Stage:
    """Everything that a run needs to be stopped."""
    return _Stage(library, holding, environ, program, dest)


def _stop(process: "subprocess.Popen[bytes]", signum: int, *, said: bytes = b"") -> None:
    """Send the signal, and assert that the process ends in time and as it should."""
    began = time.monotonic()
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    took_s = time.monotonic() - began
    assert process.returncode == 128 + signum, err.decode()
    assert took_s < stopped_within_s()
    assert said in err
    assert b"Traceback" not in err
    assert b"Exception" not in err


@each_signal
def test_while_a_page_is_awaited(stage: _Stage, signum: int) -> None:
    """A listing that hangs is left at once; what the pages before it brought is not asked again."""
    for number in range(8):
        stage.library.add(number, "image")
    stage.service.holds = lambda request: request.query.get("pageNum") == "2"
    with stage.begin("--page-size", "5") as process:
        wait_until(stage.service.held.is_set)
        wait_until(lambda: len(stage.entries()) == 5)
        _stop(process, signum)
    assert len(stage.entries()) == 5
    stage.go_on()
    assert len(stage.service.cdn_requests()) == 3


@pytest.mark.parametrize(
    ("signum", "who"),
    [(signal.SIGINT, "API"), (signal.SIGTERM, "API"), (signal.SIGTERM, "CDN")],
)
def test_while_a_429_is_waited_out(stage: _Stage, signum: int, who: str) -> None:
    """Nobody sits out a Retry-After of a minute before obeying."""
    stage.library.add(1)
    stage.service.wants_pause = lambda each: each.path.startswith("/cdn/") == (who == "CDN")
    with stage.begin() as process:
        wait_until(stage.service.held.is_set)
        time.sleep(0.2)
        assert process.poll() is None
        _stop(process, signum)
    assert stage.entries() == {}
    stage.go_on()


@each_signal
def test_while_a_big_file_comes_slowly(stage: _Stage, signum: int) -> None:
    """What came of a big file is kept, and the next run asks for the rest alone."""
    stage.library.add(1, "image", size=_BIG)
    stage.service.pause_s = 0.02
    with stage.begin() as process:
        wait_until(lambda: stage.service.sent_bytes > _BIG / 3)
        _stop(process, signum)
    assert stage.entries() == {}
    took_bytes = stage.go_on()
    (request,) = stage.service.cdn_requests()
    start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert start > _BIG / 4
    assert took_bytes == _BIG - start


@each_signal
def test_while_many_small_files_come(stage: _Stage, signum: int) -> None:
    """Of many small files none that was complete is asked for again."""
    for number in range(300):
        stage.library.add(number, "image")
    stage.service.pause_s = 0.02
    with stage.begin("--jobs", "8") as process:
        wait_until(lambda: len(stage.service.cdn_requests()) >= 60)
        _stop(process, signum)
    assert 0 < len(stage.entries()) < 300
    asked = {request.path for request in stage.service.cdn_requests()}
    stage.go_on()
    twice = asked & {request.path for request in stage.service.cdn_requests()}
    assert len(twice) <= 8, "files that were complete were asked for again"


def test_while_the_cover_of_a_complete_video_is_awaited(stage: _Stage) -> None:
    """A video that is complete, but not yet its cover, is not fetched a second time."""
    stage.library.add(1, "video", size=_BIG)
    stage.service.holds = lambda request: request.path.endswith(".cover")
    with stage.begin() as process:
        wait_until(stage.service.held.is_set)
        _stop(process, signal.SIGINT)
    assert stage.entries() == {}
    assert stage.go_on() < _BIG / 4


@each_signal
def test_a_stop_says_so_and_is_noted(stage: _Stage, signum: int) -> None:
    """A stopped run says that it was stopped, with its code in the JSON, and is not «complete»."""
    stage.library.add(1)
    stage.service.holds = lambda request: request.path.startswith("/cdn/")
    with stage.begin() as process:
        wait_until(stage.service.held.is_set)
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
    assert b"stopped" in err
    assert json.loads(out)["exit_code"] == 128 + signum
    status = json.loads(stage.program("status", "--json", "--dest", stage.dest).out)
    assert status["is_complete"] is False
    assert status["runs"][0]["exit_code"] == 128 + signum


def test_a_run_under_nohup_outlives_its_terminal(stage: _Stage) -> None:
    """Where SIGHUP was ignored from the start, it goes on being ignored."""
    stage.library.add(1, "image", size=_BIG)
    stage.service.pause_s = 0.02
    with stage.begin(under=("nohup",)) as process:
        wait_until(lambda: stage.service.sent_bytes > _BIG / 3)
        process.send_signal(signal.SIGHUP)
        stage.service.pause_s = 0.0
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    assert json.loads(out)["assets"]["new"] == 1
    assert len(stage.entries()) == 1


@pytest.fixture
def deaf_resolver(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """A command that starts a program in a world whose name server never answers."""
    resolv = Path("/etc/resolv.conf")
    if shutil.which("unshare") is None or not resolv.exists():
        pytest.skip("stops during a name look-up were not tested: no unshare or resolv.conf here")
    fake = tmp_path / "resolv.conf"
    address = f"127.53.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"  # nobody else's
    fake.write_text(f"nameserver {address}\noptions timeout:5 attempts:1\n")
    script = f'mount --bind {fake} {resolv.resolve()} && exec "$@"'
    command = ("unshare", "-m", "sh", "-c", script, "sh")
    trial = subprocess.run([*command, "true"], capture_output=True, check=False)
    if trial.returncode:
        reason = trial.stderr.decode().strip()
        pytest.skip(f"stops during a name look-up were not tested: no private mounts ({reason})")
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as deaf:
        try:
            deaf.bind((address, 53))
        except OSError as error:
            pytest.skip(f"stops during a name look-up were not tested: no port 53 ({error})")
        yield command


@pytest.mark.parametrize("who", ["API", "CDN"])
def test_while_a_name_is_looked_up(stage: _Stage, deaf_resolver: tuple[str, ...], who: str) -> None:
    """A name server that does not answer does not delay a stop."""
    item = stage.library.add(1, "image")
    arguments = sync_arguments(stage.service, stage.dest)
    if who == "API":
        arguments = (*arguments, "--api-url", "http://api.example.com/v1/kling")
    else:
        item["resource"]["resource"] = "http://cdn.example.com/cdn/image/1"
    with started(stage.environ, *arguments, under=deaf_resolver) as process:
        if who == "API":
            wait_until((stage.dest / PRIVATE / "lock.json").exists)
        else:
            wait_until(stage.service.api_requests)
        time.sleep(0.7)
        assert process.poll() is None
        _stop(process, signal.SIGTERM)
    assert stage.entries() == {}


def test_a_second_signal_ends_it_at_once(stage: _Stage) -> None:
    """Two signals in a row end the process with the signal's code, and the invariant holds."""
    for number in range(100):
        stage.library.add(number)
    stage.service.pause_s = 0.01
    with stage.begin() as process:
        wait_until(lambda: len(stage.service.cdn_requests()) > 30)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in err
    stage.entries()
    stage.go_on()


def test_signals_at_any_moment(stage: _Stage) -> None:
    """Signals spread over whole runs end them as they should, from the first request on."""
    for number in range(5):
        for extra in range(20):
            stage.library.add(number * 20 + extra)
        asked = len(stage.service.requests)
        with stage.begin() as process:
            wait_until(lambda asked=asked: len(stage.service.requests) > asked)  # type: ignore[misc]
            time.sleep(number * 0.05)
            process.send_signal((signal.SIGINT, signal.SIGTERM)[number % 2])
            _, err = process.communicate(timeout=60)
        # As it ends, the program has no handlers any more: a shell shows 130 and 143 then, too.
        assert process.returncode in (0, 130, 143, -signal.SIGINT, -signal.SIGTERM), err.decode()
        assert b"Traceback" not in err
        stage.entries()
    stage.go_on()


@pytest.fixture
def slow_disk(tmp_path: Path) -> dict[str, str]:
    """An environment in which every fsync takes 50 ms, as on a memory card or a busy NAS."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import os, time\n"
        "fsync = os.fsync\n"
        "os.fsync = lambda descriptor: (time.sleep(0.05), fsync(descriptor))[1]\n"
    )
    return {"PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parents[2]}"}


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """Where `on_finish` puts what it is given."""
    return tmp_path / "finished.json"


def _slowly(stage: _Stage, slow_disk: Mapping[str, str], hook: Path) -> _Stage:
    reported = {"KLING_MIRROR_ON_FINISH": f"cat > {hook}"}
    return replace(stage, environ={**stage.environ, **slow_disk, **reported})


@pytest.mark.parametrize("what", ["new", "changed"])
def test_on_a_slow_disk(stage: _Stage, slow_disk: Mapping[str, str], hook: Path, what: str) -> None:
    """A stop while a batch waits for the disk ends in time, and is reported like any other end."""
    journal = stage.dest / PRIVATE / "journal"
    items = [stage.library.add(number, "image") for number in range(300)]
    if what == "changed":
        assert stage.go_on() > 0
        for item in items:
            stage.library.change(item)
        stage.service.requests.clear()
    with _slowly(stage, slow_disk, hook).begin() as process:
        wait_until(lambda: len(stage.service.cdn_requests()) > 250, timeout_s=60)
        wait_until(lambda: journal.exists() and journal.stat().st_size, timeout_s=60)
        time.sleep(0.3)  # the batch after the first is large, and has started
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        took_s = time.monotonic() - began
    assert process.returncode == 143, err.decode()
    assert b"Traceback" not in err
    summary = json.loads(out)
    assert summary["exit_code"] == 143
    assert json.loads(hook.read_text())["exit_code"] == 143
    status = json.loads(stage.program("status", "--json", "--dest", stage.dest).out)
    assert status["runs"][0]["exit_code"] == 143
    assert took_s < stopped_within_s()
    stage.entries()
    left = stage.resume()
    some = sum(len(file.body) for file in stage.library.files.values()) // 2
    assert left < some, "what was complete is not asked for again"


_STOPPED_FROM_A_THREAD = """
import sys, threading, time
from pathlib import Path
from mirror import Config, Stop, sync

journal = Path(sys.argv[1]) / ".kling-mirror/journal"
stop, asked = Stop(), []

def ask():
    while not (journal.exists() and journal.stat().st_size):
        time.sleep(0.01)
    time.sleep(0.3)
    asked.append(time.monotonic())
    stop.set()

threading.Thread(target=ask).start()
config = Config(dest=sys.argv[1], api_url=sys.argv[2], token=sys.argv[3], min_free=0)
result = sync(config, stop=stop)
print(result.exit_code, time.monotonic() - asked[0])
"""


def test_a_python_caller_on_a_slow_disk(
    stage: _Stage, slow_disk: Mapping[str, str], hook: Path
) -> None:
    """`Stop.set` from a thread ends the run in time, too, and the run is noted."""
    for number in range(300):
        stage.library.add(number, "image")
    done = subprocess.run(
        [sys.executable, "-c", _STOPPED_FROM_A_THREAD, stage.dest, stage.service.api_url, TOKEN],
        env=_slowly(stage, slow_disk, hook).environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, took_s = done.stdout.split()
    assert (code, done.stderr) == ("130", "")
    assert float(took_s) < stopped_within_s()
    status = json.loads(stage.program("status", "--json", "--dest", stage.dest).out)
    assert status["runs"][0]["exit_code"] == 130
    stage.entries()
    stage.go_on()


def test_prune_on_a_slow_disk(stage: _Stage, slow_disk: Mapping[str, str], hook: Path) -> None:
    """It ends in time and says so; the next one moves the rest."""
    items = [stage.library.add(number, "image") for number in range(200)]
    stage.library.add(200, "image")
    stage.go_on()
    for item in items:
        stage.library.delete(item)
    assert (
        stage.program(
            *stage.arguments, "--max-gone", "100%", env={"KLING_MIRROR_TOKEN": TOKEN}
        ).code
        == 0
    )
    trash = stage.dest / PRIVATE / "trash"
    prune = ("prune", "--dest", stage.dest)
    with started(_slowly(stage, slow_disk, hook).environ, *prune) as process:
        wait_until(lambda: len([*trash.rglob("*.png")]) > 5)
        _stop(process, signal.SIGTERM, said=b"stopped")
    assert 5 < len([*trash.rglob("*.png")]) < 200
    assert stage.program(*prune).code == 0
    assert len([*trash.rglob("*.png")]) == 200
    assert len(stage.entries()) == 1
