"""`status`: show what is mirrored, what failed and what exists only here."""

import argparse
import datetime as dt
import sys

from mirror.commands import flags
from mirror.commands.opening import effective_settings, read_root
from mirror.commands.output import columns, print_json, print_schema
from mirror.commands.registry import Command
from mirror.errors import ExitCode
from mirror.jobs.status import Status, status, why_unfit
from mirror.report.colours import coloured
from mirror.report.status_text import in_words
from mirror.text import printable, wrapped

_MORE = """

The first line says whether you are safe. A run counts as complete only if it mirrored all that the
config asks for: one that was limited further, for example by --content-type, does not. With -v
every failed asset is named."""


def _add_flags(parser: argparse.ArgumentParser) -> None:
    flags.add_json(parser)
    flags.add_schema(parser)
    parser.add_argument(
        "--max-age",
        type=flags.duration_s,
        metavar="AGE",
        help="exit 1 if the last complete run is older than AGE (for example 26h, 90m or 2d), or "
        "if recorded files are missing or damaged",
    )


def _run(arguments: argparse.Namespace) -> int:
    if arguments.schema:
        return print_schema(Status, command="status")
    settings = effective_settings(arguments)
    state = status(read_root(settings), wanted=settings.scope, reserve=settings.min_free)
    if arguments.json:
        print_json(state)
    elif arguments.verbosity >= 0:
        _print(state, arguments)
    if arguments.max_age is not None and (why := why_unfit(state, arguments.max_age)):
        last = state.last_complete or "never"
        sys.stderr.write(f"kling-mirror: {why}\n  {state.dest}\n  last complete: {last}\n")
        return ExitCode.UNEXPECTED
    return ExitCode.COMPLETE


def _print(state: Status, arguments: argparse.Namespace) -> None:
    """Print the state in words, wrapped to the width of a terminal."""
    lines = in_words(
        state,
        now=dt.datetime.now().astimezone(),
        max_age_s=arguments.max_age,
        all_failures=arguments.verbosity > 0,
    )
    width = columns()
    for line in map(printable, lines):
        shown = line if width is None else wrapped(line, width)
        sys.stdout.write(coloured(shown, sys.stdout) + "\n")


COMMAND = Command(_run, settings=("mirror",), add_flags=_add_flags, more=_MORE)
