"""Runs `sync` in forked children that end at a chosen durable step, as a power cut would end them.

Started by tests/soak/test_crash_matrix.py as a process of its own without threads, so that it may
fork. Reads a JSON line `{"dest", "api_url", "state", "stop_at"}` for each run; answers with the
child's exit code and the names of the durable steps that it took.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - what a run imports late is here before the forks
import filelock  # noqa: F401
import httpcore  # noqa: F401

from mirror import config
from mirror.jobs.sync import sync
from mirror.report.console import Console
from mirror.stopping import Stop
from mirror.storage.durable import Disk
from tests.lib.library import TOKEN

CRASHED = 77


def _child(order: dict[str, Any], report: int) -> None:
    steps: list[str] = []

    def on_step(name: str) -> None:
        if len(steps) == order["stop_at"]:
            os._exit(CRASHED)
        steps.append(name)

    settings = config.load(
        {"dest": order["dest"], "api_url": order["api_url"], "min_free": "0", "jobs": "2"},
        environ={},
        config_path=Path(os.devnull),
    )
    result = sync(
        settings,
        TOKEN,
        state_folder=Path(str(order["state"])),
        progress=Console(bar=False, news_only=True, verbosity=-1),
        stop=Stop(),
        disk=Disk(on_step),
    )
    os.write(report, json.dumps(steps).encode())
    os._exit(result.summary.exit_code)


def serve(child: Callable[[dict[str, Any], int], None]) -> None:
    """Run a child for each order until the input ends; it reports its steps to a descriptor."""
    for line in sys.stdin:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            child(json.loads(line), writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            steps = json.loads(pipe.read() or b"[]")
        _, status = os.waitpid(pid, 0)
        answer = {"code": os.waitstatus_to_exitcode(status), "steps": steps}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(_child)
