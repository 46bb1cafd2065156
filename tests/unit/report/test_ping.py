"""Pings: which are sent, and what is said of a monitor that is in trouble."""

import contextlib
import socket
import uuid

import pytest

from mirror.jobs.result import Result
from mirror.report.ping import Pinger
from mirror.report.watchers import Run
from tests.lib.monitor import SECRET, Monitor
from tests.unit.report.conftest import MakeResult, MakeRun


def pinged(run: Run, result: Result, limit_s: float = 10.0) -> str | None:
    """Send both pings of a run; returns the trouble."""
    pinger = Pinger(run)
    pinger.limit_s = limit_s
    pinger.start()
    return pinger.end(result, "")


@pytest.mark.parametrize(("exit_code", "ending"), [(0, ""), (3, "/fail"), (130, "/fail")])
def test_a_run_is_two_pings(
    make_run: MakeRun, make_result: MakeResult, monitor: Monitor, exit_code: int, ending: str
) -> None:
    """Both carry the run's id; the second says how it ended, with some failures at most."""
    run = make_run(ping_url=f"{monitor.url}/?create=1")
    assert pinged(run, make_result(exit_code, failures=1000)) is None
    assert monitor.endings == ["/start", ending]
    for ping in monitor.requests:
        assert ping.method == "POST"
        assert ping.query == {"create": "1", "rid": run.id}
    assert uuid.UUID(run.id)
    assert monitor.requests[0].body == b""
    assert monitor.summary(1)["exit_code"] == exit_code
    assert len(monitor.summary(1)["failures"]) == 100


@pytest.mark.parametrize(
    ("status", "endings"),
    [
        (500, ["/start", "", "", ""]),
        (429, ["/start", "", "", ""]),
        (404, ["/start", ""]),
        (302, ["/start", ""]),
    ],
)
def test_a_monitor_in_trouble(
    make_run: MakeRun, make_result: MakeResult, monitor: Monitor, status: int, endings: list[str]
) -> None:
    """The last ping is tried again where that may help; no redirect is followed."""
    with Monitor() as elsewhere:
        monitor.status = status
        monitor.to = elsewhere.url if status == 302 else ""
        trouble = pinged(make_run(ping_url=monitor.url), make_result())
        assert not elsewhere.requests
    assert trouble is not None
    assert trouble.startswith(f"the ping to 127.0.0.1 failed: {status}")
    assert SECRET not in trouble
    assert monitor.endings == endings


def test_a_monitor_that_hangs_is_left(make_run: MakeRun, make_result: MakeResult) -> None:
    """A monitor that does not answer in time is left behind; the trouble has no secret in it."""
    with Monitor(hangs=True) as monitor:
        trouble = pinged(make_run(ping_url=monitor.url), make_result(), limit_s=0.3)
    assert trouble is not None
    assert trouble.startswith("the ping to 127.0.0.1 failed: ")
    assert SECRET not in trouble


@pytest.mark.parametrize("proxy", ["", "nonsense://%", "socks5://127.0.0.1:1"])
def test_a_monitor_out_of_reach(
    make_run: MakeRun, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """A closed port, a proxy that cannot be spoken to: one line, and no traceback from a thread."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    trouble = pinged(make_run(ping_url=url), make_result())
    assert trouble is not None
    assert trouble.startswith("the ping to 127.0.0.1 failed: ")
    assert SECRET not in trouble


def test_secrets_are_masked(make_run: MakeRun, make_result: MakeResult, monitor: Monitor) -> None:
    """Neither the check's own URL nor the token is in a ping's body."""
    run = make_run(ping_url=monitor.url)
    run.secrets.append("user:1-token")
    result = make_result(3)
    result.summary.dest = f"/home/user:1-token/{monitor.url}"
    assert pinged(run, result) is None
    assert monitor.summary(1)["dest"] == "/home/…/…"
