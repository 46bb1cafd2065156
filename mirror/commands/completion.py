"""`completion`: print a completion script, which shtab makes from the parser itself."""

import argparse
import sys

import shtab

from mirror.commands.parser import actions_of, full_parser
from mirror.commands.registry import Command
from mirror.errors import ExitCode
from mirror.settings import BY_NAME

SHELLS = ("bash", "zsh", "fish")
_PATHS = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print a script that lets your shell complete commands and flags. Save it as:\n\n"
        "  bash  ~/.local/share/bash-completion/completions/kling-mirror\n"
        "  zsh   a file _kling-mirror in a folder of $fpath\n"
        "  fish  ~/.config/fish/completions/kling-mirror.fish"
    )
    parser.add_argument("shell", choices=SHELLS, help="your shell")


def _run(arguments: argparse.Namespace) -> int:
    sys.stdout.write(script(arguments.shell))
    return ExitCode.COMPLETE


def script(shell: str) -> str:
    """Make the script that the shell reads at its start.

    Args:
        shell: one of `SHELLS`.
    """
    parser, commands = full_parser()
    for each in (parser, *commands.values()):
        for action in actions_of(each):
            _add_values(action)
    return shtab.complete(parser, shell=shell)


def _add_values(action: argparse.Action) -> None:
    """Add the values that may follow a flag: files, folders, or one of a few words.

    The parser itself does not check these words: settings refuse others in one way, wherever they
    come from.
    """
    if isinstance(action.metavar, str) and action.metavar in _PATHS:
        action.complete = _PATHS[action.metavar]  # type: ignore[attr-defined]  # shtab reads it
    elif action.dest in BY_NAME and BY_NAME[action.dest].choices and action.nargs is None:
        action.choices = BY_NAME[action.dest].choices


COMMAND = Command(_run, add_flags=_add_flags)
