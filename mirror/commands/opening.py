"""The first steps of most commands: read the settings, and open the mirror's root."""

import argparse
import os
from contextlib import AbstractContextManager
from pathlib import Path

from mirror import config
from mirror.commands.flags import given
from mirror.settings import Settings
from mirror.storage.known import KnownRoots
from mirror.storage.root import Root


def effective_settings(arguments: argparse.Namespace) -> Settings:
    """Read the settings from flags, environment and config file.

    Raises:
        UsageError: one of them is wrong.
    """
    path = None if arguments.config is None else Path(arguments.config)
    return config.load(given(arguments), environ=os.environ, config_path=path)


def read_root(settings: Settings) -> Root:
    """Open the mirror that a command is about, only to look at it.

    Raises:
        UsageError: none is named, or there is none.
        ManifestError: its manifest is missing, damaged or newer than this program.
    """
    return Root.read(config.require_dest(settings), known=KnownRoots(config.state_folder()))


def locked_root(settings: Settings, *, load: bool = True) -> AbstractContextManager[Root]:
    """Open the mirror that a command is about, to change it; see `Root.locked`."""
    return Root.locked(
        config.require_dest(settings),
        known=KnownRoots(config.state_folder()),
        min_free=settings.min_free,
        load=load,
    )
