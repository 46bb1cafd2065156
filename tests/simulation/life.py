"""A mirror's life: the world that it is in, and how a step of it is done and judged."""

import copy
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGKILL
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from tests.simulation import hands
from tests.simulation.clock import moved_clock
from tests.simulation.host import Host
from tests.simulation.oracle import Oracle
from tests.simulation.program import Order, Outcome
from tests.simulation.scene import Scene, Step
from tests.simulation.truth import Asset
from tests.simulation.weather import Weather
from tests.simulation.world import TOKEN, World

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder that is no disk, where there is one
MOST_ASSETS = 12
_PATIENT = {"stall_timeout": 10}
"""What a run needs that has to wait for a second one."""


@dataclass(frozen=True)
class Meanwhile:
    """Something that happens while a run is under way.

    Attributes:
        what: `kill`, `stop`, `upload`, `update`, `delete`, or the name of a second job.
        number: before which answer, from 1.
        of_files: whether answers for files are counted, or those of the API.
        which: the asset that it is about.
        is_elsewhere: whether the second job runs on another machine, whose locks are its own.
    """

    what: str
    number: int
    of_files: bool
    which: int = 0
    is_elsewhere: bool = False


class Life(RuleBasedStateMachine):
    """What all rules share."""

    hosts: list[Host]
    """Two processes that run the program; they outlive a life."""

    def __init__(self) -> None:
        super().__init__()
        folder = _MEMORY if _MEMORY.is_dir() else None
        self.base = Path(tempfile.mkdtemp(prefix="sim-", dir=folder))
        self.dest = self.base / "mirror"
        self.world = World()
        self.world.__enter__()
        self.kling = self.world.kling
        self.oracle = Oracle(self.world, self.dest)
        self.clock_s = 0.0
        self.last: Step | None = None
        """The last step, if it was a sync."""
        self._second: list[Outcome] = []

    def teardown(self) -> None:
        """Take the world down."""
        self.world.__exit__(None, None, None)
        shutil.rmtree(self.base, ignore_errors=True)

    def asset(self, which: int) -> Asset | None:
        """One of the assets that are listed."""
        assets = self.world.assets()
        return assets[which % len(assets)] if assets else None

    # Steps.

    def order(self, job: str, settings: dict[str, Any] | None = None, **more: Any) -> Order:  # noqa: ANN401
        """An order to do a job here and now."""
        return {
            "job": job,
            "settings": {"all_accounts": True} if settings is None else settings,
            "token": TOKEN,
            "dest": str(self.dest),
            "state": str(self.base / "state"),
            "api_url": self.world.api_url,
            "clock_s": self.clock_s,
            **more,
        }

    def do(
        self, order: Order, sky: Weather | None = None, meanwhile: Meanwhile | None = None
    ) -> Step:
        """Have a job done, and judge it."""
        weather = sky or Weather()
        is_undisturbed = not meanwhile and not order.get("disk")
        before = self.oracle.scene()
        files = {found.st_ino: found for _, found in _files(self.dest)}
        self.world.begin(weather)
        self._second.clear()
        if meanwhile is not None:
            order = {**order, "settings": {**order["settings"], **_PATIENT}}
            act = self._act(meanwhile)
            self.world.meanwhile(meanwhile.number, act, of_files=meanwhile.of_files)
        outcome = self.hosts[0].run(order)
        self.world.settle()
        self._lose_unsynced(order, outcome, files)
        for second in self._second:
            assert not second.trouble, second.trouble
        step = Step(order, weather, is_undisturbed, before, self.oracle.scene(), outcome)
        self.oracle.judge(step)
        self._ask_status()
        self.last = step if step.job == "sync" else None
        return step

    def by_hand(self, act: Callable[[], object]) -> None:
        """Do something in the folder, past the program."""
        before = self.oracle.scene()
        act()
        self.oracle.hands_off(before)
        self._ask_status()
        self.last = None

    def _ask_status(self) -> None:
        with moved_clock(self.clock_s):
            self.oracle.status_is_so(self.order("status"))

    def _act(self, meanwhile: Meanwhile) -> Callable[[], object]:
        asset = self.asset(meanwhile.which)
        acts: dict[str, Callable[[], object]] = {
            "kill": lambda: self.hosts[0].signal(SIGKILL),
            "stop": lambda: self.hosts[0].signal(SIGINT),
            "upload": self.upload_one,
            "update": lambda: None if asset is None else self.kling.update(asset, in_place=True),
            "delete": lambda: None if asset is None else self.kling.delete(asset),
        }
        order = self.order(meanwhile.what, locks_are_local=meanwhile.is_elsewhere)
        return acts.get(meanwhile.what, lambda: self._second.append(self.hosts[1].run(order)))

    def upload_one(self) -> None:
        """An upload, while there are not too many."""
        if len(self.world.assets()) < MOST_ASSETS:
            user = next(iter(self.kling.users))
            self.kling.upload(user, "image", cover=False)

    def _lose_unsynced(
        self, order: Order, outcome: Outcome, before: dict[int, os.stat_result]
    ) -> None:
        """Let files hold nothing where their bytes never reached the disk.

        That is where an fsync failed, and after a power cut all that a run wrote and did not sync.
        Names survive: what a folder forgets is another matter (see the tests of the order).
        """
        is_cut = (order.get("disk") or {}).get("with_power") and outcome.code is None
        for path, found in _files(self.dest):
            was = before.get(found.st_ino)
            is_new = was is None or was.st_mtime_ns != found.st_mtime_ns
            if is_new and (is_cut or found.st_ino in outcome.spoilt):
                safe = max(was.st_size if was else 0, outcome.synced.get(found.st_ino, 0))
                with path.open("r+b") as file:
                    file.seek(min(safe, found.st_size))
                    file.write(bytes(max(found.st_size - safe, 0)))

    # The folder, put away and brought back.

    def put_away(self) -> None:
        """Make a backup of the folder, as it is."""
        hands.copy(self.dest, self.base / "backup")
        self._put_away = copy.copy(self.oracle)

    def bring_back(self) -> None:
        """Put the backup in the folder's place."""
        if (self.base / "backup").exists():
            before: Scene = self.oracle.scene()
            hands.copy(self.base / "backup", self.dest)
            then = self._put_away
            self.oracle.owed, self.oracle.by_hand = then.owed, dict(then.by_hand)
            self.oracle.known_damage = set(then.known_damage)
            self.oracle.hands_off(before)
            self.last = None


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path, path.stat()
