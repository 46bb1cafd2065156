"""What is measured: each scenario prepares its data, lets the tools compete, and tidies up."""

from typing import Protocol

from tests.bench.contest import Bench
from tests.bench.downloads import Download
from tests.bench.later import Idle, Memory, Scale, StartUp
from tests.bench.tables import Table


class Scenario(Protocol):
    """One table's worth."""

    @property
    def name(self) -> str:
        """What `--scenario` calls it."""

    def run(self, bench: Bench) -> Table:
        """Measure it."""


def scenarios(*, quick: bool) -> list[Scenario]:
    """All scenarios; the quick ones only show that the harness works."""
    small, medium, large = (
        ((40, 20_000), (6, 200_000), (2, 2_000_000))
        if quick
        else ((5_000, 20_000), (300, 2_000_000), (8, 100_000_000))
    )
    many = 300 if quick else 100_000
    return [
        Download("small", *small),
        Download("medium", *medium),
        Download("large", *large),
        Download("medium-tls", *medium, tls=True),
        Download("large-tls", *large, tls=True),
        Download("far", *((8, 40_000) if quick else (160, 400_000)), far=True),
        Download("gigabit-small", *((10, 300_000) if quick else (2_000, 300_000)), gigabit=True),
        Download("gigabit-large", *((2, 2_000_000) if quick else (60, 20_000_000)), gigabit=True),
        Download("quarter-small", *small, gigabit=True, quarter=True),
        Download("quarter-medium", *medium, gigabit=True, quarter=True),
        *(Idle(f"idle-{n}", n // 10 if quick else n) for n in (1_000, 10_000)),
        Idle("idle-100000", many),
        Idle("idle-latency", 1_000 if quick else 10_000, slow=True),
        StartUp("startup", 100 if quick else 1_000),
        Memory("memory", many, 200),
        Scale("scale", (100, 1_000) if quick else (1_000, 10_000, 100_000, 1_000_000)),
    ]
