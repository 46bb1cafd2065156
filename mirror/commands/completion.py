"""What lets a shell complete the command line, made of the parser itself by shtab."""

import argparse

import shtab

from mirror.commands.arguments import actions_of, full_parser
from mirror.settings import BY_NAME

_PATHS = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}


def script(shell: str) -> str:
    """The text that the shell is to read at its start.

    Args:
        shell: one of `arguments.SHELLS`.
    """
    parser, commands = full_parser()
    for each in (parser, *commands.values()):
        for action in actions_of(each):
            _tell_values(action)
    return shtab.complete(parser, shell=shell)


def _tell_values(action: argparse.Action) -> None:
    """What may follow a flag: files, folders, or one of a few words.

    The parser itself is not told of the words: settings refuse others in their own way, wherever
    they come from.
    """
    if isinstance(action.metavar, str) and action.metavar in _PATHS:
        action.complete = _PATHS[action.metavar]  # type: ignore[attr-defined]  # shtab reads it
    elif action.dest in BY_NAME and BY_NAME[action.dest].choices and action.nargs is None:
        action.choices = BY_NAME[action.dest].choices
