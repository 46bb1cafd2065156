"""Transfers that go wrong in ways that HTTP has no word for: each ends, and takes nobody along."""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mirror import config
from mirror.demo.server import Request, Response
from mirror.errors import DiskError, ExpiredUrlError, FetchError
from mirror.jobs.sync import sync
from mirror.net.download import Received
from mirror.net.transfers import Transfers
from mirror.net.urls import UrlRules
from mirror.stopping import Stop
from mirror.storage.durable import Disk
from mirror.storage.partial import Partial
from tests.conftest import RunProgram
from tests.lib.effects import alters, ends
from tests.lib.library import ACCESS, EMAIL, PNG, TOKEN, Library
from tests.lib.mirrored import check_mirror
from tests.lib.misbehaving import Answer, Effect, Ending, Misbehaving, Scripted
from tests.lib.processes import wait_until
from tests.lib.runs import Notes, run_sync

T = TypeVar("T")

_LIMIT_S = 20
_FILE = PNG + b"x"
_BYTES_IN_CHUNKS = b"4000\r\n" + bytes(0x4000) + b"\r\n"


def _says(*steps: bytes) -> Effect:
    """These very bytes."""
    return lambda _, answer: Scripted(  # noqa: ARG005
        200, {}, b"", steps=steps, ending=Ending.CLOSE
    )


def _head(*lines: bytes) -> bytes:
    return b"\r\n".join([*lines, b"", b""])


def _transfers(**options: Any) -> Transfers:  # noqa: ANN401 - passed through
    usual: dict[str, Any] = {
        "jobs": 4,
        "stall_timeout_s": 3.0,
        "limit_rate": None,
        "max_size": None,
        "rules": UrlRules(allow_private=True),
        "room": lambda _: 0,
        "on_bytes": lambda _: None,
    }
    return Transfers(**{**usual, **options})


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; what a callback of the loop raises is an error, too."""
    raised: list[dict[str, Any]] = []

    async def run() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        async with asyncio.timeout(_LIMIT_S):
            return await work

    result = asyncio.run(run())
    assert raised == []
    return result


def _fetch(service: Misbehaving, folder: Path, **options: Any) -> Received:  # noqa: ANN401
    async def fetched() -> Received:
        with _transfers(**options) as transfers:
            return await transfers.fetch(f"{service.url}/cdn/1", Partial(folder / "1"))

    return _run(fetched())


@pytest.mark.parametrize(
    "head",
    [
        _head(b"HTTP/1.1 200OK", b"Content-Length: 9"),
        _head(b"HTTP/1.1 200 OK", b"HTTP/1.1: hardly", b"Content-Length: 9"),
        _head(b"HTTP/1.1 200 OK", b"X: a" + b" " * 50_000 + b"b", b"Content-Length: 9"),
        _head(b"HTTP/1.1 200 OK", b"X: a", b"  b", b"Content-Length:9  "),
    ],
    ids=["no space", "a name like a status", "a header of spaces", "folded"],
)
def test_odd_heads_are_read(service: Misbehaving, tmp_path: Path, head: bytes) -> None:
    """What libcurl lets pass as the head of an answer is read without ado, and in no time."""
    service.fail(_says(head, _FILE))
    assert _fetch(service, tmp_path).facts.size == len(_FILE)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            _head(
                b"HTTP/1.1 206 Part",
                b"Content-Range: bytes 0-0/" + b"9" * 5000,
                b"Content-Length: 0",
            ),
            "empty",
        ),
        (_head(b"HTTP/1.1 200 OK", b"Content-Length: " + b"9" * 30) + _FILE, "any disk"),
        (_head(b"HTTP/1.1 200 OK", b"Content-Length: " + b"9" * 5000) + _FILE, "any disk"),
        (
            _head(b"HTTP/1.1 302 Found", b"Location: http://\xe4.invalid/", b"Content-Length: 0"),
            "resolve",
        ),
    ],
    ids=["long range", "huge length", "long length", "redirect that is no text"],
)
def test_absurd_answers_are_failures(
    service: Misbehaving, tmp_path: Path, answer: bytes, message: str
) -> None:
    """Numbers beyond all measure and redirects that are no text fail a file, and that is all."""
    service.fail(_says(answer))
    with pytest.raises(FetchError, match=message):
        _fetch(service, tmp_path)


def test_endless_error_page(service: Misbehaving, tmp_path: Path) -> None:
    """The body of an error has an end, whatever the server thinks of that; its status counts."""
    head = _head(b"HTTP/1.1 404 Not Found", b"Transfer-Encoding: chunked")
    service.fail(_says(head, *[_BYTES_IN_CHUNKS] * 10_000))
    with pytest.raises(ExpiredUrlError, match="404"):
        _fetch(service, tmp_path)


def test_dripping_error_page(service: Misbehaving, tmp_path: Path) -> None:
    """An error page that comes a byte at a time is waited for no longer than silence is."""

    def drips(_: Request, answer: Answer) -> Response:  # noqa: ARG001
        head = _head(b"HTTP/1.1 503 Busy", b"Content-Length: 1000")
        drops: list[bytes | float] = [b"x", 0.2] * 1000
        return Scripted(503, {}, b"", steps=(head, *drops), ending=Ending.CLOSE)

    service.fail(drips)
    with pytest.raises(FetchError, match="stalled"):
        _fetch(service, tmp_path, stall_timeout_s=0.5)


def test_validator_that_is_no_ascii(service: Misbehaving, library: Library, dest: Path) -> None:
    """An ETag of any bytes is sent back as it came, when a file is continued."""
    library.add(1, "image", size=400_000)
    path = library.accounts[EMAIL][0]["resource"]["resource"].partition("?")[0]
    library.files[path] = replace(library.files[path], etag='"\xe4\xf6"', last_modified="")
    service.fail(ends(after=200_000), path="/cdn/*", times=1)
    assert run_sync(service, dest).exit_code == 0
    assert service.cdn_requests()[-1].headers["if-range"] == '"\xe4\xf6"'
    check_mirror(dest, library)


def test_what_progress_raises_of_bytes(
    service: Misbehaving, library: Library, dest: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What `Progress.received` raises ends the run and is raised, as from the other callbacks."""

    class Failing(Notes):
        def received(self, count: int) -> None:
            raise LookupError(count)

    library.add(1, "image")
    with pytest.raises(LookupError):
        run_sync(service, dest, notes=Failing())
    assert capfd.readouterr().err == ""


def test_refusal_under_a_limit(service: Misbehaving, tmp_path: Path) -> None:
    """Under a limit, a file that is refused while it waits for its turn lets the others go on."""
    large, small = bytes(2_000_000), bytes(400_000)
    big = _head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked")
    service.fail(_says(big, b"%x\r\n" % len(large), large, b"\r\n0\r\n\r\n"), path="/cdn/big*")
    good = _head(b"HTTP/1.1 200 OK", b"Content-Length: 400000")
    service.fail(_says(good, small), path="/cdn/good*")

    async def fetched() -> list[Received | BaseException]:
        with _transfers(limit_rate=2_000_000, max_size=450_000) as transfers:
            return await asyncio.gather(
                *(
                    transfers.fetch(f"{service.url}/cdn/{name}", Partial(tmp_path / name))
                    for name in ("big1", "big2", "good1", "good2")
                ),
                return_exceptions=True,
            )

    *refused, one, other = _run(fetched())
    assert all("--max-file-size" in str(it) for it in refused)
    assert [it.facts.size for it in (one, other) if isinstance(it, Received)] == [400_000, 400_000]


def test_room_is_asked_for_once(service: Misbehaving, library: Library, tmp_path: Path) -> None:
    """A file needs as much room as it has bytes: a disk that it just fits on is large enough."""
    size = 1_000_000
    library.files["/cdn/1"] = library.files[
        library.add(1, "image", size=size)["resource"]["resource"].partition("?")[0]
    ]
    asked: list[int] = []

    def room(needed: int) -> int:
        asked.append(needed)
        return 0

    assert _fetch(service, tmp_path, room=room).facts.size == size
    assert asked
    assert max(asked) <= size


_LIKE_WINDOWS = """
import select
for name in ("epoll", "poll", "devpoll", "kqueue"):
    if hasattr(select, name):
        delattr(select, name)
from mirror.__main__ import run
run()
"""


def test_select_alone(
    service: Misbehaving, library: Library, environ: Mapping[str, str], dest: Path
) -> None:
    """Where a process can only `select`, as on Windows, servers may close their connections."""
    for number in range(5):
        library.add(number, "image")
    service.fail(alters({"Connection": "close"}), path="/cdn/*")
    done = subprocess.run(
        [sys.executable, "-c", _LIKE_WINDOWS, "sync", "--dest", dest, "--jobs", "1",
         "--api-url", service.api_url],
        env={**environ, **ACCESS},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.decode()) == (0, done.stderr.decode())
    assert "Traceback" not in done.stderr.decode()
    check_mirror(dest, library)


def _slow_sync(
    service: Misbehaving, dest: Path, *, stop: Stop, go_on: threading.Event, jobs: int
) -> int:
    """Sync to a disk whose first fsync of files does not return before `go_on`."""

    def on_step(_: str) -> None:
        if threading.current_thread().name.startswith("disk"):
            go_on.wait(_LIMIT_S)

    settings = config.load(
        {"dest": str(dest), "api_url": service.api_url, "jobs": jobs, "min_free": 0},
        environ={},
        config_path=Path(os.devnull),
    )
    state = dest.parent / "state"
    return sync(
        settings, TOKEN, state_folder=state, progress=Notes(), stop=stop, disk=Disk(on_step)
    ).exit_code


def _until_still(service: Misbehaving) -> None:
    """Return once no more files are asked for."""
    wait_until(lambda: bool(service.cdn_requests()))
    count = 0
    while count != (count := len(service.cdn_requests())):
        time.sleep(0.3)


def test_stop_while_the_disk_is_behind(service: Misbehaving, library: Library, dest: Path) -> None:
    """What is complete when a stop comes is kept, also where the queue to the disk is full."""
    for number in range(600):
        library.add(number, "image")
    stop, go_on = Stop(), threading.Event()

    def end_it() -> None:
        _until_still(service)
        stop.set()
        go_on.set()

    thread = threading.Thread(target=end_it)
    thread.start()
    assert _slow_sync(service, dest, stop=stop, go_on=go_on, jobs=8) == 130
    thread.join()
    had = {request.path for request in service.cdn_requests()}
    assert 512 < len(had) < 600
    service.forget()
    assert run_sync(service, dest).exit_code == 0
    assert not had & {request.path for request in service.cdn_requests()}
    check_mirror(dest, library)


_FEW_DESCRIPTORS = """
import resource, sys, threading
from pathlib import Path
from tests.lib.library import Library
from tests.lib.misbehaving import Misbehaving
from tests.functional.test_transfers import _slow_sync, _until_still
from mirror.stopping import Stop
library = Library()
for number in range(300):
    library.add(number)
with library.service(Misbehaving) as service:
    # The service's own connections are in this process, too: two for each job.
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    go_on = threading.Event()
    thread = threading.Thread(target=lambda: (_until_still(service), go_on.set()))
    thread.start()
    sys.exit(_slow_sync(service, Path(sys.argv[1]), stop=Stop(), go_on=go_on, jobs=8))
"""


def test_few_descriptors(environ: Mapping[str, str], dest: Path) -> None:
    """The 256 open files that macOS lets a process have are enough, also when the disk is slow."""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", _FEW_DESCRIPTORS, dest],
        env=dict(environ), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_exceptions_from_the_proxy(
    service: Misbehaving, library: Library, program: RunProgram, dest: Path
) -> None:
    """`no_proxy` has one meaning: what is to go through the proxy never goes around it."""
    library.add(1, "image")
    library.accounts[EMAIL][0]["resource"]["resource"] = (
        f"http://files.invalid:{service.port}/cdn/image/1"
    )
    done = program(
        "sync", "--dest", dest, "--api-url", service.api_url, "--max-attempts", "1",
        env={
            **ACCESS,
            "http_proxy": service.url,
            # For Python, which asks here, the dot matters; libcurl alone would overlook it.
            "no_proxy": "127.0.0.1,files.invalid.",
        },
    )  # fmt: skip
    assert "Could not resolve" not in done.err
    assert any("files.invalid" in request.path for request in service.requests)


class _Refusing(Notes):
    """Progress that raises in one of its callbacks."""

    def __init__(self, callback: str) -> None:
        super().__init__()

        def refuse(*_: object) -> None:
            raise LookupError(callback)

        setattr(self, callback, refuse)


def _open_files(below: Path) -> list[str]:
    """What this process has open below a folder."""
    paths = []
    for descriptor in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            paths.append(str(descriptor.readlink()))
    return [path for path in paths if path.startswith(str(below))]


@pytest.mark.parametrize("callback", ["planned", "received", "done", "failed", ""])
def test_nothing_is_left_behind(
    service: Misbehaving, library: Library, dest: Path, callback: str
) -> None:
    """However a run ends, no thread and no open file outlives it, and the next one is right."""
    for number in range(40):
        library.add(number, size=2_000_000 if number % 10 == 0 else 2000)
    broken = service.fail(alters({"Connection": "close"}), path="/cdn/*", every=3)
    missing = service.fail(_says(_head(b"HTTP/1.1 410 Gone", b"Content-Length: 0")), "/cdn/image/*")
    library.add(99, "image")
    with pytest.raises(LookupError) if callback else contextlib.nullcontext():
        run_sync(service, dest, notes=_Refusing(callback) if callback else None)
    names = ("sync", "writer", "disk", "_list_account", "put", "look_up", "accounts", "leads_home")
    wait_until(lambda: not [it for it in threading.enumerate() if it.name.startswith(names)])
    assert _open_files(dest) == []
    service.faults = [fault for fault in service.faults if fault not in (broken, missing)]
    assert run_sync(service, dest).exit_code == 0
    check_mirror(dest, library)


def test_full_disk_in_the_midst_of_a_piece(
    service: Misbehaving, library: Library, tmp_path: Path
) -> None:
    """Bytes that a full disk still took can be continued: the note vouches for exactly those."""
    resource = pytest.importorskip("resource")
    item = library.add(1, size=3_000_000)
    url = service.url + item["resource"]["resource"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def fetched() -> Received:
        with _transfers() as transfers:
            return await transfers.fetch(url, Partial(tmp_path / "1"))

    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        with pytest.raises(DiskError):
            _run(fetched())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resume = Partial(tmp_path / "1").resume(url.partition("?")[0], head_bytes=1)
    assert resume is not None
    assert 0 < resume.note.size <= 2_000_000
