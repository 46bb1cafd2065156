"""`sync`: run the main job, and report it to everybody who wants to know."""

import argparse
import sys

from mirror import config
from mirror.commands import flags
from mirror.commands.console import open_console
from mirror.commands.gallery import refresh_gallery
from mirror.commands.opening import effective_settings
from mirror.commands.output import print_json, warn
from mirror.commands.process import allow_open_files, stoppable
from mirror.commands.registry import Command
from mirror.errors import MirrorError, UsageError
from mirror.jobs.result import Result
from mirror.report.watchers import Report, reporting
from mirror.settings import GROUPS, Settings
from mirror.stopping import Stop
from mirror.storage.root import AtEnd, Root
from mirror.text import complain


class _NoToken(argparse.Action):
    """Refuses a token among the arguments, and does not repeat it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(
            "there is no --token: other users see arguments; use --token-file, the environment "
            "(KLING_MIRROR_TOKEN) or the config"
        )


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--token", action=_NoToken, help=argparse.SUPPRESS)
    parser.add_argument(
        "--dry-run", action="store_true", help="print what a run would do, write nothing"
    )
    parser.add_argument(
        "--every",
        type=flags.interval_s,
        metavar="TIME",
        help="stay, and run again this long after the start of each run (for example 24h), until "
        "a signal comes: for containers and services",
    )
    flags.add_json(parser, "the summary as one JSON object")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.every is None:
        with stoppable() as stop:
            return _run_once(arguments, stop)
    if arguments.dry_run:
        raise UsageError("--every and --dry-run exclude each other", hint="leave one of them out")
    from mirror.commands.repeating import repeat  # noqa: PLC0415 - a single run does without
    from mirror.report.systemd import service  # noqa: PLC0415 - as above

    with stoppable() as stop, service():
        return repeat(
            lambda: _run_once(arguments, stop),
            every_s=arguments.every,
            stop=stop,
            is_watched=sys.stderr.isatty() and arguments.verbosity >= 0,
        )


def _run_once(arguments: argparse.Namespace, stop: Stop) -> int:
    settings = effective_settings(arguments)
    config.require_set_up(settings)
    if config.exposes_token(settings):
        sys.stderr.write(
            "kling-mirror: other users of this machine may read the token in the config\n"
            f"  {settings.config_path}\n  chmod 600 it\n"
        )
    return run_sync(settings, arguments, stop)


def run_sync(
    settings: Settings, arguments: argparse.Namespace, stop: Stop, *, at_end: AtEnd | None = None
) -> int:
    """Run once, and report it from before there is a token to the very end."""
    allow_open_files(settings.jobs)
    with reporting(
        settings,
        stop=stop,
        warn=warn,
        with_requests=arguments.verbosity > 1,
        dry_run=arguments.dry_run,
    ) as report:
        try:
            settings = config.with_token(settings)
        except MirrorError:
            stop.check()  # a stop ends the password manager, too
            raise
        report.hide(str(settings.token))
        return _sync_and_print(settings, arguments, stop, report, at_end).exit_code


def _sync_and_print(
    settings: Settings,
    arguments: argparse.Namespace,
    stop: Stop,
    report: Report,
    at_end: AtEnd | None,
) -> Result:
    has_summary = not (arguments.json and arguments.verbosity < 1)
    console = open_console(settings, arguments, summarizes=has_summary)

    def finish(root: Root) -> None:
        console.close()
        refresh_gallery(settings, root, stop=stop)
        if at_end is not None:
            at_end(root)

    try:
        from mirror.jobs.sync import sync as run_job  # noqa: PLC0415 - httpx and libcurl

        result = run_job(
            settings,
            str(settings.token),
            state_folder=config.state_folder(),
            progress=report.beside(console),
            stop=stop,
            dry_run=arguments.dry_run,
            at_end=finish,
        )
    finally:
        console.close()
    report.finished(result)
    if has_summary:
        console.summarize(
            result.summary,
            news=result.has_news,
            dry_run=arguments.dry_run,
            same_failures=not result.has_new_failures,
        )
    for error in result.errors:
        complain(error, stream=sys.stderr)
    if arguments.json:
        print_json(result.summary)
        sys.stdout.flush()  # before pings and hooks, which take time
    return result


COMMAND = Command(_run, is_stoppable=True, settings=(*GROUPS,), add_flags=_add_flags)
