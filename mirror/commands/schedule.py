"""`schedule`: print or install what starts a `sync` every night."""

import argparse
import contextlib
import datetime as dt
import hashlib
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mirror import config
from mirror.commands.flags import given
from mirror.commands.opening import effective_settings
from mirror.commands.output import warn
from mirror.commands.process import is_root, program
from mirror.commands.registry import Command
from mirror.commands.schedule_forms import Job, render
from mirror.errors import ExitCode, UsageError
from mirror.places import Place
from mirror.settings import ENV_PREFIX, GROUPS, SETTINGS, Settings

_NIGHT_FROM_HOUR = 3  # summer time begins and ends before that, nearly everywhere
_NIGHT_MINUTES = 180
_UNSCHEDULABLE = re.compile("[\0-\x1f\x7f\ud800-\udfff]")


def _add_flags(parser: argparse.ArgumentParser) -> None:
    forms = parser.add_mutually_exclusive_group()
    for form, text in (
        ("cron", "a line for crontab (the default)"),
        ("systemd", "a service and a timer; with --email, an instance for each account"),
        ("launchd", "a property list, for macOS"),
        ("windows", "a task for Windows' Task Scheduler, as XML"),
    ):
        forms.add_argument(
            f"--{form}", dest="form", action="store_const", const=form, default="cron", help=text
        )
    parser.add_argument(
        "--at",
        type=_time_of_day,
        metavar="HH:MM",
        help="the time of day (default: a minute of the night, always the same for this mirror)",
    )
    parser.add_argument(
        "--install",
        action="store_true",
        help="install the job instead of printing it: for cron and systemd",
    )


def _time_of_day(text: str) -> dt.time:
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - the machine's own
    except ValueError:
        raise argparse.ArgumentTypeError("expected a time of day such as 03:17") from None


def _run(arguments: argparse.Namespace) -> int:
    settings = effective_settings(arguments)
    job = Job(
        at=arguments.at or night_time(config.require_dest(settings).absolute()),
        program=program(),
        options=options(settings, given(arguments)),
        home=_home(),
        is_root=is_root(),
        writes=written_folders(settings, config.state_folder()),
        emails=settings.email if "email" in given(arguments) else (),
    )
    piece, advice = render(arguments.form, job)
    if arguments.install:
        return _install(arguments, job, piece, left_behind(settings))
    sys.stdout.write(piece)
    sys.stdout.flush()
    if arguments.verbosity >= 0:
        sys.stderr.write(f"\n{advice}")
        for missing in left_behind(settings):
            warn(missing)
    return ExitCode.COMPLETE


def _install(arguments: argparse.Namespace, job: Job, piece: str, missing: Sequence[str]) -> int:
    """Install a job that would run; nothing is installed that would fail every night."""
    from mirror.commands.installing import install  # noqa: PLC0415 - for this flag alone

    for what in missing:
        raise UsageError(what, hint="nothing was installed")
    done = install(arguments.form, job, piece)
    if arguments.verbosity >= 0:
        sys.stderr.write(done)
    return ExitCode.COMPLETE


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise UsageError("this user has no home folder", hint="set HOME to one") from None


def night_time(dest: Place) -> dt.time:
    """Pick a minute of the night that depends on machine and mirror alone.

    It is the same on each call, and not the same for all users: they would all ask the service at
    once.
    """
    seed = f"{platform.node()}\0{dest}".encode(errors="surrogateescape")
    number = int.from_bytes(hashlib.sha256(seed).digest()[:8])
    hours, minute = divmod(number % _NIGHT_MINUTES, 60)
    return dt.time(_NIGHT_FROM_HOUR + hours, minute)


def options(settings: Settings, flags: Mapping[str, object]) -> list[str]:
    """List the options that make a run the same wherever it is started.

    Args:
        settings: the effective ones.
        flags: the settings that were given as flags, as they were given.

    Raises:
        UsageError: no mirror folder is set, or a text that no schedule can hold.
    """
    config.require_dest(settings)
    words = [f"--config={settings.config_path.absolute()}"] if settings.config_path else []
    for setting in SETTINGS:
        if setting.name not in flags:
            continue
        value = getattr(settings, setting.name)
        if value is True:
            words.append(str(setting.flag))
        elif isinstance(value, tuple):
            words += [f"{setting.flag}={item}" for item in value]
        elif isinstance(value, Path):
            words.append(f"{setting.flag}={value.absolute()}")
        else:
            words.append(f"{setting.flag}={flags[setting.name]}")
    for word in words:
        if _UNSCHEDULABLE.search(word):
            raise UsageError(
                "a schedule can hold only Unicode text without control characters", where=word
            )
    return words


def left_behind(settings: Settings) -> list[str]:
    """List what a run from this shell has, and the scheduled run will not have."""
    variables = [
        setting.env for setting in SETTINGS if settings.sources[setting.name] == setting.env
    ]
    missing = []
    if variables:
        missing.append(
            f"the job does not see what is set only in this shell: {', '.join(variables)}; put it "
            "into the config (`kling-mirror init` writes one)"
        )
    tokens = ("token", "token_file", "token_command")
    if all(settings.sources[name].startswith(("default", ENV_PREFIX)) for name in tokens):
        missing.append(
            "the job has no API token: set token_file in the config, or give --token-file"
        )
    return missing


def written_folders(settings: Settings, state_folder: Path) -> list[Path]:
    """List the folders that a run writes to; none if a command of the user may write anywhere.

    systemd refuses a folder that does not exist yet: then there are none, either.
    """
    if settings.on_finish or settings.token_command or settings.dest is None:
        return []
    dest = [settings.dest.absolute()] if isinstance(settings.dest, Path) else []
    folders = [*dest, state_folder.absolute()]
    if settings.log_file is not None:
        folders.append(settings.log_file.absolute().parent)
    with contextlib.suppress(OSError):  # of a name that is too long
        if all(folder.is_dir() for folder in folders):
            return folders
    return []


COMMAND = Command(
    _run,
    settings=(*GROUPS,),
    add_flags=_add_flags,
    more="\n\nThe forms are those of cron, systemd, launchd and Windows.",
)
