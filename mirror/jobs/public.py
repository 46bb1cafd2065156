"""The Python API: `from mirror import Config, Mirror, sync`; the command line uses it, too."""

import asyncio
import functools
import inspect
import os
import signal
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, Unpack

from mirror import config as configuration
from mirror.errors import UsageError
from mirror.jobs import planning, status, verify
from mirror.jobs import sync as syncing
from mirror.jobs.result import Result
from mirror.jobs.status import Status
from mirror.jobs.verify import Findings
from mirror.models import Entry, Failure, Scope, State, StoredFile
from mirror.progress import Progress
from mirror.settings import SETTINGS, Options, Settings
from mirror.stopping import Stop
from mirror.storage.root import Root

_STATES: tuple[State, ...] = ("current", "gone", "superseded")


@dataclass(frozen=True, init=False)
class Config:
    """The settings of a mirror, each by its name.

    `Config(dest="~/kling", token="user:…")` reads neither the environment nor a config file;
    `Config.load()` reads both, as the command line does. Values have the same form as there: a path
    or a text for a folder, `"5M"` or a number for a size. A setting that is left out, or None, has
    its default. A config may hold settings of the command line (`progress`, `gallery`, `log_…`,
    `ping_url`, `on_finish`); the function `sync` ignores them.

    Attributes:
        settings: the effective settings, parsed: `config.settings.dest` is a `Path`.

    Raises:
        UsageError: a name is unknown or a value is wrong; `where` names the setting.
    """

    settings: Settings

    def __init__(self, **options: Unpack[Options]) -> None:
        settings = configuration.load(
            {}, environ={}, config_path=Path(os.devnull), arguments=options
        )
        object.__setattr__(self, "settings", settings)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """Read a config file and the environment; options beat both.

        Args:
            path: the config file, which must be there; None for the user's own, which need not.
            environ: in place of the process's environment.
            options: as `Config` takes them.

        Raises:
            UsageError: a file, name or value is wrong; says which, and what was expected.
        """
        return cls.of(
            configuration.load(
                {},
                environ=os.environ if environ is None else environ,
                config_path=None if path is None else Path(path).expanduser(),
                arguments=options,
            )
        )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The config of settings that are effective already."""
        config = cls.__new__(cls)
        object.__setattr__(config, "settings", settings)
        return config

    def __repr__(self) -> str:
        """The settings that were given, without secrets."""
        settings = self.settings
        shown = {
            name: "…" if name == "token" else getattr(settings, name)
            for name, source in settings.sources.items()
            if source != configuration.DEFAULT
        }
        return f"Config({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def _show_settings() -> None:
    """Have `help(Config)` and Shift-Tab show each setting with its meaning and its default."""
    parameters, lines = [], ["", "Settings:"]
    for setting in SETTINGS:
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(setting.name, kind, default=setting.default))
        lines.append(f"    {setting.name}: {setting.help.replace('%%', '%')}; {setting.default!r}.")
    Config.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    Config.__doc__ = "\n".join([inspect.cleandoc(Config.__doc__ or ""), *lines])


_show_settings()


def sync(
    config: Config,
    *,
    progress: Progress | None = None,
    stop: Stop | None = None,
    dry_run: bool = False,
) -> Result:
    """Make the mirror a complete copy of what Kling lists. Blocks until it is done.

    A run that could not do all of its work also returns a result, with its exit code and errors:
    call `Result.raise_for_errors`, or look at `Result.exit_code`. Only `0` is a complete mirror.

    Args:
        config: the settings of the mirror.
        progress: notified from the thread that works; subclass `Progress` and override
            the events that you need. What it raises ends the run, and is raised here.
        stop: `stop.set()` from any thread ends the run within two seconds, with exit code 130.
        dry_run: list and decide, and write nothing but the lock.

    Returns:
        What was done, and the errors that prevented the rest.

    Raises:
        UsageError: there is no API token, or it cannot be read; nothing was started.
    """
    token = configuration.read_token(config.settings)
    wish = stop or Stop()

    def run() -> Result:
        return syncing.sync(
            config.settings,
            token,
            state_folder=configuration.state_folder(),
            progress=progress or Progress(),
            stop=wish,
            dry_run=dry_run,
        )

    return _beside_a_loop(run, wish)


async def async_sync(
    config: Config,
    *,
    progress: Progress | None = None,
    stop: Stop | None = None,
    dry_run: bool = False,
) -> Result:
    """Do what `sync` does, in a thread: the event loop that awaits it goes on.

    A cancellation stops the run, and is raised once the run has ended, within two seconds.

    Args:
        config: as for `sync`, and so are the others.
        progress: notified from the run's thread.
        stop: as above.
        dry_run: as above.

    Raises:
        UsageError: as `sync` does.
    """
    wish = stop or Stop()
    work = functools.partial(sync, config, progress=progress, stop=wish, dry_run=dry_run)
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        wish.set(signal.SIGINT)
        await asyncio.wait([running])
        raise


def _beside_a_loop(run: Callable[[], Result], stop: Stop) -> Result:
    """Run here; in a thread of its own where an event loop runs here, for loops do not nest."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(1, thread_name_prefix="sync") as pool:
        future = pool.submit(run)
        try:
            return future.result()
        except KeyboardInterrupt:
            stop.set(signal.SIGINT)
            raise


class Mirror:
    """A mirror to read: its entries, the places of its files, its state.

    It takes no lock, so that a run may be at work meanwhile, and needs neither token nor network.
    It shows the mirror as it was when it was opened; `reload` shows it as it is now.

        mirror = Mirror("~/kling-mirror")
        for entry in mirror.select(content_type="video"):
            print(entry.name, mirror.path(entry.resource) if entry.resource else "missing")

    Args:
        source: the mirror's folder, the URL of its bucket, or a `Config` that names it.

    Attributes:
        dest: the mirror's folder, absolute; or a `BucketUrl`.

    Raises:
        UsageError: no folder is named, or it is no mirror.
        ManifestError: the manifest is missing, damaged or newer than this program.
        DiskError: it cannot be read.
    """

    def __init__(self, source: str | os.PathLike[str] | Config) -> None:
        config = source if isinstance(source, Config) else Config(dest=source)
        self._settings = config.settings
        self.dest = configuration.require_dest(config.settings)
        self.reload()

    def __len__(self) -> int:
        """How many entries there are, of any state."""
        return len(self._root.manifest.entries)

    def __iter__(self) -> Iterator[Entry]:
        """Every entry, of any state."""
        return iter(list(self._root.manifest.entries.values()))

    def __contains__(self, key: object) -> bool:
        """Whether there is an entry of that key, `"<id>@<updateTime>"`."""
        return key in self._root.manifest.entries

    def __getitem__(self, key: str) -> Entry:
        """The entry of that key; a `KeyError` where there is none."""
        return self._root.manifest.entries[key]

    @property
    def failures(self) -> list[Failure]:
        """The files that could not be mirrored yet."""
        return list(self._root.manifest.failures.values())

    def select(
        self,
        *,
        id: str | None = None,  # noqa: A002 - the contract's own name
        states: Collection[State] = _STATES,
        content_type: str | None = None,
        account: str | None = None,
        file_name: str | None = None,
    ) -> list[Entry]:
        """Filter the entries; a filter that is left out lets everything through.

        Args:
            id: Kling's id; an asset that changed has an entry for each version.
            states: `current`, `gone`, `superseded`.
            content_type: such as `video`.
            account: the email of the Kling account.
            file_name: a keyword in the name, in any case.
        """
        types = () if content_type is None else (content_type,)
        scope = Scope(content_type=types, file_name=file_name)
        return [
            entry
            for entry in self
            if entry.state in states
            and id in (None, entry.id)
            and account in (None, entry.account)
            and planning.is_wanted(entry, scope)
        ]

    def path(self, stored: StoredFile) -> Path:
        """The absolute path of a file.

        Raises:
            UsageError: the mirror is in a bucket, where files have none: see `open`.
        """
        if not isinstance(self.dest, Path):
            what = "files in a bucket have no path: read them with `Mirror.open`"
            raise UsageError(what, where=str(self.dest))
        return self.dest / stored.path

    def open(self, stored: StoredFile) -> BinaryIO:
        """A file to read, wherever the mirror is.

        Raises:
            OSError: it is not there, or cannot be read.
            DiskError: the bucket cannot be reached.
        """
        return self._root.storage.open(stored.path)

    def status(self) -> Status:
        """The state of the mirror, as `kling-mirror status --json` has it.

        `is_complete` says whether everything is here; `reasons` says what is not.
        """
        return status.status(
            self._root, wanted=self._settings.scope, reserve=self._settings.min_free
        )

    def verify(
        self,
        *,
        progress: Progress | None = None,
        stop: Stop | None = None,
        jobs: int = 0,
        read: bool = True,
    ) -> Findings:
        """Hash every file again and compare; `Findings.is_sound` says whether all are as recorded.

        Args:
            progress: notified of files and bytes.
            stop: `stop.set()` from any thread ends it.
            jobs: files hashed at a time; 0 for one per processor.
            read: False to take a bucket's own checksums, where it has them, for a reading.

        Raises:
            Interrupted: stopped.
            ManifestError: the manifest was damaged meanwhile.
        """
        return verify.check(
            self._root,
            jobs=jobs or os.cpu_count() or 1,
            progress=progress or Progress(),
            stop=stop or Stop(),
            reads_all=read,
        )

    def reload(self) -> None:
        """Read the manifest again.

        Raises:
            ManifestError, DiskError: it cannot be read.
        """
        self._root = Root.read(self.dest)
        self._root.manifest.entries.check()

    def __repr__(self) -> str:
        """The mirror's folder, and the number of its entries."""
        return f"<Mirror {str(self.dest)!r}, {len(self):,} entries>"
