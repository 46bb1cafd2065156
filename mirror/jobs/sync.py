"""The main job, from the lock to the summary."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mirror.config import require_dest
from mirror.errors import DiskError, ExitCode
from mirror.jobs.accounts import all_accounts
from mirror.jobs.commit import Committer
from mirror.jobs.gone import Gone
from mirror.jobs.pipeline import Pipeline
from mirror.jobs.result import Result, Tally
from mirror.jobs.running import opened, run_stoppable
from mirror.models import to_json
from mirror.net.kling import KlingApi
from mirror.progress import Progress
from mirror.settings import Settings
from mirror.stopping import Stop
from mirror.storage.durable import Disk
from mirror.storage.journal import Change
from mirror.storage.known import KnownRoots
from mirror.storage.root import AtEnd, Root
from mirror.threads import in_thread

_COMPACTED_WHEN_STOPPED = 20_000
"""A manifest of this many entries is written within the two seconds that a stop may take."""


def sync(
    settings: Settings,
    token: str,
    *,
    state_folder: Path,
    progress: Progress,
    stop: Stop,
    dry_run: bool = False,
    disk: Disk | None = None,
    at_end: AtEnd | None = None,
) -> Result:
    """Make the mirror a complete copy of what Kling lists.

    Args:
        settings: the effective ones.
        token: the API token.
        state_folder: where the roots of this user are remembered.
        progress: notified of what happens.
        stop: ends the work when it is set.
        dry_run: list and decide, write nothing but the lock.
        disk: takes the durable steps; a crash test brings its own.
        at_end: called with the root once it is as the run leaves it, unless the run was a dry one,
            was stopped, or could not write.

    Returns:
        What was done, and the errors that stood in the way.
    """
    tally = Tally(settings.dest.absolute() if settings.dest else Path(), settings.scope)
    with (
        tally.noting_errors(),
        prepared(settings, state_folder=state_folder, dry_run=dry_run, disk=disk) as root,
    ):
        run = _Run(
            settings, token, root=root, tally=tally, progress=progress, stop=stop, dry_run=dry_run
        )
        run.go()
        if at_end is not None and not dry_run and not run.is_cut_short:
            at_end(root)
    return tally.result()


def prepared(
    settings: Settings, *, state_folder: Path, dry_run: bool, disk: Disk | None = None
) -> contextlib.AbstractContextManager[Root]:
    """The root that the settings name, as `Root.prepared` opens it.

    Raises:
        UsageError: they name none.
    """
    return Root.prepared(
        require_dest(settings),
        known=KnownRoots(state_folder),
        min_free=settings.min_free,
        disk=disk,
        create=not settings.no_create,
        dry_run=dry_run,
    )


async def chosen_accounts(api: KlingApi, settings: Settings) -> list[str | None]:
    """The accounts to mirror; None stands for the subscription's only one.

    Raises:
        AccessError: there is none.
    """
    if settings.email:
        return list(settings.email)
    if not settings.all_accounts:
        return [None]
    return list(await in_thread(all_accounts, api, settings))


def has_subtrees(settings: Settings, accounts: Sequence[str | None]) -> bool:
    """Whether each account has a folder of its own in the mirror."""
    return bool(settings.email) or len(accounts) > 1


class _Run:
    """What the phases of one run share."""

    def __init__(
        self,
        settings: Settings,
        token: str,
        *,
        root: Root,
        tally: Tally,
        progress: Progress,
        stop: Stop,
        dry_run: bool,
    ) -> None:
        self._tally = tally
        self._manifest = root.manifest
        self._settings = settings
        self._token = token
        self._root = root
        self._progress = progress
        self._stop = stop
        self._dry_run = dry_run
        self._changes: list[Change] = []

    def go(self) -> None:
        """List, fetch, mark what is gone, write the manifest if it changed, log the run."""
        with self._tally.noting_errors():
            if not self._dry_run:
                self._recover()
            run_stoppable(self._list_and_fetch(), self._stop)
        if not self._tally.met(ExitCode.DISK):
            with self._tally.noting_errors():
                self._end()
        if not self._dry_run:
            self._note_run()

    def _recover(self) -> None:
        """Finish what an interrupted run left; the listing then finds these assets unchanged."""
        if self._root.recover(self._stop.check, self._progress.warn):
            self._tally.has_news = True

    @property
    def is_cut_short(self) -> bool:
        """Whether the run was stopped, or the disk failed."""
        return self._stop.signum is not None or self._tally.met(ExitCode.DISK)

    async def _list_and_fetch(self) -> None:
        settings = self._settings
        async with opened(
            settings, self._token, self._root, self._progress, on_bytes=self._received
        ) as (api, fetcher):
            self._tally.accounts = await chosen_accounts(api, settings)
            pipeline = Pipeline(
                settings,
                api=api,
                root=self._root,
                tally=self._tally,
                progress=self._progress,
                is_dry=self._dry_run,
            )
            if self._dry_run:
                await pipeline.plan()
            else:
                with Committer(
                    self._root,
                    by_account=has_subtrees(settings, self._tally.accounts),
                    check_stop=self._stop.check,
                ) as committer:
                    await pipeline.run(fetcher, committer)
            gone = Gone(
                settings,
                api=api,
                manifest=self._manifest,
                tally=self._tally,
                lister=pipeline.lister,
            )
            self._changes = await in_thread(gone.changes)

    def _received(self, count: int) -> None:
        self._tally.files.bytes += count
        self._progress.received(count)

    def _end(self) -> None:
        stopped = self._stop.signum is not None
        if self._dry_run:
            return
        self._manifest.record(self._changes)
        has_time = not stopped or len(self._manifest.entries) < _COMPACTED_WHEN_STOPPED
        if has_time:
            self._root.compact()
        summary = self._tally.result().summary
        if summary.exit_code == ExitCode.COMPLETE and not self._settings.scope.is_filtered:
            self._root.tidy_spool()

    def _note_run(self) -> None:
        """Add the run to the log, which `status` reads; a full disk may have no room for it."""
        is_known = self._tally.met(ExitCode.DISK)
        summary = msgspec.structs.replace(self._tally.result().summary, failures=[])
        with contextlib.suppress(OSError, DiskError) if is_known else self._tally.noting_errors():
            self._root.storage.append_run(to_json(summary))
