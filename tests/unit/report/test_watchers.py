"""Watchers hear of a run's start, progress and end, and nothing that they do can change it."""

import sys
from pathlib import Path

import pytest

from mirror.errors import DiskError, ExitCode, Interrupted
from mirror.progress import Progress
from mirror.report import watchers
from mirror.report.watchers import Report, Run, Watcher, reporting
from mirror.settings import Settings
from mirror.stopping import Stop
from tests.unit.report.conftest import MakeResult, MakeRun

HEARD: list[str] = []


class Listener(Watcher):
    """Takes down what it hears."""

    def start(self) -> None:
        """Take it down."""
        HEARD.append("start")

    def end(self, result: object, words: str) -> None:  # noqa: ARG002 - as the base has it
        """Take it down."""
        HEARD.append(f"end: {words}")

    def warn(self, text: str) -> None:
        """Take it down."""
        HEARD.append(f"warn: {text}")

    def close(self) -> None:
        """Take it down."""
        HEARD.append("close")


class Deaf(Watcher):
    """Cannot even start."""

    def start(self) -> str:
        """Be in trouble."""
        return "deaf"


class Broken(Watcher):
    """Fails wherever it can."""

    def end(self, result: object, words: str) -> str:  # noqa: ARG002 - as the base has it
        """Be in trouble."""
        return "broken"

    def close(self) -> str:
        """Fail."""
        raise LookupError("unheard of")


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """This module's watchers in place of the real ones."""
    HEARD.clear()
    monkeypatch.setitem(sys.modules, "mirror.report.test", sys.modules[__name__])
    rows = tuple((bool, f"test.{name}") for name in ("Deaf", "Broken", "Listener"))
    monkeypatch.setattr(watchers, "_WATCHERS", rows)


def test_trouble_is_a_warning_each(make_run: MakeRun, make_result: MakeResult) -> None:
    """It never fails the run; the others hear of it, and one that is deaf hears no more."""
    troubles: list[str] = []
    with reporting(make_run().settings, stop=Stop(), warn=troubles.append) as report:
        assert troubles == ["deaf"]
        report.finished(make_result(listed=1, new=1))
    assert troubles == ["deaf", "broken", "a notification failed: LookupError: unheard of"]
    end = "end: 1 new in 0.0 s → /mirror"
    assert ["start", "warn: broken", end, "close"] == HEARD


@pytest.mark.parametrize(
    ("error", "signum", "words"),
    [
        (DiskError("the disk is full", where="/mirror"), None, "the disk is full (/mirror)"),
        (LookupError("a bug"), None, "unexpected error: LookupError"),
        (KeyboardInterrupt(), 2, "stopped"),
        (Interrupted(15), 15, "stopped"),
    ],
)
def test_the_end_is_reported_whatever_it_is(
    make_run: MakeRun, error: BaseException, signum: int | None, words: str
) -> None:
    """An error inside is the run's end for the watchers, and goes on to the caller."""
    stop = Stop()

    def run() -> None:
        with reporting(make_run().settings, stop=stop, warn=print):
            stop.signum = signum
            raise error

    with pytest.raises(type(error)):
        run()
    assert HEARD[-2:] == [f"end: {words}", "close"]


def test_nobody_watches_a_dry_run(make_run: MakeRun) -> None:
    """Whichever watcher there is, it hears nothing of one."""
    with reporting(make_run().settings, stop=Stop(), warn=print, dry_run=True) as report:
        progress = Progress()
        assert report.beside(progress) is progress
    assert HEARD == []


def test_watchers_follow_the_progress(make_run: MakeRun) -> None:
    """They hear what they override, beside the listener that the run has anyway."""
    with reporting(make_run().settings, stop=Stop(), warn=print) as report:
        report.beside(Progress()).warn("a file is odd")
    assert "warn: a file is odd" in HEARD


def test_most_runs_load_none(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a setting that asks for it, no watcher's module is imported."""
    monkeypatch.undo()
    for name in ("logfile", "ping", "on_finish", "systemd"):
        monkeypatch.delitem(sys.modules, f"mirror.report.{name}", raising=False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Report(make_run(), warn=print).start()
    assert not any(f"mirror.report.{name}" in sys.modules for name in ("logfile", "ping"))
    log = Path(str(make_run().settings.dest)).parent / "log"
    with reporting(make_run(log_file=log).settings, stop=Stop(), warn=print):
        assert log.exists()


def test_the_summary_is_without_secrets(make_run: MakeRun, make_result: MakeResult) -> None:
    """One line of JSON; whatever is a secret by then is masked."""
    run: Run = make_run()
    settings: Settings = run.settings
    assert settings.ping_url is None
    run.secrets.append("user:1-token")
    result = make_result(int(ExitCode.SOME_FAILED), failures=3)
    result.summary.dest = "/user:1-token"
    line = run.summary_of(result, 2)
    assert line.count(b"\n") == 1
    assert line.count(b'"404"') == 2
    assert b"user:1" not in line
