"""What most commands begin with: the effective settings, the mirror's root, its manifest."""

import argparse
import os
from pathlib import Path

from mirror import config
from mirror.commands.flags import given
from mirror.settings import Settings
from mirror.storage.local import Store
from mirror.storage.manifest import Manifest


def effective_settings(arguments: argparse.Namespace) -> Settings:
    """Read the settings from flags, environment and config file.

    Raises:
        UsageError: one of them is wrong.
    """
    path = None if arguments.config is None else Path(arguments.config)
    return config.load(given(arguments), environ=os.environ, config_path=path)


def open_store(settings: Settings) -> Store:
    """The mirror that a command is about.

    Raises:
        UsageError: none is named, or there is none.
    """
    store = Store(config.require_dest(settings), min_free=settings.min_free)
    store.require_prepared()
    return store


def load_manifest(store: Store) -> Manifest:
    """The manifest of a mirror.

    Raises:
        ManifestError: it is missing, damaged or newer than this program.
    """
    manifest = Manifest(store.dest, store.journal)
    manifest.load()
    return manifest
