"""What the tests share: a real service on loopback, and the program as a user would start it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mirror.cli import main
from mirror.demo.service import KlingService
from tests.lib import crash_host as crashing
from tests.lib import forked
from tests.lib.buckets import S3, Bucket, moto
from tests.lib.library import ACCESS, TOKEN, Library
from tests.lib.mirrored import check_mirror, snapshot
from tests.lib.misbehaving import Misbehaving
from tests.lib.processes import sync_arguments
from tests.lib.rounds import SIZE
from tests.lib.runs import run_sync
from tests.lib.tls import Secure, make_certificate

for _ignored in (signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
    if signal.getsignal(_ignored) == signal.SIG_IGN:  # in the background of a script, under nohup
        signal.signal(_ignored, signal.SIG_DFL)

for _name in (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "no_proxy",
    "http_proxy",
    "https_proxy",
    "all_proxy",
):
    for _spelling in (_name, _name.upper()):  # nothing here is meant for the machine's network
        os.environ.pop(_spelling, None)

RunProgram = Callable[..., "Finished"]


@dataclass(frozen=True)
class Finished:
    """A run of the program that has ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, object]:
        """What `--json` printed."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    def texts(self, name: str) -> list[str]:
        """One of the lists in what `--json` printed."""
        found = self.summary[name]
        assert isinstance(found, list)
        return found

    @property
    def listing(self) -> dict[str, Any]:
        """What `sync --json` printed of the listing."""
        found = self.summary["listing"]
        assert isinstance(found, dict)
        return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of its own: no config, no state of whoever runs the tests."""
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    """What cron gives a job, and no more."""
    root = Path(__file__).parents[1]
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": str(root)}


@pytest.fixture
def program(started_program: RunProgram, environ: Mapping[str, str], tmp_path: Path) -> RunProgram:
    """Runs `kling-mirror` in a process of its own, without a terminal."""

    def run(
        *arguments: object, env: Mapping[str, str] | None = None, cwd: Path = tmp_path
    ) -> Finished:
        if forked.needs_a_start(env or {}):
            return started_program(*arguments, env=env, cwd=cwd)
        here = {**environ, **(env or {})}
        return Finished(*forked.run([*map(str, arguments)], environ=here, cwd=cwd))

    return run


@pytest.fixture
def started_program(environ: Mapping[str, str], tmp_path: Path) -> RunProgram:
    """Runs `kling-mirror` as a user's shell does: Python starts for it."""

    def run(
        *arguments: object, env: Mapping[str, str] | None = None, cwd: Path = tmp_path
    ) -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", "mirror", *map(str, arguments)],
            env={**environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def program_here(
    environ: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> RunProgram:
    """Runs `kling-mirror` in this process: the same code, started many times faster."""

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> Finished:
        capsys.readouterr()
        with monkeypatch.context() as context:
            context.delenv("XDG_CONFIG_HOME", raising=False)
            for name, value in {**environ, **(env or {})}.items():
                context.setenv(name, value)
            code = main([*map(str, arguments)])
        shown = capsys.readouterr()
        return Finished(code, shown.out, shown.err)

    return run


@pytest.fixture
def library() -> Library:
    """An empty library, to be filled by the test."""
    return Library()


@pytest.fixture
def service(library: Library) -> Iterator[Misbehaving]:
    """The service over the test's library: well-behaved, until a test switches faults on."""
    with library.service(Misbehaving) as running:
        yield running


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """Where the mirror goes; it does not exist yet."""
    return tmp_path / "mirror"


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 service."""
    with moto() as running:
        yield running


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch, home: Path) -> Bucket:
    """A place for a mirror in a bucket of its own; the environment leads there."""
    for name, value in {**s3.environ, "HOME": str(home)}.items():
        monkeypatch.setenv(name, value)
    return s3.bucket(f"bucket-{os.urandom(4).hex()}")


@pytest.fixture
def sync_to(program: RunProgram, program_here: RunProgram) -> RunProgram:
    """Runs `sync --json` against a service into a folder, with short waits and no reserve.

    In this process, unless what is in the environment takes effect only as a process starts.
    """

    def run(
        service: KlingService,
        dest: Path,
        *arguments: object,
        env: Mapping[str, str] | None = None,
    ) -> Finished:
        starts = program if forked.needs_a_start(env or {}) else program_here
        return starts(
            *sync_arguments(service, dest), "--max-wait", "5", *arguments,
            env={**ACCESS, **(env or {})},
        )  # fmt: skip

    return run


@pytest.fixture
def sync(sync_to: RunProgram, service: Misbehaving, dest: Path) -> RunProgram:
    """Runs `sync --json` against the service, with short waits."""
    return partial(sync_to, service, dest, "--stall-timeout", "10")


@pytest.fixture
def items(service: Misbehaving, library: Library, dest: Path) -> list[dict[str, Any]]:
    """A dozen small assets of three types, mirrored; the requests so far are forgotten."""
    return _mirrored(service, library, dest, count=12, size=300)


@pytest.fixture
def trio(service: Misbehaving, library: Library, dest: Path) -> list[dict[str, Any]]:
    """A video with its cover, an image and a sound, mirrored; the requests are forgotten."""
    return _mirrored(service, library, dest, count=3, size=2000)


def _mirrored(
    service: Misbehaving, library: Library, dest: Path, *, count: int, size: int
) -> list[dict[str, Any]]:
    items = library.fill(count, size=size)
    assert run_sync(service, dest).summary.exit_code == 0
    service.forget()
    return items


def access_to(service: Misbehaving) -> dict[str, str]:
    """The environment of a command that asks the service, with short waits."""
    return {
        **ACCESS,
        "KLING_MIRROR_API_URL": service.api_url,
        "KLING_MIRROR_MAX_ATTEMPTS": "2",
        "KLING_MIRROR_MAX_WAIT": "2",
        "KLING_MIRROR_MIN_FREE": "0",
    }


@pytest.fixture
def verify(program_here: RunProgram, service: Misbehaving, dest: Path) -> RunProgram:
    """Runs `verify --json` in this process, with what `--repair` needs in its environment."""

    def run(*arguments: str) -> Finished:
        done = program_here("verify", "--json", "--dest", dest, *arguments, env=access_to(service))
        check_shown(done.out + done.err)
        return done

    return run


@pytest.fixture
def verify_in_words(program: RunProgram, service: Misbehaving, dest: Path) -> RunProgram:
    """Runs `verify` in a process of its own, and in words."""

    def run(*arguments: str) -> Finished:
        done = program("verify", "--dest", dest, *arguments, env=access_to(service))
        check_shown(done.out + done.err)
        assert done.out == ""
        return done

    return run


def check_shown(text: str) -> None:
    """See that neither a secret nor a traceback was shown."""
    for secret in (TOKEN, "Traceback", "x-kcdn-pid"):
        assert secret not in text


@pytest.fixture
def item(library: Library) -> dict[str, Any]:
    """An asset at `PATH`, of `SIZE` bytes; another one beside it must never be in the way."""
    library.add(2, "audio")
    return library.add(1, "image", size=SIZE)


@pytest.fixture
def mirrored(service: Misbehaving, library: Library, dest: Path) -> dict[str, str]:
    """A complete mirror of a dozen assets; gives what its tree looks like."""
    library.fill(12)
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)
    service.forget()
    return snapshot(dest)


@pytest.fixture
def crash_host(
    environ: Mapping[str, str], service: Misbehaving, tmp_path: Path
) -> Iterator[crashing.Host]:
    """A process that runs jobs against the service, and lets them crash at a chosen step."""
    with crashing.started(environ) as process:
        try:
            yield crashing.Host(process, tmp_path / "state", service.api_url)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and localhost that nobody knows, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(library: Library, certificate: tuple[Path, Path]) -> Iterator[Secure]:
    """The service's library over TLS."""
    running = library.service(Secure)
    running.show(certificate)
    with running:
        yield running
