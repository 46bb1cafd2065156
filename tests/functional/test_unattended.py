"""Runs that nobody watches: pings, the log, `on_finish`, systemd; none of them can do harm."""

import contextlib
import json
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import KlingService
from mirror.storage.root import Root
from tests.conftest import Finished, RunProgram
from tests.lib.held import Held
from tests.lib.invariant import check_invariant
from tests.lib.library import ACCESS, TOKEN, Library
from tests.lib.monitor import SECRET, Monitor
from tests.lib.processes import started, stopped_within_s, sync_arguments, wait_until

_OTHER_TOKEN = "user:1-other"  # noqa: S105 - opens nothing

RunNight = Callable[..., Finished]


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    """A monitor that keeps all pings."""
    with Monitor() as running:
        yield running


@pytest.fixture
def night(program: RunProgram, service: KlingService, dest: Path) -> RunNight:
    """Runs `sync` off a terminal; keyword arguments are settings, given by the environment."""

    def run(
        *arguments: object, env: Mapping[str, str] | None = None, **settings: object
    ) -> Finished:
        given = {f"KLING_MIRROR_{name.upper()}": str(value) for name, value in settings.items()}
        return program(
            "sync", "--dest", dest, "--api-url", service.api_url, "--max-wait", "5",
            "--min-free", "0", *arguments,
            env={**ACCESS, **given, **(env or {})},
        )  # fmt: skip

    return run


def _command(*words: object) -> str:
    return shlex.join(map(str, words))


# Pings.


def test_a_run_pings_its_monitor(library: Library, night: RunNight, monitor: Monitor) -> None:
    """POST to /start, then to the URL itself, both of one run, and the summary with the second."""
    library.add(1)
    done = night("--json", ping_url=f"{monitor.url}/?create=1")
    assert done.code == 0, done.err
    assert monitor.endings == ["/start", ""]
    start, end = monitor.requests
    assert (start.method, end.method) == ("POST", "POST")
    assert start.query["create"] == end.query["create"] == "1"
    assert start.query["rid"] == end.query["rid"]
    assert uuid.UUID(end.query["rid"])
    assert start.body == b""
    assert end.headers["content-type"] == "application/json"
    assert monitor.summary(1) == done.summary


def test_a_night_without_news_is_silent(
    library: Library, night: RunNight, monitor: Monitor, tmp_path: Path
) -> None:
    """With everything switched on, a run that changed nothing still prints nothing."""
    library.add(1)
    shown = tmp_path / "summary"
    settings = {
        "ping_url": monitor.url,
        "log_file": tmp_path / "log",
        "on_finish": f"cat > {shlex.quote(str(shown))}",
    }
    (line,) = night(**settings).err.splitlines()
    assert "1 new" in line
    assert night(**settings) == Finished(0, "", "")
    assert monitor.endings == ["/start", "", "/start", ""]
    assert json.loads(shown.read_bytes())["assets"]["unchanged"] == 1


def _no_token(_: KlingService, __: Path) -> dict[str, str]:
    return {"token": ""}


def _refused_token(_: KlingService, __: Path) -> dict[str, str]:
    return {"token": _OTHER_TOKEN}


def _no_folder(_: KlingService, dest: Path) -> dict[str, str]:
    dest.write_bytes(b"")
    return {}


def _lost_file(service: KlingService, _: Path) -> dict[str, str]:
    service.accounts["me@example.com"].append(
        {**service.accounts["me@example.com"][0], "id": "2", "resource": {"resource": "/cdn/x"}}
    )
    return {}


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        (_no_token, 2, "no API token"),
        (_lost_file, 3, None),
        (_refused_token, 4, "the token was refused"),
        (_no_folder, 6, "folder"),
    ],
)
def test_a_failure_is_reported(
    library: Library,
    service: KlingService,
    night: RunNight,
    monitor: Monitor,
    *,
    dest: Path,
    trouble: Callable[[KlingService, Path], dict[str, Any]],
    code: int,
    said: str | None,
) -> None:
    """However early a run fails: /fail, with its exit code and what a person would read."""
    library.add(1)
    settings = trouble(service, dest)
    assert night(ping_url=monitor.url, **settings).code == code
    assert monitor.endings == ["/start", "/fail"]
    shown = monitor.summary(1)
    assert shown["exit_code"] == code
    assert shown["dest"] == str(dest)
    if said is None:
        assert [failure["id"] for failure in shown["failures"]] == ["2"]
    else:
        assert said in shown["errors"][0]["error"]


def test_a_lock_that_is_held_is_reported(
    library: Library, night: RunNight, monitor: Monitor, dest: Path
) -> None:
    """A run that was turned away has mirrored nothing: a person should know."""
    library.add(1)
    dest.mkdir()
    (dest / ".kling-mirror").mkdir()
    with Root(dest).opened(load=False):
        assert night(ping_url=monitor.url).code == 11
    assert monitor.endings == ["/start", "/fail"]
    assert monitor.summary(1)["exit_code"] == 11


def test_a_dry_run_notifies_nobody(
    library: Library, night: RunNight, monitor: Monitor, tmp_path: Path
) -> None:
    """No ping, no log, no command: a dry run writes nothing and is no run."""
    library.add(1)
    log, shown = tmp_path / "log", tmp_path / "summary"
    on_finish = _command("touch", shown)
    done = night("--dry-run", ping_url=monitor.url, log_file=log, on_finish=on_finish)
    assert done.code == 0
    assert not monitor.requests
    assert not log.exists()
    assert not shown.exists()


def test_a_watcher_that_is_away_is_a_warning(library: Library, night: RunNight) -> None:
    """So is one that refuses the connection; with an exit code of its own the run keeps that."""
    library.add(1)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}"
    done = night("--token-file", "/nowhere", token="", ping_url=url)
    assert (done.code, done.out) == (2, "")
    warning, *error = done.err.splitlines()
    assert warning.startswith("kling-mirror: the ping to 127.0.0.1 failed: ")
    assert error[0] == "kling-mirror: the token file cannot be read: No such file or directory"
    assert SECRET not in done.err


@pytest.mark.parametrize("url", ["http://[::1", "https://x.invalid:0/", f"hc-ping.com/{SECRET}"])
def test_a_bad_address_is_refused(night: RunNight, url: str) -> None:
    """What is no URL is a usage error, which does not show it."""
    done = night(ping_url=url)
    assert (done.code, done.out) == (2, "")
    assert "KLING_MIRROR_PING_URL" in done.err
    assert url not in done.err


def test_the_address_is_masked_in_config(program: RunProgram, monitor: Monitor) -> None:
    """`kling-mirror config` says that there is one, and where from."""
    done = program("config", env={"KLING_MIRROR_PING_URL": monitor.url})
    assert 'ping_url = "(set, not shown)"' in done.out
    assert SECRET not in done.out


# A stop.


def _stop(process: "subprocess.Popen[bytes]") -> tuple[int, bytes]:
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - began < stopped_within_s()
    assert b"Traceback" not in err
    return process.returncode, err


@pytest.mark.parametrize("hangs", [False, True])
def test_a_stop_is_reported_in_time(
    library: Library, environ: Mapping[str, str], monitor: Monitor, dest: Path, *, hangs: bool
) -> None:
    """SIGTERM ends a run within two seconds, whatever its listeners do."""
    library.add(1)
    monitor.hangs = hangs
    settings = {
        "KLING_MIRROR_PING_URL": monitor.url,
        "KLING_MIRROR_ON_FINISH": "exec sleep 5 2>&- >&-" if hangs else "true",
    }
    with (
        library.service(Held) as service,
        started({**environ, **settings}, *sync_arguments(service, dest)) as process,
    ):
        wait_until(service.cdn_requests)
        code, err = _stop(process)
    assert code == 128 + signal.SIGTERM
    assert b"stopped" in err
    if not hangs:
        assert monitor.endings == ["/start", "/fail"]
        assert monitor.summary(1)["exit_code"] == code


def test_a_stop_at_the_very_end(
    library: Library,
    service: KlingService,
    environ: Mapping[str, str],
    monitor: Monitor,
    dest: Path,
) -> None:
    """A stop while the last ping hangs cuts that short; the run was complete, and says so."""
    library.add(1)
    monitor.hangs = True
    settings = {"KLING_MIRROR_PING_URL": monitor.url}
    with started({**environ, **settings}, *sync_arguments(service, dest)) as process:
        assert process.stdout is not None
        summary = json.loads(process.stdout.readline())
        code, _ = _stop(process)
    assert (code, summary["exit_code"]) == (0, 0)
    assert len(check_invariant(dest)) == 1


# Secrets.


def test_no_secret_is_shown(
    library: Library, night: RunNight, monitor: Monitor, tmp_path: Path
) -> None:
    """Neither pings, the log with all its requests, nor the command's environment has the token."""
    library.add(1)
    lost = library.add(2, "image", name=f"{TOKEN}.png")
    del library.files[lost["resource"]["resource"].partition("?")[0]]
    log, shown = tmp_path / "log", tmp_path / "summary"
    done = night(
        "-vv",
        ping_url=monitor.url,
        log_file=log,
        on_finish=f"(cat; env) > {shlex.quote(str(shown))}",
    )
    assert done.code == 3, done.err
    written = log.read_text() + shown.read_text()
    written += "".join(f"{ping.headers} {ping.query} {ping.body!r}" for ping in monitor.requests)
    assert "GET /assets/uploaded/" in written
    assert "….png" in written
    assert TOKEN not in written
    assert "authorization" not in written
    assert SECRET not in log.read_text()
    assert "x-kcdn-pid" not in log.read_text()


# The log.


def test_the_log_has_a_line_for_each_thing(
    library: Library, night: RunNight, tmp_path: Path, dest: Path
) -> None:
    """As text: the start, each file, each problem and the summary; readable for its owner alone."""
    library.add(1)
    lost = library.add(2, "image", name="\x1b[31mred.png")
    del library.files[lost["resource"]["resource"].partition("?")[0]]
    log = tmp_path / "log"
    assert night(log_file=log).code == 3
    lines = log.read_text(encoding="utf-8").splitlines()
    assert all(line.isprintable() for line in lines)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    levels = [line.split()[1] for line in lines]
    assert levels[0] == levels[-1] == "INFO"
    assert levels.count("WARNING") == 1
    text = log.read_text(encoding="utf-8")
    for path in check_invariant(dest).values():
        assert path.resource is not None
        assert f"new: {path.resource.path} (2 kB)" in text
    assert f"{lost['id']}): resource failed: " in text
    assert " exit 3: 1 new, 1 failed; 2 files fetched" in lines[-1]


_FIELDS = {
    "start": {"version", "dest"},
    "file": {"kind", "id", "updateTime", "role", "path", "size", "sha256"},
    "failed": {"id", "updateTime", "role", "error"},
    "warning": set(),
    "error": {"exit_code", "where", "hint"},
    "request": set(),
    "summary": {"summary"},
}
"""What the log's docstring promises of each event."""


def test_the_log_as_json(library: Library, night: RunNight, tmp_path: Path, dest: Path) -> None:
    """As JSON: an object a line, with the documented fields, the run's id in each."""
    library.add(1)
    lost = library.add(2, "image")
    log = tmp_path / "log"
    assert night("-vv", log_file=log, log_format="json", on_finish="false").code == 0
    del library.files[lost["resource"]["resource"].partition("?")[0]]
    library.change(lost)
    assert night(log_file=log, log_format="json").code == 3
    assert night(log_file=log, log_format="json", token=_OTHER_TOKEN).code == 4
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        known = {"time", "level", "run", "event", "message"} | _FIELDS[line["event"]]
        assert line.keys() == known, line
    assert {line["event"] for line in lines} == _FIELDS.keys()
    runs = list(dict.fromkeys(line["run"] for line in lines))
    assert len(runs) == 3
    summaries = [line["summary"]["exit_code"] for line in lines if line["event"] == "summary"]
    assert summaries == [0, 3, 4]
    for line in lines:
        if line["event"] == "file":
            assert (dest / line["path"]).stat().st_size == line["size"]
        if line["event"] == "request":
            assert (line["run"], line["level"]) == (runs[0], "debug")


def test_a_log_in_no_folder_is_a_warning(library: Library, night: RunNight, tmp_path: Path) -> None:
    """One line, and the run goes on; no folder is made, for its volume may not be mounted."""
    library.add(1)
    log = tmp_path / "unmounted" / "log"
    done = night(log_file=log)
    assert (done.code, done.out) == (0, "")
    line, _ = done.err.splitlines()
    assert line == f"kling-mirror: no log is written: {log}: No such file or directory"
    assert not log.parent.exists()


# The command.


def test_the_command_gets_the_result(library: Library, night: RunNight, tmp_path: Path) -> None:
    """The summary on its stdin, the exit code in its environment; what it prints is no data."""
    library.add(1)
    shown = tmp_path / "summary.json"
    on_finish = f'cat > {shlex.quote(str(shown))}; echo "exit $KLING_MIRROR_EXIT_CODE"'
    done = night("--json", on_finish=on_finish)
    assert done.code == 0
    assert json.loads(shown.read_bytes()) == done.summary
    assert done.err == "exit 0\n"
    refused = night(token=_OTHER_TOKEN, on_finish=on_finish)
    assert refused.code == 4
    assert json.loads(shown.read_bytes())["exit_code"] == 4
    assert "exit 4\n" in refused.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 3", "on_finish failed with exit 3"),
        ("kill -9 $$", "on_finish failed with exit -9"),
    ],
)
def test_a_command_that_fails_is_a_warning(
    library: Library, night: RunNight, command: str, said: str
) -> None:
    """One line, and the run's own exit code."""
    library.add(1)
    done = night(on_finish=command)
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[1:] == [f"kling-mirror: {said}"]


# systemd.


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_systemd_is_notified(library: Library, night: RunNight, tmp_path: Path) -> None:
    """READY at first, STOPPING at last; the command does not inherit the socket."""
    library.add(1)
    name = str(tmp_path / "notify")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(name)
        systemd.setblocking(False)
        on_finish = 'test -z "$NOTIFY_SOCKET"'
        done = night(env={"NOTIFY_SOCKET": name}, on_finish=on_finish)
        assert done.code == 0
        assert "on_finish" not in done.err
        shown = []
        with contextlib.suppress(BlockingIOError):
            while True:
                shown.append(systemd.recv(4096).decode())
    assert shown == ["READY=1", "STOPPING=1"]
