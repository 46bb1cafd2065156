"""The Python API: what `from mirror import Config, sync` gives; the command line uses it, too."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self, Unpack

import platformdirs

from mirror import config as configuration
from mirror.jobs import sync as syncing
from mirror.jobs.result import Result
from mirror.progress import Progress
from mirror.settings import Options, Settings
from mirror.stopping import Stop


@dataclass(frozen=True, init=False)
class Config:
    """What is mirrored, from where, to where, and how: every setting by its name.

    `Config(dest="~/kling", token="user:…")` knows nothing of the environment and of config files;
    `Config.load()` reads them as the command line does. Values are what one would write there: a
    path or a text for a folder, `"5M"` or a number for a size. What is left out, or None, has its
    default. What the command line does around a run (`progress`, `gallery`, `log_…`, `ping_url`,
    `on_finish`) the function `sync` does not, though a config may hold it.

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
        """What was set, without secrets."""
        settings = self.settings
        shown = {
            name: "…" if name == "token" else getattr(settings, name)
            for name, source in settings.sources.items()
            if source != configuration.DEFAULT
        }
        return f"Config({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def sync(
    config: Config,
    *,
    progress: Progress | None = None,
    stop: Stop | None = None,
    dry_run: bool = False,
) -> Result:
    """Make the mirror a complete copy of what Kling lists. Blocks until it is done.

    A run that could not do all of its work returns, with what was done, its exit code and its
    errors: call `Result.raise_for_errors`, or look at `Result.exit_code`. `0` alone is a complete
    mirror.

    Args:
        config: what is mirrored, and where to.
        progress: told what happens, from the thread that does it; subclass `Progress` and override
            what you want to hear of. What it raises ends the run, and is raised here.
        stop: `stop.set()` from any thread ends the run within two seconds, with exit code 130.
        dry_run: list and decide, and write nothing but the lock.

    Returns:
        What was done, and the errors that stood in the way.

    Raises:
        UsageError: there is no API token, or it cannot be read; nothing was begun.
    """
    token = configuration.read_token(config.settings)
    wish = stop or Stop()

    def run() -> Result:
        return syncing.sync(
            config.settings,
            token,
            state_folder=platformdirs.user_state_path("kling-mirror"),
            progress=progress or Progress(),
            stop=wish,
            dry_run=dry_run,
        )

    return _beside_a_loop(run, wish)


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
