"""`verify`: check every file's hash; `--repair` and `--rebuild` put right what is wrong."""

import argparse
import contextlib
import os
import sys

from mirror import config
from mirror.commands import flags
from mirror.commands.console import open_console
from mirror.commands.gallery import refresh_gallery
from mirror.commands.opening import effective_settings, locked_root, read_root
from mirror.commands.output import print_result
from mirror.commands.process import allow_open_files, stoppable
from mirror.commands.registry import Command
from mirror.errors import ExitCode, MirrorError
from mirror.jobs import rebuild, verify
from mirror.jobs.rebuild import WITHOUT_JOURNAL, Rebuilt
from mirror.jobs.verify import Findings
from mirror.places import BucketUrl
from mirror.settings import Settings
from mirror.text import complain, counted

_CPUS = os.cpu_count() or 1


def _add_flags(parser: argparse.ArgumentParser) -> None:
    flags.add_json(parser)
    parser.add_argument(
        "--read",
        action="store_true",
        help="in a bucket: download and hash every object, whatever the server's checksums say",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--repair",
        action="store_true",
        help="restore missing and damaged files: from copies in the mirror, else from Kling",
    )
    how.add_argument(
        "--rebuild",
        action="store_true",
        help="rebuild a lost or damaged manifest.json",
    )


def _run(arguments: argparse.Namespace) -> int:
    settings = effective_settings(arguments)
    if arguments.rebuild:
        return _rebuild(settings, arguments)
    allow_open_files(settings.jobs)
    console = open_console(settings, arguments)
    error: MirrorError | None = None
    with contextlib.closing(console), stoppable() as stop:
        if arguments.repair:
            from mirror.jobs import repair  # noqa: PLC0415 - httpx and libcurl

            with locked_root(settings) as root:
                findings, error = repair.check_and_repair(
                    settings,
                    root,
                    token=lambda: config.read_token(settings),
                    progress=console,
                    stop=stop,
                    reads_all=arguments.read,
                )
                refresh_gallery(settings, root, stop=stop)
        else:
            root = read_root(settings)
            jobs = settings.jobs if isinstance(root.dest, BucketUrl) else _CPUS
            findings = verify.check(
                root, jobs=jobs, progress=console, stop=stop, reads_all=arguments.read
            )
    is_bucket = isinstance(root.dest, BucketUrl)
    print_result(findings, findings_in_words(findings, is_bucket=is_bucket), arguments)
    if error is not None:
        complain(error, stream=sys.stderr)
        return error.exit_code
    return ExitCode.COMPLETE if findings.is_sound else ExitCode.UNEXPECTED


def _rebuild(settings: Settings, arguments: argparse.Namespace) -> int:
    console = open_console(settings, arguments)
    with (
        contextlib.closing(console),
        stoppable() as stop,
        locked_root(settings, load=False) as root,
    ):
        rebuilt = rebuild.rebuild(root, progress=console, stop=stop)
        refresh_gallery(settings, root)
    print_result(rebuilt, rebuilt_in_words(rebuilt), arguments)
    return ExitCode.COMPLETE


def findings_in_words(findings: Findings, *, is_bucket: bool = False) -> list[str]:
    """Put the findings into words, a line each; the verdict comes last."""
    repaired = {*findings.fetched, *findings.restored}
    named = repaired.union(findings.failed, findings.lost)
    lines = [
        f"{finding.problem}: {finding.path}"
        for finding in findings.wrong
        if finding.path not in named
    ]
    lines += [f"fetched again: {path}" for path in findings.fetched]
    lines += [f"restored from a copy in the mirror: {path}" for path in findings.restored]
    lines += [f"could not be restored yet: {path}" for path in findings.failed]
    lines += [f"lost, and no longer at Kling: {path}" for path in findings.lost]
    lines += [f"not in the manifest: {path}" for path in findings.extra]
    left = len(findings.wrong) - len(repaired)
    if not findings.checked and not left:
        return [*lines, "no files checked: nothing is recorded in this mirror yet"]
    verdict = "every file is as recorded" if not left else f"{left:,} missing or damaged"
    hint = (
        ""
        if not left or len(named) > len(repaired)
        else "; `kling-mirror verify --repair` restores what it can"
    )
    how = _how_checked(findings) if is_bucket else ""
    return [*lines, f"{counted(findings.checked, 'file')} checked{how}: {verdict}{hint}"]


def _how_checked(findings: Findings) -> str:
    """How the objects of a bucket were checked."""
    by_checksum, read = findings.by_checksum, findings.checked - findings.by_checksum
    if not by_checksum:
        return " (downloaded and hashed)"
    if not read:
        return " by the server's checksums (`--read` downloads and hashes them)"
    return f" ({by_checksum:,} by the server's checksums, {read:,} downloaded and hashed)"


def rebuilt_in_words(rebuilt: Rebuilt) -> list[str]:
    """Put what was rebuilt into words, a line each; the verdict comes last."""
    lines = [f"no entry could be made for: {path}" for path in rebuilt.unknown]
    lines += [f"missing: {path}" for path in rebuilt.missing]
    lines += [f"damaged: {path}" for path in rebuilt.damaged]
    made_of = [rebuilt.base or "no earlier manifest", "the journal"]
    if made_of[0].endswith(WITHOUT_JOURNAL):
        made_of.pop()
    if rebuilt.from_files:
        made_of.append(f"{len(rebuilt.from_files):,} assets by their files alone")
    verdict = f"manifest rebuilt: {rebuilt.entries:,} entries, from {', '.join(made_of)}"
    next_step = "sync" if not rebuilt.damaged else "verify --repair"
    return [*lines, f"{verdict}; now run `kling-mirror {next_step}`"]


COMMAND = Command(
    _run,
    is_stoppable=True,
    settings=("mirror", "api", "token", "requests", "files", "output"),
    add_flags=_add_flags,
)
