"""`import`: adopt files that are here already, by proof."""

import argparse
import contextlib
import sys
from pathlib import Path

from mirror import config
from mirror.commands import flags
from mirror.commands.console import open_console
from mirror.commands.gallery import refresh_gallery
from mirror.commands.opening import effective_settings
from mirror.commands.output import print_result
from mirror.commands.process import allow_open_files, stoppable
from mirror.commands.registry import Command
from mirror.jobs.adopted import Adopted
from mirror.text import complain, counted, size

_SHOWN = 20


def _add_flags(parser: argparse.ArgumentParser) -> None:
    flags.add_json(parser)
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the folder with the files; it is never changed"
    )
    parser.add_argument("--dry-run", action="store_true", help="compare only, write nothing")


def _run(arguments: argparse.Namespace) -> int:
    settings = effective_settings(arguments)
    config.require_set_up(settings)
    token = config.read_token(settings)
    allow_open_files(settings.jobs)
    console = open_console(settings, arguments)
    with contextlib.closing(console), stoppable() as stop:
        from mirror.jobs import adopt  # noqa: PLC0415 - httpx and libcurl

        result, errors = adopt.adopt(
            settings,
            token,
            arguments.folder,
            state_folder=config.state_folder(),
            progress=console,
            stop=stop,
            dry_run=arguments.dry_run,
            at_end=lambda root: refresh_gallery(settings, root, stop=stop),
        )
    if result.adopted or not errors or arguments.json:
        print_result(result, in_words(result), arguments)
    for error in errors:
        complain(error, stream=sys.stderr)
    return result.exit_code


def in_words(result: Adopted) -> list[str]:
    """Put what was done into words; the sum comes last."""
    lines = [f"not adopted: {file.source}: {file.why}" for file in result.refused[:_SHOWN]]
    if (hidden := len(result.refused) - _SHOWN) > 0:
        lines.append(f"{hidden:,} more were not adopted; --json names them all")
    count, amount = len(result.adopted), size(sum(file.size for file in result.adopted))
    parts = [f"{counted(count, 'file')} adopted ({amount})" if count else "nothing adopted"]
    if result.refused:
        parts.append(f"{len(result.refused):,} refused")
    if result.left:
        parts.append(f"{result.left:,} left for `kling-mirror sync` to fetch")
    if result.mirrored:
        parts.append(f"{len(result.mirrored):,} were mirrored already")
    if result.unused:
        parts.append(f"{len(result.unused):,} in the folder belong to no listed asset")
    return [*lines, "; ".join(parts)]


COMMAND = Command(
    _run,
    is_stoppable=True,
    settings=("mirror", "api", "token", "scope", "requests", "files", "output"),
    add_flags=_add_flags,
)
