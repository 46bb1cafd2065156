"""What the tests share: a real service on loopback, and the program as a user would start it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mirror.demo.service import KlingService
from tests.lib.library import TOKEN, Library
from tests.lib.misbehaving import Misbehaving

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
def program(environ: Mapping[str, str], tmp_path: Path) -> RunProgram:
    """Runs `kling-mirror` in a process of its own, without a terminal."""

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
def library() -> Library:
    """An empty library, to be filled by the test."""
    return Library()


@pytest.fixture
def service(library: Library) -> Iterator[Misbehaving]:
    """The service over the test's library: well-behaved, until a test switches faults on."""
    with Misbehaving.over(library) as running:
        yield running


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """Where the mirror goes; it does not exist yet."""
    return tmp_path / "mirror"


@pytest.fixture
def sync(program: RunProgram, service: KlingService, dest: Path) -> RunProgram:
    """Runs `kling-mirror sync --json` against the service, with short waits."""

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> Finished:
        return program(
            "sync", "--json", "--dest", dest, "--api-url", service.api_url,
            "--max-wait", "5", "--stall-timeout", "2", *arguments,
            env={"KLING_MIRROR_TOKEN": TOKEN, **(env or {})},
        )  # fmt: skip

    return run
