"""A complete, provable, crash-proof local copy of everything you uploaded to Kling.

    from mirror import Config, sync

    result = sync(Config(dest="~/kling-mirror", token_file="~/.config/kling-mirror/token"))
    result.raise_for_errors()
    print(result.summary.assets.new)

    from mirror import Mirror

    for entry in Mirror("~/kling-mirror").select(states=["gone"]):
        print(entry.name, "exists only here")

In a program with an event loop, `await async_sync(config)` does not block it. `ProgressBar()` is a
progress for notebooks and scripts.

`sync` prints nothing, handles no signals and never ends the process. It works from any thread and
inside a running event loop (a notebook has one). Each request is logged at debug level to the
logger `mirror`. Only the names in this module are part of the API.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirror.errors import (
        AccessError,
        ApiError,
        AssetError,
        DiskError,
        ExitCode,
        Interrupted,
        ListingError,
        LockedError,
        ManifestError,
        MirrorError,
        UsageError,
    )
    from mirror.jobs.public import Config, Mirror, async_sync, sync
    from mirror.jobs.result import Result
    from mirror.jobs.status import Status
    from mirror.jobs.verify import Findings
    from mirror.models import Action, Entry, FailedFile, Failure, Kind, StoredFile, Summary
    from mirror.places import BucketUrl
    from mirror.progress import Progress
    from mirror.report.notebook import ProgressBar
    from mirror.stopping import Stop

__version__ = "0.1.0"
__all__ = [
    "AccessError",
    "Action",
    "ApiError",
    "AssetError",
    "BucketUrl",
    "Config",
    "DiskError",
    "Entry",
    "ExitCode",
    "FailedFile",
    "Failure",
    "Findings",
    "Interrupted",
    "Kind",
    "ListingError",
    "LockedError",
    "ManifestError",
    "Mirror",
    "MirrorError",
    "Progress",
    "ProgressBar",
    "Result",
    "Status",
    "Stop",
    "StoredFile",
    "Summary",
    "UsageError",
    "__version__",
    "async_sync",
    "sync",
]

_HOMES = (
    "errors", "models", "places", "progress", "stopping", "jobs.result", "jobs.status",
    "jobs.verify", "jobs.public", "report.notebook",
)  # fmt: skip
"""The modules of the API's names, the quickest to load first."""

if not TYPE_CHECKING:  # names are looked up when they are used: the command line needs the version

    def __getattr__(name: str) -> object:
        if name in __all__:
            import importlib  # noqa: PLC0415

            for home in _HOMES:
                module = importlib.import_module(f"mirror.{home}")
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module 'mirror' has no attribute {name!r}", name=name, obj=None)

    def __dir__() -> list[str]:
        return sorted(__all__)
