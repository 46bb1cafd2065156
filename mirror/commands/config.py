"""`config`: show the effective settings, and where each comes from."""

import argparse
import sys

from mirror import config
from mirror.commands.opening import effective_settings
from mirror.commands.registry import Command
from mirror.errors import ExitCode
from mirror.settings import GROUPS


def _run(arguments: argparse.Namespace) -> int:
    sys.stdout.write(config.explain(effective_settings(arguments)))
    return ExitCode.COMPLETE


COMMAND = Command(_run, settings=(*GROUPS,))
