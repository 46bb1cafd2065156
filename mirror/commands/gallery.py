"""`gallery`: write the offline page, by hand or after a command that changed the mirror."""

import argparse
import sys

from mirror.commands.opening import effective_settings, load_manifest, open_store
from mirror.commands.registry import Command
from mirror.errors import ExitCode, MirrorError
from mirror.settings import Settings
from mirror.storage.local import Store
from mirror.text import complain


def _run(arguments: argparse.Namespace) -> int:
    from mirror import gallery  # noqa: PLC0415 - see refresh_gallery

    store = open_store(effective_settings(arguments))
    with store.locked():
        page = gallery.write(store, load_manifest(store))
    if arguments.verbosity >= 0:
        sys.stderr.write(f"The gallery is written; open it in a browser:\n  {page.as_uri()}\n")
    return ExitCode.COMPLETE


def refresh_gallery(settings: Settings) -> None:
    """Write the page anew if the settings ask for one.

    The exit code is about the mirror alone: a page that could not be written is a warning, and the
    next run tries again.
    """
    if not settings.gallery or settings.dest is None:
        return
    from mirror import gallery  # noqa: PLC0415 - jinja2, for those who have a gallery

    store = Store(settings.dest.absolute())
    try:
        with store.locked():
            gallery.write(store, load_manifest(store))
    except MirrorError as error:
        what = f"the gallery was not written: {error.what}"
        complain(MirrorError(what, where=error.where, hint=error.hint), stream=sys.stderr)


COMMAND = Command(_run, settings=("dest",))
