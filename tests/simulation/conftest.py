"""What the simulation's tests share."""

from collections.abc import Iterator

import pytest

from tests.simulation.host import Host
from tests.simulation.machine import Machine


@pytest.fixture(scope="session")
def hosts() -> Iterator[list[Host]]:
    """Two processes that run the program."""
    running = [Host(), Host()]
    yield running
    for host in running:
        host.close()


@pytest.fixture
def life(hosts: list[Host]) -> Iterator[Machine]:
    """A mirror's life whose steps the test takes itself, by calling the rules."""
    machine = Machine()
    machine.hosts = hosts
    yield machine
    machine.teardown()
