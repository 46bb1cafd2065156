"""The list of commands is data, and every module keeps to it."""

import subprocess
import sys

import pytest

from mirror.commands.registry import COMMANDS, load
from mirror.settings import GROUPS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_module(name: str) -> None:
    """It is found by its name, and takes whole groups of settings as flags."""
    command = load(name)
    assert callable(command.run)
    assert set(command.settings) <= set(GROUPS)


def test_a_list_of_commands_loads_none_of_them() -> None:
    """`--help` reads the table alone."""
    code = "import sys, mirror.commands.registry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {module for module in done.stdout.split() if module.startswith("mirror.")}
    assert loaded == {"mirror.commands", "mirror.commands.registry"}
