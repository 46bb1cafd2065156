"""`schedule --install`: give the job to cron or systemd, and change nothing else.

Of a crontab, all other lines stay. Of units, only such as `schedule` has written are replaced.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mirror.commands.schedule_forms import Form, Job, timers
from mirror.errors import MirrorError, UsageError

_UNIT = re.compile(r"^# (/.*)\n", re.MULTILINE)
_NO_CRONTAB = ("no crontab for", "can't open")
"""What cron says to a user without a crontab: Debian's and others', busybox's."""


def install(form: Form, job: Job, text: str) -> str:
    """Install the job that `schedule` would print.

    Args:
        form: of the text.
        job: the job.
        text: what would be printed.

    Returns:
        What was done, and how to undo it.

    Raises:
        UsageError: this form cannot be installed, or it would replace what is not ours.
        MirrorError: cron or systemd refuses.
    """
    installers: Mapping[Form, Callable[[Job, str], str]] = {"cron": _cron, "systemd": _systemd}
    if form not in installers:
        raise UsageError(
            "--install knows cron and systemd only",
            hint=f"run `kling-mirror schedule --{form}`: it says how to install what it prints",
        )
    return installers[form](job, text)


def _cron(_: Job, line: str) -> str:
    """Put the line into the user's crontab, in the place of one with the same command."""
    crontab = _program("crontab")
    listed = _call([crontab, "-l"])
    if listed.returncode and not any(words in listed.stderr for words in _NO_CRONTAB):
        raise _refused("crontab -l", listed)
    before = listed.stdout if not listed.returncode else ""
    after = _with_line(before, line)
    if after != before:
        written = _call([crontab, "-"], text=after)
        if written.returncode:
            raise _refused("crontab -", written)
    others = [old for old in after.splitlines(keepends=True) if " sync --" in _command(old)]
    others = [f"  {old}" for old in others if "kling-mirror" in old and old != line]
    also = f"It also has, from before:\n{''.join(others)}" if others else ""
    return (
        f"your crontab has the line:\n  {line}{also}"
        "To undo it, delete the line with `crontab -e`.\n"
    )


def _with_line(table: str, line: str) -> str:
    lines = table.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    same = [number for number, old in enumerate(lines) if _command(old) == _command(line)]
    if not same:
        return "".join([*lines, line])
    kept = [old for number, old in enumerate(lines) if number not in same[1:]]
    kept[same[0]] = line
    return "".join(kept)


def _command(line: str) -> str:
    """The command of a line of a crontab; "" for any other line."""
    fields = line.split(None, 1 if line.startswith("@") else 5)
    is_job = line[:1].isdigit() or line[:1] in "*@"
    return fields[-1].strip() if is_job and len(fields) > 1 else ""


def _systemd(job: Job, text: str) -> str:
    """Write the units, and start the timers."""
    systemctl = [_program("systemctl"), *([] if job.is_root else ["--user"])]
    if (answer := _call([*systemctl, "show-environment"])).returncode:
        raise _refused(" ".join(["systemctl", *systemctl[1:]]), answer, hint="try it with --cron")
    units = _units(text)
    for path in units:
        if path.exists() and not path.read_text("utf-8", "replace").startswith(f"# {path}\n"):
            raise UsageError(
                "there is a unit of this name that `schedule` has not written",
                where=str(path),
                hint="move it away, or install what `schedule --systemd` prints by hand",
            )
    for path, unit in units.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(unit, encoding="utf-8")
    enabled = timers(job)
    for words in (["daemon-reload"], ["enable", *enabled], ["restart", *enabled]):
        if (done := _call([*systemctl, *words])).returncode:
            raise _refused(" ".join(["systemctl", *systemctl[1:], *words]), done)
    undo = " ".join(["systemctl", *systemctl[1:], "disable --now", *map(repr, enabled)])
    linger = (
        ""
        if job.is_root
        else "To run it also while you are not logged in: loginctl enable-linger\n"
    )
    return f"systemd runs {' '.join(enabled)}\n{linger}To undo it: {undo}\n"


def _units(text: str) -> dict[Path, str]:
    """The units that are printed, each with its file."""
    _, *pieces = _UNIT.split(text)
    paths = pieces[0::2]
    return {Path(path): f"# {path}\n{unit}" for path, unit in zip(paths, pieces[1::2], strict=True)}


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UsageError(
            f"there is no `{name}` here",
            hint="try another form: see `kling-mirror schedule --help`",
        )
    return found


def _call(words: Sequence[str], *, text: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a program of the system, in plain English."""
    return subprocess.run(  # noqa: S603 - cron's and systemd's own
        words,
        input=text,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


def _refused(
    command: str, done: "subprocess.CompletedProcess[str]", *, hint: str = ""
) -> MirrorError:
    words = " ".join((done.stderr or done.stdout).split()) or f"exit {done.returncode}"
    return MirrorError(f"the job is not installed: `{command}` failed: {words}", hint=hint)
