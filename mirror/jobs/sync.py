"""The main job, from the lock to the summary."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from mirror.clock import now_iso
from mirror.config import require_dest
from mirror.errors import ExitCode, ListingError
from mirror.jobs import planning
from mirror.jobs.accounts import all_accounts
from mirror.jobs.commit import Committer
from mirror.jobs.pipeline import Pipeline
from mirror.jobs.result import Result, Tally
from mirror.jobs.running import opened, run_stoppable
from mirror.models import Entry, to_json
from mirror.net.kling import KlingApi
from mirror.net.listing import MAX_WALKS, Listing
from mirror.progress import Progress
from mirror.settings import Settings
from mirror.stopping import Stop
from mirror.storage.durable import Disk
from mirror.storage.journal import Change, DropFailure, PutEntry
from mirror.storage.known import KnownRoots
from mirror.storage.root import AtEnd, Root
from mirror.threads import in_thread

_COMPACTED_WHEN_STOPPED = 20_000
"""A manifest of so many entries is written within the two seconds that a stop may take."""


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
        progress: told what happens.
        stop: asked to stop through it.
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
        self._being_replaced: set[str] = set()

    def go(self) -> None:
        """List, fetch, mark what is gone, write the manifest anew if it changed, note the run."""
        with self._tally.noting_errors():
            run_stoppable(self._list_and_fetch(), self._stop)
        if not self._tally.met(ExitCode.DISK):
            with self._tally.noting_errors():
                self._end()
        if not self._dry_run:
            self._note_run()

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
            )
            self._being_replaced = pipeline.being_replaced
            if self._dry_run:
                await pipeline.plan()
                return
            with Committer(
                self._root,
                by_account=has_subtrees(settings, self._tally.accounts),
                check_stop=self._stop.check,
            ) as committer:
                await pipeline.run(fetcher, committer)

    def _received(self, count: int) -> None:
        self._tally.files.bytes += count
        self._progress.received(count)

    def _end(self) -> None:
        stopped = self._stop.signum is not None
        endings = [] if stopped else list(self._endings())
        if self._dry_run:
            return
        self._manifest.record(endings)
        has_time = not stopped or len(self._manifest.entries) < _COMPACTED_WHEN_STOPPED
        if has_time:
            self._root.compact()
        summary = self._tally.result().summary
        if summary.exit_code == ExitCode.COMPLETE and not self._is_filtered:
            self._root.spool.clear()

    def _note_run(self) -> None:
        """Add the run to the log, so that `status` tells of it; a full disk may have no room."""
        is_told = self._tally.met(ExitCode.DISK)
        summary = msgspec.structs.replace(self._tally.result().summary, failures=[])
        with contextlib.suppress(OSError) if is_told else self._tally.noting_errors():
            self._root.storage.append_run(to_json(summary))

    @property
    def _is_filtered(self) -> bool:
        return bool(self._settings.content_type or self._settings.file_name)

    def _endings(self) -> Iterator[Change]:
        """What the proven listings say of the assets that they lack."""
        seen = set().union(*(listing.seen for listing in self._tally.listings))
        seen |= self._being_replaced
        for listing in self._tally.complete:
            with self._tally.noting_errors(listing.account):
                if not listing.is_proven:
                    raise ListingError(
                        f"the listing could not be proven in {MAX_WALKS} walks; nothing was marked "
                        "gone",
                        where=listing.account or self._settings.api_url,
                        hint="what was found is mirrored; run it again when nothing is uploading",
                    )
                if not self._is_filtered and not listing.unreadable:
                    for entry in self._vanished(listing, seen):
                        self._tally.gone += 1
                        gone = msgspec.structs.replace(entry, state="gone", gone_since=now_iso())
                        yield PutEntry(gone)
                    for key, failure in list(self._manifest.failures.items()):
                        if failure.account == listing.account and key not in seen:
                            yield DropFailure(key)

    def _vanished(self, listing: Listing, seen: set[str]) -> list[Entry]:
        unseen = map(self._manifest.entries.get, sorted(listing.expected - seen))
        vanished = [entry for entry in unseen if entry is not None and entry.state == "current"]
        limit = planning.gone_limit(self._settings.max_gone, len(listing.expected))
        if vanished and (listing.was_empty or len(vanished) > limit):
            count = len(vanished)
            hint = (
                f"if you deleted them at Kling, run it once with --max-gone {count}; if not, "
                "check the account"
            )
            if listing.was_empty:
                hint = "check the account; what is mirrored stays as it is"
            raise ListingError(
                f"{count:,} of {len(listing.expected):,} assets vanished from the listing at once; "
                "nothing was marked gone",
                where=listing.account or self._settings.api_url,
                hint=hint,
            )
        return vanished
