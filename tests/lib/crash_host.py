"""Runs jobs in forked children that end at a chosen durable step, as a power cut would end them.

`Host` starts this module as a process of its own without threads, so that it may fork. The process
reads a JSON line `{"job", "dest", "api_url", "state", "stop_at"}` for each run; it answers with the
child's exit code and the names of the durable steps that the child took.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - what a run imports late is here before the forks
import filelock  # noqa: F401
import httpcore  # noqa: F401

from mirror import config
from mirror.jobs.prune import prune
from mirror.jobs.sync import sync
from mirror.progress import Progress
from mirror.report.console import Console
from mirror.stopping import Stop
from mirror.storage.durable import Disk
from mirror.storage.root import Root
from tests.lib.library import TOKEN

CRASHED = 77


class Host:
    """The process that runs jobs and lets them crash."""

    def __init__(self, process: "subprocess.Popen[str]", state: Path, api_url: str) -> None:
        self._process = process
        self._base = {"state": str(state), "api_url": api_url}

    def run(self, job: str, dest: Path | str, *, stop_at: int | None = None) -> Any:  # noqa: ANN401 - JSON
        """Run `sync` or `prune` once; gives the exit code, and the steps unless it crashed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {**self._base, "job": job, "dest": str(dest), "stop_at": stop_at}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def crash_everywhere(self, job: str, base: Path, scratch: Path) -> Iterator[Path]:
        """A copy of `base` for each durable step of a job, which has crashed right before it."""
        for at in itertools.count():
            dest = scratch / f"crash{at}"
            if base.exists():
                shutil.copytree(base, dest)
            code = self.run(job, dest, stop_at=at)["code"]
            if code == 0:  # it had no step left to crash at
                return
            assert code == CRASHED
            yield dest
            shutil.rmtree(dest)


def started(environ: Mapping[str, str]) -> "subprocess.Popen[str]":
    """The process, to be used as a context."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lib.crash_host"],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _sync(order: dict[str, Any], disk: Disk) -> int:
    settings = config.load(
        {"dest": order["dest"], "api_url": order["api_url"], "min_free": "0", "jobs": "2"},
        environ={},
        config_path=Path(os.devnull),
    )
    result = sync(
        settings,
        TOKEN,
        state_folder=Path(order["state"]),
        progress=Console(bar=False, news_only=True, verbosity=-1),
        stop=Stop(),
        disk=disk,
    )
    return int(result.summary.exit_code)


def _prune(order: dict[str, Any], disk: Disk) -> int:
    with Root.locked(Path(order["dest"]), disk=disk) as root:
        prune(root, Progress().warn, dry_run=False, stop=Stop())
    return 0


_JOBS: dict[str, Callable[[dict[str, Any], Disk], int]] = {"sync": _sync, "prune": _prune}


def _child(order: dict[str, Any], report: int) -> None:
    """Run the job, and report its steps to a descriptor."""
    steps: list[str] = []

    def on_step(name: str) -> None:
        if len(steps) == order["stop_at"]:
            os._exit(CRASHED)
        steps.append(name)

    code = _JOBS[order["job"]](order, Disk(on_step))
    os.write(report, json.dumps(steps).encode())
    os._exit(code)


def _serve() -> None:
    """Run a child for each order until the input ends."""
    for line in sys.stdin:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _child(json.loads(line), writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            steps = json.loads(pipe.read() or b"[]")
        _, status = os.waitpid(pid, 0)
        answer = {"code": os.waitstatus_to_exitcode(status), "steps": steps}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
