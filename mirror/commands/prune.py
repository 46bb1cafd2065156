"""`prune`: move what is gone or superseded to the trash, and empty the trash."""

import argparse

from mirror.commands import flags, terminal
from mirror.commands.gallery import refresh_gallery
from mirror.commands.opening import effective_settings, locked_root, read_root
from mirror.commands.output import print_result, warn
from mirror.commands.process import stoppable
from mirror.commands.registry import Command
from mirror.errors import ExitCode, UsageError
from mirror.jobs import prune
from mirror.jobs.prune import Pruned, Trash
from mirror.settings import Settings
from mirror.text import counted, size


def _add_flags(parser: argparse.ArgumentParser) -> None:
    flags.add_json(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be done, write nothing"
    )
    parser.add_argument(
        "--empty-trash",
        action="store_true",
        help="also delete for good what earlier runs moved to the trash; on a terminal, ask first",
    )
    parser.add_argument(
        "--older-than",
        type=flags.duration_s,
        metavar="AGE",
        help="with --empty-trash: delete only what was moved there more than AGE ago "
        "(for example 30d)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.older_than is not None and not arguments.empty_trash:
        raise UsageError("--older-than works only with --empty-trash", hint="add --empty-trash")
    settings = effective_settings(arguments)
    trash = _to_empty(settings, arguments) if arguments.empty_trash else None
    with stoppable() as stop, locked_root(settings) as root:
        pruned = prune.prune(root, warn, dry_run=arguments.dry_run, stop=stop)
        if trash is not None:
            prune.empty(root, trash, pruned, dry_run=arguments.dry_run)
        if not arguments.dry_run:
            refresh_gallery(settings, root)
    print_result(pruned, in_words(pruned, dry_run=arguments.dry_run), arguments)
    return ExitCode.COMPLETE


def _to_empty(settings: Settings, arguments: argparse.Namespace) -> Trash | None:
    """What to delete for good; None if a person says no.

    Without a terminal nobody can be asked: `--empty-trash` then counts as yes.
    """
    trash = prune.to_empty(read_root(settings), older_than_s=arguments.older_than)
    if not trash.files or arguments.dry_run or arguments.yes or not terminal.is_there():
        return trash
    terminal.say(f"The trash has {counted(trash.files, 'file')} ({size(trash.bytes)}) to delete.")
    exist = "exists" if trash.only_here == 1 else "exist"
    terminal.say(f"{counted(trash.only_here, 'asset')} in it {exist} nowhere else.")
    try:
        is_agreed = terminal.ask_yes_or_no("Delete them for good", default=False)
    except EOFError:
        is_agreed = False
    return trash if is_agreed else None


def in_words(pruned: Pruned, *, dry_run: bool) -> list[str]:
    """Put what was done, or would be, into words; the sum comes last."""
    would = "would go" if dry_run else "went"
    lines = [f"to the trash: {path}" for path in pruned.files]
    lines.append(
        f"{counted(len(pruned.entries), 'entry', 'entries')} with "
        f"{counted(len(pruned.files), 'file')} ({size(pruned.bytes)}) {would} to the trash"
        if pruned.entries or pruned.files
        else "nothing to prune: no entry is gone or superseded"
    )
    if pruned.emptied:
        lines.append(
            f"{counted(pruned.emptied, 'file')} ({size(pruned.emptied_bytes)}) of the trash "
            f"{'would be deleted' if dry_run else 'deleted'} for good"
        )
    return lines


COMMAND = Command(_run, is_stoppable=True, settings=("mirror",), add_flags=_add_flags)
