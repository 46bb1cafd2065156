"""The console of a command that works on a mirror for a while."""

import argparse
import sys

from mirror.report.console import Console
from mirror.settings import Settings


def open_console(settings: Settings, arguments: argparse.Namespace) -> Console:
    """The console on stderr, as `--progress`, `-v`, `-q` and `--dry-run` have it."""
    is_terminal = sys.stderr.isatty()
    return Console(
        bar=settings.progress == "always" or (settings.progress == "auto" and is_terminal),
        news_only=not is_terminal,
        verbosity=arguments.verbosity,
        at_once=settings.jobs,
        shows_plan=getattr(arguments, "dry_run", False),
    )
