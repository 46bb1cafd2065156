"""A run without a run: what watchers and the console are given, made by hand."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from mirror import Config
from mirror.errors import MirrorError
from mirror.jobs.result import Result
from mirror.models import AssetCounts, FailedFile, FileCounts, ListingCounts, Summary
from mirror.report.watchers import Run
from mirror.stopping import Stop
from tests.lib.monitor import Monitor

MakeRun = Callable[..., Run]
MakeResult = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own machine may have a proxy; loopback is reached without it."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    """A monitor that takes down each ping."""
    with Monitor() as running:
        yield running


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Makes a run with the given settings."""

    def make(*, stop: Stop | None = None, with_requests: bool = False, **settings: object) -> Run:
        chosen = msgspec.structs.replace(Config(dest=tmp_path / "mirror").settings, **settings)
        return Run(chosen, stop or Stop(), with_requests=with_requests)

    return make


@pytest.fixture
def make_result() -> MakeResult:
    """Makes a run's result."""

    def make(exit_code: int = 0, *errors: MirrorError, failures: int = 0, **counts: int) -> Result:
        failed = [FailedFile(str(number), 1, "resource", "404") for number in range(failures)]
        summary = Summary(
            exit_code,
            "/mirror",
            [],
            ListingCounts(),
            AssetCounts(**counts),
            FileCounts(),
            failed,
            started="2026-01-01T00:00:00Z",
        )
        return Result(summary, list(errors), has_news=True)

    return make
