"""A disk that fails, or a power switch that is thrown, at a chosen durable step."""

import errno
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from mirror.storage.durable import Disk, StrPath

KILLED = 77
"""The exit status of a process whose disk pulled the plug."""

STEPS = ("fsync", "rename", "link", "fsync folder", "write", "append", "truncate", "unlink")
ERRORS = ("ENOSPC", "EIO", "EROFS", "EACCES", "EDQUOT")


@dataclass(frozen=True)
class Plan:
    """At which durable step something happens: the n-th of that name, from 1, and all after it.

    Attributes:
        step: its name; "" for any.
        error: what it fails with; None ends the process there.
        once: whether the steps after it succeed again.
        with_power: whether the machine stops with the process: what was not synced is lost.
    """

    step: str
    number: int
    error: str | None = None
    once: bool = False
    with_power: bool = False

    def as_json(self) -> dict[str, object]:
        """For an order to the host."""
        return asdict(self)


class PlannedDisk(Disk):
    """The disk, as planned.

    Args:
        plan: a `Plan`, as JSON has it.
        at_death: called with `synced`, right before the process ends.

    Attributes:
        synced: the inodes of files that were synced, and how many bytes they had then.
        spoilt: inodes of files whose fsync failed: the system may have dropped their bytes.
    """

    def __init__(
        self, plan: Mapping[str, object] | None, at_death: Callable[[dict[int, int]], None]
    ) -> None:
        super().__init__(self._on_step)
        self.spoilt: list[int] = []
        self.synced: dict[int, int] = {}
        self._at_death = at_death
        self._plan = None if plan is None else Plan(**plan)  # type: ignore[arg-type]
        self._taken: Counter[str] = Counter()
        self._is_syncing: int | None = None

    def sync(self, descriptor: int, where: StrPath) -> None:
        """Make a file durable; when that fails, its bytes are not to be trusted."""
        self._is_syncing = os.fstat(descriptor).st_ino
        try:
            super().sync(descriptor, where)
            self.synced[self._is_syncing] = os.fstat(descriptor).st_size
        finally:
            self._is_syncing = None

    def _on_step(self, name: str) -> None:
        plan = self._plan
        if plan is None or plan.step not in (name, ""):
            return
        self._taken[plan.step] += 1
        taken = self._taken[plan.step]
        if taken < plan.number or (plan.once and taken > plan.number):
            return
        if plan.error is None:
            self._at_death(self.synced)
            os._exit(KILLED)
        if name == "fsync" and plan.error == "EIO" and self._is_syncing is not None:
            self.spoilt.append(self._is_syncing)
        code = getattr(errno, plan.error)
        raise OSError(code, os.strerror(code))
