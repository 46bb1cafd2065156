"""How things are at one moment, and what was done between two of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirror.models import Entry, Failure
from tests.simulation import program
from tests.simulation.folder import Folder, look
from tests.simulation.program import Order, Outcome
from tests.simulation.truth import Asset, Version
from tests.simulation.weather import Weather
from tests.simulation.world import World


@dataclass
class Scene:
    """How things were at one moment.

    Attributes:
        folder: what lay in it.
        entries, failures: what was on record; None where the manifest could not be read.
        listed: what Kling had, and in which version.
    """

    folder: Folder
    entries: dict[str, Entry] | None
    failures: dict[str, Failure] | None
    listed: dict[Asset, Version]

    @classmethod
    def of(cls, dest: Path, world: World) -> "Scene":
        """How things are now."""
        read = program.read(dest)
        entries, failures = read if read is not None else (None, None)
        return cls(look(dest), entries, failures, {it: it.now for it in world.assets()})

    def all_entries(self) -> Mapping[str, Entry]:
        """What is on record; nothing where that cannot be read."""
        return self.entries or {}

    def recorded(self) -> set[tuple[str, str]]:
        """The recorded files, by path and hash."""
        return {
            (stored.path, stored.sha256)
            for entry in self.all_entries().values()
            for stored in entry.files()
        }

    def named(self) -> set[str]:
        """The paths that an entry names."""
        return {path for path, _ in self.recorded()}

    def wrong(self) -> set[tuple[str, str]]:
        """The recorded files that are not as recorded, by path and recorded hash."""
        return self.folder.lacking(self.recorded())


@dataclass(frozen=True)
class Step:
    """One job, from the scene before it to the scene behind it.

    Attributes:
        order: the job and its settings.
        weather: of the service.
        is_undisturbed: whether nothing else happened meanwhile: no trouble of the disk, no stop, no
            second run, no change at Kling.
    """

    order: Order
    weather: Weather
    is_undisturbed: bool
    before: Scene
    after: Scene
    outcome: Outcome

    @property
    def job(self) -> str:
        """Its name."""
        return str(self.order["job"])

    @property
    def code(self) -> int | None:
        """The exit code; None if it was killed."""
        return self.outcome.code

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the job."""
        found: Mapping[str, Any] = self.order["settings"]
        return found

    @property
    def is_dry(self) -> bool:
        """Whether it was to write nothing."""
        return bool(self.order.get("dry_run"))

    @property
    def is_whole(self) -> bool:
        """Whether it is a sync of all that an account has, covers too."""
        filters = self.settings.keys() & {"content_type", "file_name", "no_covers"}
        return self.job == "sync" and not (filters or self.is_dry)

    @property
    def is_calm(self) -> bool:
        """Whether nothing stood in its way."""
        return self.is_undisturbed and self.weather.is_harmless
