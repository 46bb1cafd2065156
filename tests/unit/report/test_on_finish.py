"""The user's own command: what it is given, and what becomes of one that fails or hangs."""

import json
import os
import shlex
import signal
from pathlib import Path

import pytest

from mirror.report.on_finish import Hook
from tests.lib.processes import wait_until
from tests.unit.report.conftest import MakeResult, MakeRun


def test_it_reads_the_summary_and_inherits_no_secret(
    make_run: MakeRun, make_result: MakeResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary is on stdin, the exit code in the environment; token and socket are not."""
    monkeypatch.setenv("KLING_MIRROR_TOKEN", "user:1-secret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd")
    given, env = tmp_path / "given", tmp_path / "env"
    run = make_run(on_finish=f"cat > {shlex.quote(str(given))}; env > {shlex.quote(str(env))}")
    assert Hook(run).end(make_result(3, failures=2), "") is None
    assert [failure["id"] for failure in json.loads(given.read_bytes())["failures"]] == ["0", "1"]
    names = dict(line.partition("=")[::2] for line in env.read_text().splitlines())
    assert names["KLING_MIRROR_EXIT_CODE"] == "3"
    assert {"KLING_MIRROR_TOKEN", "NOTIFY_SOCKET"}.isdisjoint(names)


@pytest.mark.parametrize(
    ("command", "trouble"),
    [
        ("true", None),
        ("exit 3", "on_finish failed with exit 3"),
        ("kill -9 $$", "on_finish failed with exit -9"),
    ],
)
def test_a_command_that_fails_is_trouble(
    make_run: MakeRun, make_result: MakeResult, command: str, trouble: str | None
) -> None:
    """One line says how it ended; a command that reads nothing of a long summary is none."""
    result = make_result(3, failures=20_000)
    assert Hook(make_run(on_finish=command)).end(result, "") == trouble


def test_a_command_that_hangs_is_killed(make_run: MakeRun, make_result: MakeResult) -> None:
    """It has its time, and no more."""
    hook = Hook(make_run(on_finish="exec sleep 60"))
    hook.limit_s = 0.1
    assert hook.end(make_result(), "") == "on_finish was killed: it did not end within 0.1 s"


def test_a_stop_leaves_the_command_to_itself(
    make_run: MakeRun, make_result: MakeResult, tmp_path: Path
) -> None:
    """Whoever asks for a stop does not wait for the command, which is not killed."""
    pid = tmp_path / "pid"
    run = make_run(on_finish=f"echo $$ > {shlex.quote(str(pid))}; exec sleep 60")
    run.stop.set()
    assert Hook(run).end(make_result(130), "") is None
    wait_until(lambda: pid.exists() and pid.read_text())
    os.kill(int(pid.read_text()), signal.SIGKILL)
