"""Processes that run the program, one job at a time, each in a child that may die of it.

A host has no threads, so that it may fork; its children are as fresh as a process that a user
starts, and come in a few milliseconds. Started as `python -m tests.simulation.host`, it reads an
order as a line of JSON and answers with two lines: the child's pid, and how it ended.
"""

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from mirror.stopping import Stop
from tests.lib.forked import import_all
from tests.simulation.clock import moved_clock
from tests.simulation.disk import KILLED, PlannedDisk
from tests.simulation.program import Order, Outcome, run

_HANGS_AFTER_S = 60.0


class Host:
    """A process that runs jobs."""

    def __init__(self) -> None:
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulation.host"],
            cwd=root,
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._pid = 0
        self._read = b""

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def run(self, order: Order) -> Outcome:
        """Have a job done, and wait for its end; one that hangs is ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        begun = self._line()
        assert begun is not None
        self._pid = json.loads(begun)["pid"]
        ended = self._line(timeout_s=_HANGS_AFTER_S)
        if ended is None:
            self.signal(signal.SIGKILL)
            self._line()
            return Outcome(None, trouble=f"no end after {_HANGS_AFTER_S:g} s")
        self._pid = 0
        return Outcome.of(json.loads(ended))

    def signal(self, signum: int) -> None:
        """Send a signal to the child that is at work."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signum)

    def _line(self, *, timeout_s: float | None = None) -> bytes | None:
        """The next line of its answer; None if there is none in that time."""
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        while b"\n" not in self._read:
            if not select.select([output], [], [], timeout_s)[0]:
                return None
            chunk = os.read(output, 1 << 16)
            assert chunk, "the host has died"
            self._read += chunk
        line, _, self._read = self._read.partition(b"\n")
        return line


# In the host.


def serve() -> None:
    """Run a child for each order until the input ends."""
    import_all()
    gc.freeze()
    for line in sys.stdin:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _child(json.loads(line), writer)
        os.close(writer)
        _answer({"pid": pid})
        with os.fdopen(reader, "rb") as pipe:
            told = pipe.read()
        _, status = os.waitpid(pid, 0)
        if told:  # the child may die of a late step, once it has answered
            _answer(json.JSONDecoder().raw_decode(told.decode())[0])
        else:
            _answer({"code": None, "trouble": _death(status)})


def _answer(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _death(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return "" if code in (KILLED, -signal.SIGKILL) else f"the process ended with {code}"


def _child(order: Order, report: int) -> None:
    moved_clock(order.get("clock_s", 0)).__enter__()
    if order.get("locks_are_local"):
        _lose_locks()

    def report_death(synced: dict[int, int]) -> None:
        _report(Outcome(None, synced=synced), report)

    disk, stop = PlannedDisk(order.get("disk"), report_death), Stop()
    signal.signal(signal.SIGINT, lambda number, _: stop.set(number))
    outcome = Outcome(None)
    try:
        code, said, told = run(order, disk, stop)
        outcome = Outcome(code, said, json.loads(told))
    except BaseException:  # noqa: BLE001 - what a user would see as a traceback
        outcome.trouble = traceback.format_exc()
    outcome.spoilt, outcome.synced = disk.spoilt, disk.synced
    _report(outcome, report)
    os._exit(0)


def _report(outcome: Outcome, descriptor: int) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(json.dumps(vars(outcome)).encode())


def _lose_locks() -> None:
    """Have every lock at once: the other machine on the share holds its own."""
    fcntl.flock = lambda *_: None


if __name__ == "__main__":
    serve()
