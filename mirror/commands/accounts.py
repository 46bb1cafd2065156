"""`accounts`: list the Kling accounts of the subscription, one a line or as JSON."""

import argparse
import sys

from mirror import config
from mirror.commands import flags
from mirror.commands.opening import effective_settings
from mirror.commands.output import print_json
from mirror.commands.process import stoppable
from mirror.commands.registry import Command
from mirror.errors import ExitCode
from mirror.jobs.accounts import accounts
from mirror.text import printable


def _add_flags(parser: argparse.ArgumentParser) -> None:
    flags.add_json(parser, "one JSON array of emails")


def _run(arguments: argparse.Namespace) -> int:
    settings = effective_settings(arguments)
    with stoppable() as stop:
        emails = accounts(settings, config.read_token(settings), stop=stop)
    if arguments.json:
        print_json(emails)
    else:
        sys.stdout.write("".join(f"{printable(email)}\n" for email in emails))
    return ExitCode.COMPLETE


COMMAND = Command(
    _run, is_stoppable=True, settings=("api", "token", "requests"), add_flags=_add_flags
)
