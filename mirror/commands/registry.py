"""The commands: what `--help` says of each, and the module that holds the rest of it.

A module is loaded when its command is run, so that no command waits for another's imports.
"""

import importlib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import NamedTuple


class Command(NamedTuple):
    """One command. Its module holds it under the name `COMMAND`.

    Attributes:
        run: carries the command out and returns the exit code.
        settings: the groups of settings that are flags of the command.
        add_flags: adds the flags that are no settings.
        more: further paragraphs for the command's own `--help`.
        is_stoppable: whether it stops in its own way on a signal, from its first moment on.
    """

    run: Callable[[Namespace], int]
    settings: tuple[str, ...] = ()
    add_flags: Callable[[ArgumentParser], None] = lambda _: None
    more: str = ""
    is_stoppable: bool = False


class Row(NamedTuple):
    """A line of the list of commands.

    Attributes:
        module: the name of its module in this package.
        text: what the command does.
    """

    module: str
    text: str


COMMANDS = {
    "sync": Row("sync", "mirror all that you uploaded; fetch only what is new or changed"),
    "import": Row("import_", "adopt files that you already have, if they are proved right"),
    "demo": Row("demo", "sync a small library from an embedded service, offline"),
    "init": Row("init", "set up: ask for folder and token, write a config"),
    "status": Row("status", "show what is mirrored, what failed and what exists only here"),
    "list": Row("list", "list what is mirrored"),
    "verify": Row("verify", "check every file against its recorded hash"),
    "prune": Row("prune", "move what is gone from Kling or superseded to the trash"),
    "accounts": Row("accounts", "list the Kling accounts of your subscription"),
    "gallery": Row("gallery", "write an offline page to browse the mirror"),
    "schedule": Row("schedule", "print or install a job that runs `sync` every night"),
    "config": Row("config", "show the settings in effect, and where each comes from"),
    "completion": Row("completion", "print a script that completes commands in your shell"),
    "man": Row("man", "print the manual page: `kling-mirror man | man -l -` shows it"),
}


def load(name: str) -> Command:
    """Load a command by its name."""
    module = importlib.import_module(f"mirror.commands.{COMMANDS[name].module}")
    command: Command = module.COMMAND
    return command
