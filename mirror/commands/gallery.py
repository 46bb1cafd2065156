"""`gallery`: write the offline page, on demand or after a command that changed the mirror."""

import argparse
import sys
from pathlib import Path

from mirror.commands.opening import effective_settings, read_root
from mirror.commands.registry import Command
from mirror.errors import ExitCode, MirrorError
from mirror.settings import Settings
from mirror.stopping import Stop
from mirror.storage.root import Root
from mirror.text import complain


def _run(arguments: argparse.Namespace) -> int:
    from mirror import gallery  # noqa: PLC0415 - see refresh_gallery

    root = read_root(effective_settings(arguments))
    page = gallery.write(root, arguments.output and arguments.output.absolute())
    if arguments.verbosity >= 0:
        sys.stderr.write(f"The gallery is written; open it in a browser:\n  {page}\n")
    return ExitCode.COMPLETE


def refresh_gallery(settings: Settings, root: Root, *, stop: Stop | None = None) -> None:
    """Update the page if the settings ask for one.

    The exit code is about the mirror alone: a page that could not be written is a warning, and the
    next run tries again.
    """
    if not settings.gallery:
        return
    from mirror import gallery  # noqa: PLC0415 - jinja2, for those who have a gallery

    try:
        gallery.write(root, is_stopping=lambda: stop is not None and stop.signum is not None)
    except MirrorError as error:
        what = f"the gallery was not written: {error.what}"
        complain(MirrorError(what, where=error.where, hint=error.hint), stream=sys.stderr)


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="write the page into this folder, for a mirror that cannot be written "
        "(default: gallery in the mirror folder)",
    )


COMMAND = Command(_run, settings=("mirror",), add_flags=_add_flags)
