"""`schedule`: what is printed means the same to cron, systemd, launchd and Windows."""

import contextlib
import datetime as dt
import json
import os
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from mirror.demo.service import KlingService
from tests.conftest import Finished, RunProgram
from tests.lib.invariant import check_invariant
from tests.lib.library import ACCESS, TOKEN, Library

_ODD = "Моё зеркало 100% $HOME %n `id` 'a' \"b\" c\\d"
"""A folder's name that has everything in it which one of the forms treats as special."""
_SHELL = "/bin/sh"
_NAMESPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such names, and no such forms")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with an odd name."""
    folder = tmp_path / _ODD
    folder.mkdir()
    return folder


@pytest.fixture
def config(odd: Path) -> Path:
    """A config in the odd folder, with a mirror beside it."""
    path = odd / "config.toml"
    token_file = odd / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    values = {"dest": str(odd / "mirror"), "token_file": str(token_file)}
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    return path


Print = Callable[..., Finished]


@pytest.fixture
def printed(program: RunProgram, config: Path) -> Print:
    """Runs `schedule` with the odd config."""

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> Finished:
        done = program("--config", config, "schedule", *arguments, env=env)
        assert done.code == 0, done.err
        return done

    return run


def _is_this_program(words: Sequence[str]) -> bool:
    path = Path(words[0])
    script = path.is_absolute() and path.parent == Path(sys.executable).parent
    return script and (path.stem == "kling-mirror" or list(words[1:3]) == ["-m", "mirror"])


# cron.


def _as_cron_does(line: str) -> list[str]:
    r"""The words that Debian's cron has the shell make of a line: it takes the `\` from `\%`."""
    command = line.split(None, 5)[5].rstrip("\n")
    assert "%" not in command.replace(r"\%", "")
    return shlex.split(command.replace(r"\%", "%"))


@posix
def test_a_line_for_cron(printed: Print, config: Path) -> None:
    """One line on stdout, with absolute paths, quoted; how to install it on stderr."""
    done = printed(
        "--at", "03:07", "--jobs", "4", "--email", "a@x", "--email", "b@x", "--no-covers"
    )
    (line,) = done.out.splitlines()
    assert line.startswith("7 3 * * *  /")
    words = _as_cron_does(line)
    assert _is_this_program(words)
    assert words[-6:] == [
        "sync",
        f"--config={config}",
        "--email=a@x",
        "--email=b@x",
        "--no-covers",
        "--jobs=4",
    ]
    assert "crontab -e" in done.err
    assert printed("-q", "--at", "3:07").err == ""


@posix
def test_the_advice_prints_the_same_again(printed: Print, environ: Mapping[str, str]) -> None:
    """The command that the advice gives for copying prints that very line."""
    done = printed("--jobs", "4")
    (copied,) = (line for line in done.err.splitlines() if "crontab -l" in line)
    again = copied.partition("; ")[2].removesuffix(") | crontab -")
    shown = subprocess.run([_SHELL, "-c", again], env=environ, capture_output=True, check=True)
    assert (shown.stdout.decode(), shown.stderr) == (done.out, b"")


def test_the_same_minute_on_each_call(printed: Print, tmp_path: Path) -> None:
    """Nobody said when: a minute from 3 to 6, the same for all calls and not for all mirrors."""
    times = {tuple(printed("-q").out.split()[:2]) for _ in range(2)}
    assert len(times) == 1
    others = [printed("-q", "--dest", tmp_path / str(n)).out.split() for n in range(4)]
    times |= {(minute, hour) for minute, hour, *_ in others}
    assert len(times) > 1
    assert {hour for _, hour in times} <= {"3", "4", "5"}


@pytest.fixture
def own_cron(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Gives root a crontab, in a world of its own where a real cron daemon runs."""
    missing = [name for name in ("unshare", "cron", "crontab") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"not tried with a real cron: {', '.join(missing) or 'root'} is missing here")
    spool, run, empty = tmp_path / "spool", tmp_path / "run", tmp_path / "empty"
    for folder in (spool / "crontabs", run, empty):
        folder.mkdir(parents=True)
    table = tmp_path / "table"
    script = f"""
        mount --bind {shlex.quote(str(spool))} /var/spool/cron &&
        mount --bind {shlex.quote(str(run))} /run &&
        mount --bind {shlex.quote(str(empty))} /etc/cron.d &&
        mount --bind /dev/null /etc/crontab &&
        crontab {shlex.quote(str(table))} &&
        exec cron -f
    """
    with contextlib.ExitStack() as stack:

        def start(lines: str) -> None:
            table.write_text(lines, encoding="utf-8")
            daemon = subprocess.Popen([shutil.which("unshare") or "", "-m", "sh", "-c", script])
            stack.callback(daemon.wait)
            stack.callback(daemon.terminate)

        yield start


@pytest.mark.soak
@posix
def test_a_real_cron_runs_it(
    library: Library,
    service: KlingService,
    printed: Print,
    *,
    home: Path,
    config: Path,
    own_cron: Callable[[str], None],
) -> None:
    """Debian's cron accepts the line, and a minute later the mirror is there, in the odd folder."""
    library.add(1)
    soon = dt.datetime.now().astimezone() + dt.timedelta(seconds=65)  # never too late by a moment
    flags = ("--api-url", service.api_url, "--min-free", "0")
    line = printed("-q", "--at", f"{soon:%H:%M}", *flags).out
    own_cron(f"HOME={home}\n{line}")
    mirror = config.parent / "mirror"
    deadline = time.monotonic() + 140
    while not (mirror / "SHA256SUMS").exists():
        assert time.monotonic() < deadline, "cron did not run it"
        time.sleep(0.2)
    assert len(check_invariant(mirror)) == 1


# systemd.


def _units(text: str) -> dict[str, str]:
    """The files of what is printed, by name."""
    units: dict[str, str] = {}
    for line in text.splitlines(keepends=True):
        if line.startswith("# /"):
            name = Path(line[2:].rstrip("\n")).name
            units[name] = ""
        units[name] += line
    return units


def _settings(unit: str) -> list[tuple[str, str]]:
    pairs = [line.partition("=") for line in unit.splitlines() if not line.startswith(("#", "["))]
    return [(name, value) for name, _, value in pairs if name]


def test_a_service_and_a_timer(printed: Print) -> None:
    """Two files, each below its name: what runs, gently, and when, missed nights made up for."""
    done = printed("--systemd", "--at", "04:05")
    units = _units(done.out)
    assert list(units) == ["kling-mirror.service", "kling-mirror.timer"]
    timer = dict(_settings(units["kling-mirror.timer"]))
    assert timer["OnCalendar"] == "*-*-* 04:05:00"
    assert timer["Persistent"] == "true"
    assert timer["RandomizedDelaySec"]
    service = dict(_settings(units["kling-mirror.service"]))
    assert (service["Type"], service["NotifyAccess"]) == ("oneshot", "main")
    assert service["IOSchedulingClass"] == "idle"
    assert service["ExecStart"].startswith(":/"), "systemd would put in a variable for `$HOME`"
    assert "enable --now kling-mirror.timer" in done.err


def test_the_sandbox_never_locks_a_run_in(printed: Print, home: Path, odd: Path) -> None:
    """Only where all that a run writes to is known and there, is the rest read-only to it."""
    state = home / ".local/state/kling-mirror"

    def sandbox(**environ: str) -> dict[str, str]:
        env = {f"KLING_MIRROR_{name.upper()}": value for name, value in environ.items()}
        units = _units(printed("-q", "--systemd", env=env).out)
        return dict(_settings(units["kling-mirror.service"]))

    assert sandbox()["ProtectSystem"] == "full"
    (odd / "mirror").mkdir()
    state.mkdir(parents=True)
    found = sandbox(log_file=str(home / "log"))
    assert found["ProtectSystem"] == "strict"
    for folder in (state, home):
        assert f" -{folder}" in found["ReadWritePaths"]
    for more in ({"on_finish": "true"}, {"token_command": "true"}, {"log_file": "/none/log"}):
        assert "ReadWritePaths" not in sandbox(**more)


@pytest.fixture
def systemd_analyze() -> str:
    """Debian's `systemd-analyze`."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("not tried with systemd-analyze: it is not here")
    return found


def test_systemd_accepts_it(
    printed: Print, home: Path, odd: Path, tmp_path: Path, systemd_analyze: str
) -> None:
    """`systemd-analyze verify` has nothing to say of either file, sandbox and all."""
    (odd / "mirror").mkdir()
    (home / ".local/state/kling-mirror").mkdir(parents=True)
    units = _units(printed("-q", "--systemd").out)
    assert "ProtectSystem=strict" in units["kling-mirror.service"]
    folder = tmp_path / "units"
    folder.mkdir()
    for name, text in units.items():
        (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [systemd_analyze, "verify", *(folder / name for name in units)],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.decode()) == (0, b"", "")


def _understood(units: Mapping[str, str], unit: str) -> list[str]:
    """What a real systemd says of a unit, as a user's manager that is only to try itself."""
    manager = Path("/lib/systemd/systemd")
    if not manager.exists() or os.geteuid() != 0:
        pytest.skip("not tried with systemd: it is not here, or there is no other user to be")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.chown(folder, "nobody")
        place = folder / ".config/systemd/user"
        place.mkdir(parents=True)
        for each, text in units.items():
            (place / each).write_text(text, encoding="utf-8")
        done = subprocess.run(
            [manager, "--user", "--test", f"--unit={unit}"],
            env={"HOME": name, "XDG_RUNTIME_DIR": name, "PATH": "/usr/bin:/bin"},
            user="nobody",  # it refuses to be tried as root
            capture_output=True,
            check=False,
        )
    if done.returncode:
        pytest.skip(f"not tried with systemd: it cannot run here ({done.stderr.decode().strip()})")
    return [line.strip() for line in done.stdout.decode().splitlines()]


def _words(lines: Sequence[str]) -> list[str]:
    """The words of the command line that systemd would run, without the program."""
    (words,) = (line for line in lines if "kling-mirror sync" in line)
    quoted = words.partition("Command Line: ")[2]  # for a shell
    shell = subprocess.run(
        [_SHELL, "-c", f"printf '%s\\n' {quoted}"], capture_output=True, check=True
    )
    return shell.stdout.decode().splitlines()[1:]


def test_systemd_understands_it(printed: Print, home: Path, odd: Path, config: Path) -> None:
    """A real systemd reads the very words and folders that were meant."""
    (odd / "mirror").mkdir()
    state = home / ".local/state/kling-mirror"
    state.mkdir(parents=True)
    lines = _understood(_units(printed("-q", "--systemd").out), "kling-mirror.service")
    (paths,) = (line for line in lines if line.startswith("ReadWritePaths: "))
    assert paths == f"ReadWritePaths: -{odd / 'mirror'} -{state}"
    assert _words(lines) == ["sync", f"--config={config}"]


def test_systemd_understands_an_instance(printed: Print, config: Path) -> None:
    """The instance of an account is a run for that account."""
    email = "me+x@ex-ample.com"
    done = printed("--systemd", f"--email={email}", "--email=b@x")
    (enable,) = (line for line in done.err.splitlines() if "enable --now" in line)
    timer = shlex.split(enable.partition("--now ")[2])[0]
    lines = _understood(_units(done.out), timer.replace(".timer", ".service"))
    assert _words(lines) == ["sync", f"--config={config}", f"--email={email}"]


def test_the_documented_service_is_accepted(tmp_path: Path, systemd_analyze: str) -> None:
    """The unit for `sync --every` in the documents is one that systemd takes."""
    text = Path(__file__).parents[2].joinpath("docs/reference.md").read_text(encoding="utf-8")
    (unit,) = re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    assert "sync --every 24h" in unit
    path = tmp_path / "kling.service"
    path.write_text(unit.replace("/usr/local/bin/kling-mirror", "/bin/true"))
    done = subprocess.run([systemd_analyze, "verify", path], capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_an_instance_for_each_account(printed: Print, tmp_path: Path, systemd_analyze: str) -> None:
    """One pair of units for all accounts, which systemd accepts; a timer of its own for each."""
    emails = ["me+x@ex-ample.com", ".b@c"]
    done = printed("--systemd", "--at", "4:05", *(f"--email={email}" for email in emails))
    units = _units(done.out)
    assert list(units) == ["kling-mirror@.service", "kling-mirror@.timer"]
    service = dict(_settings(units["kling-mirror@.service"]))
    assert service["SuccessExitStatus"] == "143", "11 is tried again: another account has the lock"
    words = service["ExecStart"]
    assert words.endswith(' "--email=%I"')
    assert words.count("--email") == 1
    (enable,) = (line for line in done.err.splitlines() if "enable --now" in line)
    timers = shlex.split(enable.partition("--now ")[2])
    escaped = subprocess.run(["systemd-escape", *emails], capture_output=True, check=True)  # noqa: S607
    names = escaped.stdout.decode().split()
    assert timers == [f"kling-mirror@{name}.timer" for name in names]
    folder = tmp_path / "units"
    folder.mkdir()
    for name, text in units.items():
        (folder / name.replace("@", f"@{names[0]}")).write_text(text, encoding="utf-8")
    verified = subprocess.run(
        [systemd_analyze, "verify", *folder.iterdir()], capture_output=True, check=False
    )
    assert (verified.returncode, verified.stderr.decode()) == (0, "")


@posix
def test_systemd_tries_again_what_may_go_better(printed: Print) -> None:
    """A run is repeated unless its exit code calls for somebody, and not without an end."""
    service = dict(_settings(_units(printed("-q", "--systemd").out)["kling-mirror.service"]))
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"].split() == ["1", "2", "4", "5", "6", "8"]
    assert service["SuccessExitStatus"].split() == ["143", "11"]
    assert int(service["StartLimitBurst"]) < 5


@posix
def test_the_units_are_put_in_their_places(
    printed: Print, environ: Mapping[str, str], home: Path
) -> None:
    """The commands of the advice, as they stand there, make two files of what is printed."""
    done = printed("--systemd")
    steps = [line for line in done.err.splitlines() if "mkdir" in line or "awk" in line]
    script = "\n".join(steps).replace("/etc/systemd/system", str(home / "units"))
    if os.geteuid() == 0:  # the pieces are meant for /etc: nothing is written there
        script = script.replace("substr($0,3)", f'"{home}/units/" substr($0, 23)')
    subprocess.run([_SHELL, "-ec", script], env=environ, check=True)
    units = home / ("units" if os.geteuid() == 0 else ".config/systemd/user")
    for name, text in _units(done.out).items():
        assert (units / name).read_text(encoding="utf-8") == text


# launchd.


def test_a_property_list_for_launchd(printed: Print, config: Path, home: Path) -> None:
    """The words as they are, the time, and a file for what the run says."""
    done = printed("--launchd", "--at", "05:06")
    agent = plistlib.loads(done.out.encode())
    words = agent["ProgramArguments"]
    assert _is_this_program(words)
    assert words[-2:] == ["sync", f"--config={config}"]
    assert agent["StartCalendarInterval"] == {"Hour": 5, "Minute": 6}
    assert agent["StandardErrorPath"] == str(home / "Library/Logs/kling-mirror.log")
    assert "launchctl bootstrap" in done.err


# Windows.

_ORDER = {
    "Task": ["RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"],
    "CalendarTrigger": ["StartBoundary", "RandomDelay", "ScheduleByDay"],
    "Principal": ["LogonType", "RunLevel"],
    "Exec": ["Command", "Arguments"],
}
"""Of the elements whose order the Task Scheduler's schema lays down, or its own exports keep."""


def test_a_task_for_windows(printed: Print, config: Path) -> None:
    """XML in ASCII with no word on its encoding, in the schema's order, quoted as Windows does."""
    done = printed("--windows", "--at", "05:06")
    assert done.out.isascii()
    assert not done.out.startswith("<?xml")
    task = ET.fromstring(done.out)  # noqa: S314 - our own
    for element in task.iter():
        name = element.tag.removeprefix(_NAMESPACE)
        assert name != element.tag
        if name in _ORDER:
            assert [child.tag.removeprefix(_NAMESPACE) for child in element] == _ORDER[name]

    def text(path: str) -> str:
        return task.findtext(path.replace("/", "/" + _NAMESPACE), "")

    assert text("./Triggers/CalendarTrigger/StartBoundary").endswith("T05:06:00")
    assert text("./Settings/ExecutionTimeLimit") == "PT0S"
    assert text("./Settings/MultipleInstancesPolicy") == "IgnoreNew"
    command, arguments = (text(f"./Actions/Exec/{name}") for name in ("Command", "Arguments"))
    assert Path(command).is_absolute()
    assert arguments.endswith(subprocess.list2cmdline(["sync", f"--config={config}"]))
    for boolean in ("StartWhenAvailable", "RunOnlyIfNetworkAvailable"):
        assert text(f"./Settings/{boolean}") == "true"


# What a job would lack.


def test_what_stays_behind_is_reported(program: RunProgram, tmp_path: Path) -> None:
    """The job does not have the variables of this shell, nor a token that is in no file."""
    env = {**ACCESS, "KLING_MIRROR_JOBS": "3"}
    done = program("schedule", "--dest", "mirror", env=env, cwd=tmp_path)
    assert done.code == 0
    assert f"--dest={tmp_path / 'mirror'}" in done.out
    assert "only in this shell: KLING_MIRROR_TOKEN, KLING_MIRROR_JOBS" in done.err
    assert "the job has no API token" in done.err
    assert TOKEN not in done.out + done.err


def test_nothing_to_schedule(program: RunProgram) -> None:
    """Without a folder there is nothing to run; the error says how to begin."""
    done = program("schedule")
    assert (done.code, done.out) == (2, "")
    assert "kling-mirror init" in done.err


@posix
def test_what_no_schedule_can_hold(program: RunProgram, tmp_path: Path) -> None:
    """A line break in a path, or more words than cron has room for, is refused."""
    for name, said in (("a\nb", "control characters"), ("x" * 1000, "too long for cron")):
        done = program("schedule", "--dest", tmp_path / name)
        assert (done.code, done.out) == (2, "")
        assert said in done.err


@pytest.mark.parametrize("text", ["24:00", "3", "03:60", "noon", ""])
def test_a_time_that_is_none(program: RunProgram, text: str) -> None:
    """It is a usage error that shows how a time is written."""
    done = program("schedule", "--dest", "mirror", "--at", text)
    assert (done.code, done.out) == (2, "")
    assert "03:17" in done.err
