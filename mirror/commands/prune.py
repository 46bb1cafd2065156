"""`prune`: move what is gone or superseded to the trash, and empty the trash."""

import argparse

from mirror.commands import flags
from mirror.commands.gallery import refresh_gallery
from mirror.commands.opening import effective_settings, locked_root
from mirror.commands.output import print_result
from mirror.commands.process import stoppable
from mirror.commands.registry import Command
from mirror.errors import ExitCode
from mirror.jobs import prune
from mirror.jobs.prune import Pruned
from mirror.text import counted, size


def _add_flags(parser: argparse.ArgumentParser) -> None:
    flags.add_json(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be done, write nothing"
    )
    parser.add_argument(
        "--empty-trash", action="store_true", help="delete for good what is in the trash"
    )


def _run(arguments: argparse.Namespace) -> int:
    settings = effective_settings(arguments)
    with stoppable() as stop, locked_root(settings) as root:
        pruned = prune.prune(root, dry_run=arguments.dry_run, stop=stop)
        if arguments.empty_trash:
            prune.empty_trash(root, pruned, dry_run=arguments.dry_run)
        if not arguments.dry_run:
            refresh_gallery(settings, root)
    print_result(pruned, in_words(pruned, dry_run=arguments.dry_run), arguments)
    return ExitCode.COMPLETE


def in_words(pruned: Pruned, *, dry_run: bool) -> list[str]:
    """Put what was done, or would be, into words; the sum comes last."""
    would = "would go" if dry_run else "went"
    lines = [f"to the trash: {path}" for path in pruned.files]
    lines.append(
        f"{counted(len(pruned.entries), 'entry', 'entries')} with "
        f"{counted(len(pruned.files), 'file')} ({size(pruned.bytes)}) {would} to the trash"
        if pruned.entries
        else "nothing to prune: no entry is gone or superseded"
    )
    if pruned.emptied:
        lines.append(
            f"{counted(pruned.emptied, 'file')} ({size(pruned.emptied_bytes)}) of the trash "
            f"{'would be deleted' if dry_run else 'deleted'} for good"
        )
    return lines


COMMAND = Command(_run, settings=("mirror",), add_flags=_add_flags)
