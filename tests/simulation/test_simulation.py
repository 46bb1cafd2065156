"""A machine that argues back: what the program says is so, whatever happens."""

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.host import Host
from tests.simulation.machine import Machine

pytestmark = pytest.mark.simulation

LIVES = int(os.environ.get("SIM_LIVES", "8"))
FIRST_SEED = int(os.environ.get("SIM_SEED", "1"))
STEPS = int(os.environ.get("SIM_STEPS", "20"))
PHASES = (Phase.generate, Phase.shrink) if os.environ.get("SIM_SHRINK") else (Phase.generate,)

_SETTINGS = settings(
    max_examples=5,
    stateful_step_count=STEPS,
    phases=PHASES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("number", range(FIRST_SEED, FIRST_SEED + LIVES))
def test_a_mirrors_life(hosts: list[Host], number: int) -> None:
    """Every promise holds after every step of a few lives that this seed gives."""

    class Life(Machine):
        """A machine of its own: Hypothesis keeps a seed with its class."""

    Life.hosts = hosts
    seed(number)(Life)
    run_state_machine_as_test(Life, settings=_SETTINGS)
