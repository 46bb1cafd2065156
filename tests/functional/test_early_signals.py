"""Signals that arrive while the program is still being loaded."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import RunProgram
from tests.lib.library import ACCESS
from tests.lib.misbehaving import Misbehaving

_SIGNALLING = """
import os, sys
class Finder:
    def find_spec(self, name, *_):
        if name == os.environ["SIGNAL_AT"]:
            sys.meta_path.remove(self)
            for number in os.environ["SIGNALS"].split():
                os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, Finder())
"""
"""Python runs `sitecustomize` as it starts: this one gets signals when a module is imported."""

each_signal = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@pytest.fixture
def signalled(environ: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a program that is to get signals as it loads."""
    (tmp_path / "sitecustomize.py").write_text(_SIGNALLING)
    return {"PYTHONPATH": f"{tmp_path}{os.pathsep}{environ['PYTHONPATH']}", **ACCESS}


@each_signal
@pytest.mark.parametrize("module", ["mirror.cli", "mirror.commands.sync", "mirror.stopping"])
def test_a_run_reports_its_end(
    signalled: dict[str, str],
    sync_to: RunProgram,
    service: Misbehaving,
    dest: Path,
    *,
    module: str,
    signum: signal.Signals,
) -> None:
    """It ends as on any later signal: with its exit code and its JSON; nothing was requested."""
    signals = {"SIGNAL_AT": module, "SIGNALS": str(int(signum))}
    done = sync_to(service, dest, env=signalled | signals)
    assert (done.code, "Traceback" in done.err) == (128 + signum, False), done.err
    assert json.loads(done.out)["exit_code"] == 128 + signum
    assert service.requests == []


@each_signal
def test_a_command_that_reads_ends(
    signalled: dict[str, str], program: RunProgram, dest: Path, signum: signal.Signals
) -> None:
    """Its exit code is the signal's, and nobody sees a traceback."""
    signals = {"SIGNAL_AT": "mirror.commands.status", "SIGNALS": str(int(signum))}
    done = program("status", "--dest", dest, env=signalled | signals)
    assert (done.code, "Traceback" in done.err) == (128 + signum, False), done.err


def test_a_second_signal_ends_the_program_at_once(
    signalled: dict[str, str], program: RunProgram, dest: Path
) -> None:
    """As it does during a run."""
    signals = {"SIGNAL_AT": "mirror.cli", "SIGNALS": f"{int(signal.SIGTERM)} {int(signal.SIGINT)}"}
    done = program("status", "--dest", dest, env=signalled | signals)
    assert (done.code, done.out, done.err) == (130, "", "")
