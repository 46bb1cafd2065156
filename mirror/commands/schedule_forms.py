"""A nightly run as a job for cron, systemd, launchd or Windows, with the way to install it.

Each form has its own quoting rules; there is one function for each.
"""

import datetime as dt
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from mirror.errors import ExitCode, Then, UsageError

Form = Literal["cron", "systemd", "launchd", "windows"]

_NAME = "kling-mirror"
_LONGEST_CRON_COMMAND = 998
"""Bytes: cron has room for 1000."""
_PLAIN_FOR_SYSTEMD = re.compile(r"[\w./=:@+,-]+")
_FEW_TRIES = "StartLimitIntervalSec=12h\nStartLimitBurst=3\n"
_MANY_TRIES = "StartLimitIntervalSec=20h\nStartLimitBurst=60\n"
"""Accounts that share a mirror wait for each other: only one run at a time can have its lock."""
_TASK = "http://schemas.microsoft.com/windows/2004/02/mit/task"


class Job(NamedTuple):
    """The job to run every night.

    Attributes:
        at: the local time of day.
        program: the words that start this program, by absolute paths.
        options: the options of `sync` that name the config in use and the flags that were given.
        home: the user's home folder.
        is_root: whether the user is root: systemd then has another folder for units.
        writes: the folders that a run writes to, where these are known and all there; else none.
        emails: the accounts that were given as flags; under systemd each gets an instance.
    """

    at: dt.time
    program: Sequence[str]
    options: Sequence[str]
    home: Path
    is_root: bool
    writes: Sequence[Path]
    emails: Sequence[str] = ()

    @property
    def sync(self) -> list[str]:
        """The command line of the run, as words."""
        return [*self.program, "sync", *self.options]

    def again(self, form: Form) -> str:
        """The shell command that prints the same text again, without advice."""
        asked = ["-q", "schedule", f"--{form}", f"--at={self.at:%H:%M}"]
        return shlex.join([*self.program, *asked, *self.options])


def render(form: Form, job: Job) -> tuple[str, str]:
    """Make the text of the job, and the advice how to install it.

    Raises:
        UsageError: this form cannot hold the command line.
    """
    if form == "cron":
        return _cron(job), _CRON_ADVICE.format(again=job.again(form))
    if form == "systemd":
        folder = _unit_folder(job)
        scope = "" if job.is_root else " --user"
        advice = _SYSTEMD_ADVICE.format(
            folder=shlex.quote(str(folder)),
            again=job.again(form),
            scope=scope,
            timers=shlex.join(timers(job)),
        )
        return _systemd(job, folder), advice if job.is_root else advice + _LINGER_ADVICE
    if form == "launchd":
        place = job.home / "Library/LaunchAgents" / f"{_NAME}.plist"
        quoted = shlex.quote(str(place))
        return _launchd(job), _LAUNCHD_ADVICE.format(place=quoted, again=job.again(form))
    return _windows(job), _WINDOWS_ADVICE


def _cron(job: Job) -> str:
    """A line for `crontab -e`."""
    command = " ".join(map(_for_cron, job.sync))
    if len(command.encode()) > _LONGEST_CRON_COMMAND:
        raise UsageError(
            "the command line is too long for cron", hint="put its settings into a config file"
        )
    return f"{job.at.minute} {job.at.hour} * * *  {command}\n"


def _for_cron(word: str) -> str:
    r"""Quote a word for the shell, so that no cron changes it on the way there.

    crontab(5): an unescaped `%` ends the command, `\%` is one. Some crons take the backslash away,
    with others the shell must, so it stands outside of quotes. Two backslashes may become one, so
    there are never two together.
    """
    quoted = r"\%".join(shlex.quote(part) if part else "" for part in word.split("%"))
    return re.sub(r"(?<=\\)(?=\\)", "''", quoted)


def timers(job: Job) -> list[str]:
    """The systemd timers to enable: one, or one for each account."""
    if not job.emails:
        return [f"{_NAME}.timer"]
    return [f"{_NAME}@{_as_instance(email)}.timer" for email in job.emails]


def _as_instance(text: str) -> str:
    r"""The text as a part of a unit's name, as `systemd-escape` writes it: `a\x40b`."""
    kept = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")
    escaped = "".join(chr(c) if c in kept else f"\\x{c:02x}" for c in text.encode())
    return f"\\x2e{escaped[1:]}" if escaped.startswith(".") else escaped


def _unit_folder(job: Job) -> Path:
    return Path("/etc/systemd/system") if job.is_root else job.home / ".config/systemd/user"


def _systemd(job: Job, folder: Path) -> str:
    """A service and a timer, each under its file name, as `systemctl cat` prints them.

    A oneshot service has no time limit, and systemd notices how each run ends.
    """
    words, name, whose = " ".join(map(_for_systemd, job.sync)), _NAME, ""
    as_is = ":" if "$" in words else ""  # systemd.service(5): do not expand variables
    success, limit = f"{ExitCode.SIGTERM:d} {ExitCode.LOCKED:d}", _FEW_TRIES
    if job.emails:
        others = [word for word in job.options if not word.startswith("--email=")]
        words = " ".join(map(_for_systemd, [*job.program, "sync", *others])) + ' "--email=%I"'
        name, whose, as_is = f"{_NAME}@", " by %I", ":"
        success, limit = f"{ExitCode.SIGTERM:d}", _MANY_TRIES
    network = "Wants=network-online.target\nAfter=network-online.target\n" if job.is_root else ""
    hopeless = " ".join(f"{code:d}" for code in sorted(ExitCode) if code.then is Then.CALL)
    return f"""\
# {folder}/{name}.service
[Unit]
Description=Mirror of what was uploaded to Kling{whose}
{network}{limit}
[Service]
Type=oneshot
NotifyAccess=main
ExecStart={as_is}{words}
SuccessExitStatus={success}
Restart=on-failure
RestartPreventExitStatus={hopeless}
RestartSec=15min
Nice=10
IOSchedulingClass=idle
{_sandbox(job.writes)}
# {folder}/{name}.timer
[Unit]
Description=Nightly mirror of what was uploaded to Kling{whose}

[Timer]
OnCalendar=*-*-* {job.at:%H:%M}:00
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target
"""


def _sandbox(writes: Sequence[Path]) -> str:
    if not writes:
        return "ProtectSystem=full\n"
    paths = " ".join(_for_systemd(f"-{path}") for path in writes)
    return f"""\
NoNewPrivileges=yes
ProtectSystem=strict
# What a run writes to. Print this file again after you change dest, log_file, on_finish or
# token_command.
ReadWritePaths={paths}
"""


def _for_systemd(word: str) -> str:
    """The word by the rules of systemd.syntax(7) and of its specifiers."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if _PLAIN_FOR_SYSTEMD.fullmatch(escaped) else f'"{escaped}"'


def _launchd(job: Job) -> str:
    """A property list for the user's launchd; stderr of the run goes to a file of its own."""
    import plistlib  # noqa: PLC0415 - for this form alone

    agent = {
        "Label": _NAME,
        "ProgramArguments": job.sync,
        "StartCalendarInterval": {"Hour": job.at.hour, "Minute": job.at.minute},
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "StandardErrorPath": str(job.home / "Library/Logs" / f"{_NAME}.log"),
    }
    return plistlib.dumps(agent, sort_keys=False).decode()


def _windows(job: Job) -> str:
    """A task for Windows' Task Scheduler, in ASCII without a declaration: any encoding reads it.

    The order of the elements is the schema's ([MS-TSCH] 2.5).
    """
    import subprocess  # noqa: PLC0415 - for this form alone
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - it is written, not read

    task = ET.Element("Task", {"version": "1.2", "xmlns": _TASK})
    information = ET.SubElement(task, "RegistrationInfo")
    ET.SubElement(information, "Description").text = "Mirror of what was uploaded to Kling"
    trigger = ET.SubElement(ET.SubElement(task, "Triggers"), "CalendarTrigger")
    ET.SubElement(trigger, "StartBoundary").text = f"2025-01-01T{job.at:%H:%M}:00"
    ET.SubElement(trigger, "RandomDelay").text = "PT10M"
    ET.SubElement(ET.SubElement(trigger, "ScheduleByDay"), "DaysInterval").text = "1"
    principal = ET.SubElement(ET.SubElement(task, "Principals"), "Principal", {"id": "Author"})
    ET.SubElement(principal, "LogonType").text = "InteractiveToken"
    ET.SubElement(principal, "RunLevel").text = "LeastPrivilege"
    rules = ET.SubElement(task, "Settings")
    ET.SubElement(rules, "MultipleInstancesPolicy").text = "IgnoreNew"
    ET.SubElement(rules, "StartWhenAvailable").text = "true"
    ET.SubElement(rules, "RunOnlyIfNetworkAvailable").text = "true"
    ET.SubElement(rules, "ExecutionTimeLimit").text = "PT0S"
    actions = ET.SubElement(task, "Actions", {"Context": "Author"})
    action = ET.SubElement(actions, "Exec")
    program, *arguments = job.sync
    ET.SubElement(action, "Command").text = program
    ET.SubElement(action, "Arguments").text = subprocess.list2cmdline(arguments)
    ET.indent(task)
    text: bytes = ET.tostring(task, encoding="us-ascii", xml_declaration=False)
    return text.decode() + "\n"


_CRON_ADVICE = """\
Add this line with `crontab -e`, or with:
  (crontab -l 2>/dev/null; {again}) | crontab -
"""
_SYSTEMD_ADVICE = """\
Two files, each below its name. To install them and start the timer:
  mkdir -p {folder}
  {again} | awk '/^# \\//{{f=substr($0,3)}} {{print > f}}'
  systemctl{scope} daemon-reload && systemctl{scope} enable --now {timers}
"""
_LINGER_ADVICE = """\
  loginctl enable-linger      # to run it also while you are not logged in
"""
_LAUNCHD_ADVICE = """\
To install and load it:
  {again} > {place}
  launchctl bootstrap gui/$(id -u) {place}
"""
_WINDOWS_ADVICE = """\
Save this as kling-mirror.xml, and register it:
  schtasks /create /tn kling-mirror /xml kling-mirror.xml
"""
