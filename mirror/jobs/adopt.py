"""`import`: take files that are here already into the mirror, so that they are not fetched again.

What is listed and not mirrored yet is looked for in a folder: by key where that folder is a mirror
itself, by name, and by length among media whose names say nothing. A file counts only once it is
proved: by the manifest beside it, or by every digest that the CDN gives of the whole file (at least
one). It is then copied, and committed as a fetched file is. The folder is only read.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from mirror.errors import FetchError, MirrorError, UsageError
from mirror.jobs.adopted import Adopted, AdoptedFile, MissingFile, RefusedFile
from mirror.jobs.commit import Committer, Fetched, FetchedFile
from mirror.jobs.pipeline import Pipeline
from mirror.jobs.proving import ProvedFile, Prover
from mirror.jobs.result import Tally
from mirror.jobs.running import opened, run_stoppable
from mirror.jobs.sources import Sources
from mirror.jobs.sync import chosen_accounts, has_subtrees, prepared
from mirror.models import Action, Asset, Entry, FailedFile, Role
from mirror.places import Place
from mirror.progress import Progress
from mirror.settings import Settings
from mirror.stopping import Stop, batches
from mirror.storage import media
from mirror.storage.partial import Partial
from mirror.storage.root import AtEnd, Root
from mirror.text import decodable
from mirror.threads import shielded

_BATCH = 32


def adopt(
    settings: Settings,
    token: str,
    folder: Path,
    *,
    state_folder: Path,
    progress: Progress,
    stop: Stop,
    dry_run: bool = False,
    at_end: AtEnd | None = None,
) -> tuple[Adopted, list[MirrorError]]:
    """Take the right files of a folder into the mirror.

    Args:
        settings: the effective ones.
        token: the API token.
        folder: where to look.
        state_folder: where the roots of this user are remembered.
        progress: notified of what happens.
        stop: ends the work when it is set.
        dry_run: compare, and write nothing but the lock.
        at_end: called with the root once files were adopted and recorded.

    Returns:
        What was done, and the errors that stood in the way.
    """
    dest = settings.dest.absolute() if settings.dest else Path()
    job = _Job(
        settings,
        token,
        folder.absolute(),
        tally=Tally(dest),
        progress=progress,
        stop=stop,
        dry_run=dry_run,
    )
    with job.tally.noting_errors():
        opening = prepared(settings, state_folder=state_folder, dry_run=dry_run)
        _require_folder(folder, dest)
        with opening as root:
            if not dry_run:
                root.recover(stop.check, progress.warn)
            run_stoppable(job.work(root), stop)
            if not dry_run:
                root.compact()
                if at_end is not None and job.has_adopted:
                    at_end(root)
    return job.result(), job.tally.result().errors


def _require_folder(folder: Path, dest: Place) -> None:
    if not folder.is_dir():
        raise UsageError("there is no such folder to import", where=str(folder))
    if isinstance(dest, Path) and dest.is_dir() and folder.samefile(dest):
        raise UsageError(
            "this folder is the mirror itself",
            where=str(folder),
            hint="`kling-mirror verify --rebuild` rebuilds a lost manifest.json",
        )


class _Plan(Progress):
    """Keeps what there is to do; passes troubles on."""

    def __init__(self, progress: Progress) -> None:
        self.actions: list[Action] = []
        self._progress = progress

    def planned(self, action: Action) -> None:
        """The listing has this asset."""
        if action.fetch:
            self.actions.append(action)

    def failed(self, action: Action | None, failure: FailedFile) -> None:
        """An item could not be read."""
        self._progress.failed(action, failure)

    def warn(self, text: str) -> None:
        """Something that a person should know."""
        self._progress.warn(text)


class _Job:
    """What the phases of one import share."""

    _root: Root

    def __init__(
        self,
        settings: Settings,
        token: str,
        folder: Path,
        *,
        tally: Tally,
        progress: Progress,
        stop: Stop,
        dry_run: bool,
    ) -> None:
        self.tally = tally
        self._settings = settings
        self._token = token
        self._folder = folder
        self._progress = progress
        self._stop = stop
        self._dry_run = dry_run
        self._slots = asyncio.Semaphore(settings.jobs)
        self._copying = asyncio.Lock()
        self._wanted: dict[tuple[str, Role], MissingFile] = {}
        self._files: list[Path] = []
        self._mirrored: set[Path] = set()
        self._adopted: dict[tuple[str, Role], AdoptedFile] = {}
        self._refused: dict[tuple[str, Role, Path], RefusedFile] = {}

    @property
    def has_adopted(self) -> bool:
        """Whether any file was taken into the mirror."""
        return bool(self._adopted)

    async def work(self, root: Root) -> None:
        """List, look, compare, commit.

        Raises:
            BaseExceptionGroup: of what ended it; what was committed stays.
        """
        settings, self._root = self._settings, root
        async with opened(settings, self._token, root, self._progress) as (api, fetcher):
            self.tally.accounts = await chosen_accounts(api, settings)
            plan = _Plan(self._progress)
            await Pipeline(
                settings,
                api=api,
                root=root,
                tally=self.tally,
                progress=plan,
                is_dry=True,
            ).plan()
            sources = await asyncio.to_thread(self._look, plan.actions)
            with Committer(
                root,
                by_account=has_subtrees(settings, self.tally.accounts),
                check_stop=self._stop.check,
            ) as committer:
                prover = Prover(sources, fetcher, self._refused, self._stop)
                for batch in batches(plan.actions, most=_BATCH):  # on a slow disk, small ones
                    await self._adopt(batch, prover, committer)

    def result(self) -> Adopted:
        """What was done so far."""
        summary = self.tally.result().summary
        sources = {file.source for file in self._adopted.values()}
        mirrored = {decodable(path) for path in self._mirrored} - sources
        refused = [file for file in self._refused.values() if file.source not in sources | mirrored]
        known = sources | mirrored | {file.source for file in refused}
        like_none = self._wanted.keys() - {key[:2] for key in self._refused} - self._adopted.keys()
        return Adopted(
            exit_code=summary.exit_code,
            dest=summary.dest,
            folder=decodable(self._folder),
            accounts=summary.accounts,
            listing=summary.listing,
            adopted=list(self._adopted.values()),
            refused=refused,
            no_match=[file for key, file in self._wanted.items() if key in like_none],
            mirrored=sorted(mirrored),
            unused=[path for path in map(decodable, self._files) if path not in known],
            left=len(self._wanted) - len(self._adopted),
            failures=self.tally.failures,
            started=summary.started,
            duration_s=summary.duration_s,
        )

    def _look(self, actions: Sequence[Action]) -> Sources:
        sources = Sources(
            self._folder,
            dest=self._root.dest,
            actions=actions,
            mirrored=self._root.manifest.entries.values(),
            stop=self._stop,
        )
        if sources.trouble is not None:
            self._progress.warn(f"{sources.trouble}; going by names")
        self._files, self._mirrored = list(sources.sizes), sources.mirrored
        self._wanted = {
            (action.asset.key, role): MissingFile(
                action.asset.id, action.asset.update_time_ms, role, action.asset.name
            )
            for action in actions
            for role in action.fetch
        }
        self._progress.expect(len(self._wanted))
        return sources

    async def _adopt(self, batch: Sequence[Action], prover: Prover, committer: Committer) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._found(action, prover)) for action in batch]
        found = {action.asset.key: task.result() for action, task in zip(batch, tasks, strict=True)}
        entries: dict[str, Entry] = {}
        if not self._dry_run:
            outcomes = [self._outcome(action, found[action.asset.key]) for action in batch]
            done = await shielded(
                committer.commit([outcome for outcome in outcomes if outcome.files])
            )
            entries = {end.entry.key: end.entry for end in done if end.entry is not None}
        for action in batch:
            entry = entries.get(action.asset.key)
            self._note(action.asset, found[action.asset.key], entry)
            if entry is None:
                self._progress.advance(len(action.fetch))
            else:
                self._progress.done(action, entry)

    async def _found(self, action: Action, prover: Prover) -> dict[Role, ProvedFile]:
        """The files of an asset that are proved right, copied.

        A cover alone makes no entry; a resource alone does, as with `--no-covers`.
        """
        found: dict[Role, ProvedFile] = {}
        asset = action.asset
        async with self._slots:
            for role in action.fetch:
                try:
                    file = await prover.find(asset, role)
                except FetchError as error:
                    failure = FailedFile(asset.id, asset.update_time_ms, role, str(error))
                    self.tally.failures.append(failure)
                    self._progress.warn(f"asset {asset.id}: {role} cannot be compared: {error}")
                else:
                    if file is not None and await self._is_copied(asset, role, file, prover):
                        found[role] = file
                if role == "resource" and not found:
                    return {}
        return found

    async def _is_copied(self, asset: Asset, role: Role, file: ProvedFile, prover: Prover) -> bool:
        """Copy a file to where fetched ones are; whether it is still the one that was compared."""
        if self._dry_run:
            return True
        partial = self._partial(asset, role)
        async with self._copying:  # one at a time: each finds the room that the one before left
            self._root.spool.check_room(file.facts.size)
            try:
                source = file.path.open("rb")
            except OSError as error:
                prover.refuse(asset, role, file.path, f"unreadable: {error.strerror}")
                return False
            await asyncio.to_thread(partial.take, source)
        copied = await asyncio.to_thread(prover.hashed, partial.path)
        if copied.sha256 == file.facts.sha256:
            return True
        partial.discard()
        prover.refuse(asset, role, file.path, "changed while it was read")
        return False

    def _partial(self, asset: Asset, role: Role) -> Partial:
        """Apart from the one of `sync`, which may hold the beginning of the file."""
        return self._root.spool.partial(asset.key, role, is_copy=True)

    def _outcome(self, action: Action, found: dict[Role, ProvedFile]) -> Fetched:
        asset = action.asset
        return Fetched(
            action,
            {
                role: FetchedFile(
                    partial=self._partial(asset, role),
                    suffix=media.suffix_of(
                        file.head,
                        file.facts.content_type,
                        asset.name if role == "resource" else None,
                    ),
                    facts=file.facts,
                    reused=False,
                )
                for role, file in found.items()
            },
        )

    def _note(self, asset: Asset, found: dict[Role, ProvedFile], entry: Entry | None) -> None:
        for role, file in found.items():
            stored = entry.file(role) if entry is not None else None
            self._adopted[asset.key, role] = AdoptedFile(
                id=asset.id,
                update_time_ms=asset.update_time_ms,
                role=role,
                path=stored.path if stored is not None else "",
                source=decodable(file.path),
                size=file.facts.size,
                proof=file.proof,
            )
