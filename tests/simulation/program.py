"""The one place where the simulation knows the program: its jobs, its manifest, its settings.

`run` does one job in the process that it is called in, a forked child of `host`; the rest is
read by the oracle between two runs.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mirror import config
from mirror.errors import MirrorError
from mirror.jobs import prune, repair, verify
from mirror.jobs.adopt import adopt
from mirror.jobs.rebuild import rebuild
from mirror.jobs.status import Status, status, why_unfit
from mirror.jobs.sync import sync
from mirror.models import Entry, Failure, to_json
from mirror.progress import Progress
from mirror.settings import Settings
from mirror.stopping import Stop
from mirror.storage.durable import Disk
from mirror.storage.root import Root

Order = Mapping[str, Any]

QUICK = {"max_wait": 2, "max_attempts": 2, "stall_timeout": 0.3, "min_free": 0, "jobs": 1}
"""Settings under which trouble takes no time."""


@dataclass
class Outcome:
    """How a job ended.

    Attributes:
        code: the exit code; None if it did not end by itself.
        said: its errors, in words.
        report: what `--json` would print.
        trouble: a traceback, or that it hung.
        spoilt: inodes of files whose fsync failed.
        synced: inodes of files that were synced, and how many bytes they had then.
    """

    code: int | None
    said: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""
    spoilt: list[int] = field(default_factory=list)
    synced: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Self:
        """An outcome, from JSON."""
        synced = answer.get("synced", {})
        return cls(**{**answer, "synced": {int(inode): size for inode, size in synced.items()}})

    @property
    def counts(self) -> dict[str, int]:
        """A sync's `assets`."""
        found: dict[str, int] = self.report["assets"]
        return found


# One job, in a process of its own.


@dataclass(frozen=True)
class _Task:
    order: Order
    settings: Settings
    disk: Disk
    stop: Stop

    @property
    def dest(self) -> Path:
        return _dest(self.settings)


Answer = tuple[int, list[str], bytes]
"""The exit code, the errors in words, and the report as JSON."""


def run(order: Order, disk: Disk, stop: Stop) -> Answer:
    """Do what is ordered."""
    try:
        return _JOBS[order["job"]](_Task(order, _settings(order), disk, stop))
    except MirrorError as error:
        return int(error.exit_code), [str(error)], b"{}"


def _sync(task: _Task) -> Answer:
    result = sync(
        task.settings,
        task.order["token"],
        state_folder=Path(task.order["state"]),
        progress=Progress(),
        stop=task.stop,
        disk=task.disk,
        dry_run=task.order.get("dry_run", False),
    )
    errors = [str(error) for error in result.errors]
    return int(result.exit_code), errors, to_json(result.summary)


def _verify(task: _Task) -> Answer:
    root = Root.read(task.dest)
    found = verify.check(root, jobs=1, progress=Progress(), stop=task.stop)
    return int(not found.is_sound), [], to_json(found)


def _repair(task: _Task) -> Answer:
    with Root.locked(task.dest, disk=task.disk) as root:
        found, error = repair.check_and_repair(
            task.settings,
            root,
            token=lambda: str(task.order["token"]),
            progress=Progress(),
            stop=task.stop,
        )
    if error is not None:
        return int(error.exit_code), [str(error)], to_json(found)
    return int(not found.is_sound), [], to_json(found)


def _rebuild(task: _Task) -> Answer:
    with Root.locked(task.dest, disk=task.disk, load=False) as root:
        return 0, [], to_json(rebuild(root, progress=Progress(), stop=task.stop))


def _prune(task: _Task) -> Answer:
    dry_run, trash = task.order.get("dry_run", False), None
    if task.order.get("empty_trash"):
        trash = prune.to_empty(Root.read(task.dest), older_than_s=None)
    with Root.locked(task.dest, disk=task.disk) as root:
        pruned = prune.prune(root, Progress().warn, dry_run=dry_run, stop=task.stop)
        if trash is not None:
            prune.empty(root, trash, pruned, dry_run=dry_run)
    return 0, [], to_json(pruned)


def _import(task: _Task) -> Answer:
    adopted, errors = adopt(
        task.settings,
        task.order["token"],
        Path(task.order["folder"]),
        state_folder=Path(task.order["state"]),
        progress=Progress(),
        stop=task.stop,
    )
    return int(adopted.exit_code), [str(error) for error in errors], to_json(adopted)


_JOBS: dict[str, Callable[[_Task], Answer]] = {
    "sync": _sync,
    "verify": _verify,
    "repair": _repair,
    "rebuild": _rebuild,
    "prune": _prune,
    "import": _import,
}


def _settings(order: Order) -> Settings:
    given = {"dest": order["dest"], "api_url": order["api_url"], **QUICK, **order["settings"]}
    return config.load(given, environ={}, config_path=Path(os.devnull))


def _dest(settings: Settings) -> Path:
    assert isinstance(settings.dest, Path)
    return settings.dest


# What lies in the folder, as the program reads it.


def read(dest: Path) -> tuple[dict[str, Entry], dict[str, Failure]] | None:
    """The entries and failures that are on record; None where the manifest cannot be read."""
    try:
        manifest = Root(dest).manifest_now()
    except MirrorError:
        return None
    return dict(manifest.entries), manifest.failures


def status_of(order: Order) -> Status | None:
    """What `status` says; None where it can say nothing."""
    settings = _settings(order)
    try:
        return status(Root.read(_dest(settings)), wanted=settings.scope, reserve=0)
    except MirrorError:
        return None


def is_fresh(said: Status, max_age_s: float) -> bool:
    """Whether `status --max-age` is content."""
    return why_unfit(said, max_age_s) is None
