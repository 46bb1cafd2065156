"""The console of a command that works on a mirror for a while."""

import argparse
import sys

from mirror.report.console import Console
from mirror.settings import Settings


def open_console(
    settings: Settings, arguments: argparse.Namespace, *, summarizes: bool = False
) -> Console:
    """The console on stderr, as `--progress`, `-v`, `-q` and `--dry-run` have it.

    Args:
        settings: the effective ones.
        arguments: of the command line.
        summarizes: whether `Console.summarize` will be called.
    """
    is_terminal = sys.stderr.isatty()
    return Console(
        bar=settings.progress == "always" or (settings.progress == "auto" and is_terminal),
        news_only=not is_terminal,
        verbosity=arguments.verbosity,
        at_once=settings.jobs,
        defers_failures=summarizes and not is_terminal and arguments.verbosity == 0,
        shows_plan=getattr(arguments, "dry_run", False),
    )
