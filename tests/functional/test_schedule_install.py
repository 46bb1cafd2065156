"""`schedule --install`: the job is there once, and nothing else has changed."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import Finished, RunProgram
from tests.lib.library import TOKEN

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has neither cron nor systemd")

_SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$SYSTEMCTL_LOG"
case " $* " in *" $SYSTEMCTL_FAILS "*) echo 'Failed to connect to bus' >&2; exit 1;; esac
"""
"""Stands in for systemd's: it notes its arguments, and fails where it is asked to."""


@pytest.fixture
def token_file(home: Path) -> Path:
    """A token in a file."""
    path = home / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


# cron.

Table = Callable[..., tuple[Finished, str]]


@pytest.fixture
def table(environ: Mapping[str, str], tmp_path: Path, token_file: Path) -> Table:
    """Runs `schedule --install` where the real `crontab` has a spool of its own."""
    missing = [name for name in ("unshare", "crontab") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"not tried with a real cron: {', '.join(missing) or 'root'} is missing here")
    spool = tmp_path / "spool"
    (spool / "crontabs").mkdir(parents=True)

    def run(*arguments: object, before: str | None = None) -> tuple[Finished, str]:
        shown = spool / "crontabs/root"
        begin = f"printf %s {shlex.quote(before)} | crontab - && " if before is not None else ""
        words = ["python3", "-m", "mirror", "schedule", "--install", "--token-file", token_file]
        command = shlex.join(map(str, [*words, *arguments]))
        path = shlex.quote(str(Path(sys.executable).parent))
        script = (
            f"mount --bind {shlex.quote(str(spool))} /var/spool/cron && {begin}"
            f"export PATH={path}:$PATH && {command}"
        )
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script],  # noqa: S607
            env=environ,
            capture_output=True,
            check=False,
        )
        text = shown.read_text() if shown.exists() else ""
        lines = [line for line in text.splitlines(keepends=True) if not line.startswith("# DO NOT")]
        finished = Finished(done.returncode, done.stdout.decode(), done.stderr.decode())
        return finished, "".join(line for line in lines if not line.startswith("# ("))

    return run


def test_a_first_crontab(table: Table, dest: Path) -> None:
    """It has one line, which `schedule` would print; a second call changes nothing."""
    done, shown = table("--dest", dest)
    assert (done.code, done.out) == (0, ""), done.err
    assert f"--dest={dest}" in shown
    assert len(shown.splitlines()) == 1
    assert "crontab -e" in done.err
    again, same = table("--dest", dest)
    assert (again.code, same) == (0, shown)


def test_other_lines_of_a_crontab_stay(table: Table, dest: Path) -> None:
    """Another time moves the line, in its place; comments, variables and other jobs are left."""
    _, line = table("--dest", dest, "--at", "03:17")
    others = "# mine\nMAILTO=me@example.com\n@reboot  true\n"
    _, shown = table("--dest", dest, "--at", "4:05", before=f"{others}{line}1 2 * * * true\n")
    moved = line.replace("17 3", "5 4", 1)
    assert moved != line
    assert shown == f"{others}{moved}1 2 * * * true\n"


def test_two_mirrors_are_two_lines(table: Table, dest: Path) -> None:
    """A job for another mirror is added, and the one from before is shown: it may be too much."""
    alone, first = table("--dest", dest)
    assert "It also has" not in alone.err
    done, shown = table("--dest", f"{dest}2")
    assert len(shown.splitlines()) == 2
    assert f"It also has, from before:\n  {first}" in done.err


# systemd.

Systemd = Callable[..., Finished]


@pytest.fixture
def systemctl_log(tmp_path: Path) -> Path:
    """What was asked of systemd."""
    return tmp_path / "systemctl.log"


@pytest.fixture
def units(home: Path) -> Path:
    """The folder for the units: the user's, or what stands in for root's."""
    folder = home / ".config/systemd/user"
    if os.geteuid() == 0:
        folder.mkdir(parents=True)
    return folder


@pytest.fixture
def systemd(
    tmp_path: Path, environ: Mapping[str, str], units: Path, token_file: Path, systemctl_log: Path
) -> Systemd:
    """Runs `schedule --systemd --install`; if it is root, in a world with a folder of its own."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text(_SYSTEMCTL)
    (tools / "systemctl").chmod(0o755)
    own_world: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("unshare") is None:
            pytest.skip("not tried with root's units: unshare is missing here")
        mount = f"mount --bind {shlex.quote(str(units))} /etc/systemd/system"
        own_world = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"]

    def run(*arguments: object, fails: str = "nothing") -> Finished:
        done = subprocess.run(
            [
                *own_world, sys.executable, "-m", "mirror", "schedule", "--systemd", "--install",
                "--token-file", token_file, *map(str, arguments),
            ],
            env={
                **environ,
                "PATH": f"{tools}:{environ['PATH']}",
                "SYSTEMCTL_LOG": str(systemctl_log),
                "SYSTEMCTL_FAILS": fails,
            },
            capture_output=True,
            check=False,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def test_units_are_written_and_started(
    systemd: Systemd, units: Path, systemctl_log: Path, dest: Path
) -> None:
    """Two files, and the timer runs; a second call has the same effect."""
    for _ in range(2):
        done = systemd("--dest", dest, "--at", "4:05")
        assert (done.code, done.out) == (0, ""), done.err
        assert "disable --now" in done.err
    assert {path.name for path in units.iterdir()} == {"kling-mirror.service", "kling-mirror.timer"}
    assert "OnCalendar=*-*-* 04:05:00" in (units / "kling-mirror.timer").read_text()
    scope = "" if os.geteuid() == 0 else "--user "
    asked = systemctl_log.read_text().splitlines()
    assert asked[:4] == [
        f"{scope}show-environment",
        f"{scope}daemon-reload",
        f"{scope}enable kling-mirror.timer",
        f"{scope}restart kling-mirror.timer",
    ]
    assert asked[4:] == asked[:4]


def test_a_timer_for_each_account(systemd: Systemd, units: Path, systemctl_log: Path) -> None:
    """A pair of units for all, and each account's timer is started."""
    done = systemd("--dest", "/srv/kling", "--email", "a@x", "--email", "b@x")
    assert done.code == 0, done.err
    assert len([*units.iterdir()]) == 2
    timers = r"kling-mirror@a\x40x.timer kling-mirror@b\x40x.timer"
    assert f"enable {timers}\n" in systemctl_log.read_text()


def test_a_unit_of_somebody_else_stays(systemd: Systemd, units: Path, dest: Path) -> None:
    """A file that `schedule` has not written is not replaced, nor is the one beside it written."""
    units.mkdir(parents=True, exist_ok=True)
    mine = units / "kling-mirror.timer"
    mine.write_text("[Timer]\n")
    done = systemd("--dest", dest)
    assert (done.code, done.out) == (2, "")
    assert mine.name in done.err
    assert [*units.iterdir()] == [mine]
    assert mine.read_text() == "[Timer]\n"


def test_where_no_systemd_runs(systemd: Systemd, units: Path, dest: Path) -> None:
    """Nothing is written if it does not answer, as in a container."""
    done = systemd("--dest", dest, fails="show-environment")
    assert done.code == 1
    assert "Failed to connect to bus" in done.err
    assert "--cron" in done.err
    assert not units.exists() or not [*units.iterdir()]


# What is not installed.


@pytest.mark.parametrize("form", ["--launchd", "--windows"])
def test_other_forms_are_not_installed(
    program: RunProgram, token_file: Path, dest: Path, form: str
) -> None:
    """The error says what prints the way to do it by hand."""
    arguments = ("schedule", form, "--install", "--dest", dest, "--token-file", token_file)
    done = program(*arguments)
    assert (done.code, done.out) == (2, "")
    assert f"schedule {form}" in done.err


def test_a_job_that_would_fail_is_not_installed(program: RunProgram, dest: Path) -> None:
    """Without a token in a file, each night would be a failure."""
    done = program("schedule", "--install", "--dest", dest)
    assert (done.code, done.out) == (2, "")
    assert "no API token" in done.err
    assert "nothing was installed" in done.err
