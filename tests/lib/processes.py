"""Runs of the program in processes of their own, to be watched, stopped and killed."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mirror.demo.service import KlingService
from tests.lib.library import TOKEN

BIG = 200_000_000_000
"""Bytes of a sparse file that nobody can hash in a minute."""


def stopped_within_s() -> float:
    """How long a run may take to stop: two seconds, and more on a machine with too much to do."""
    busy = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 1.0
    return 2.0 * max(1.0, busy)


def open_files(pid: int) -> set[str]:
    """What a process has open; the test is skipped where nobody can know."""
    found = set()
    folder = Path(f"/proc/{pid}/fd")
    if not folder.exists():
        pytest.skip("stops while a file is hashed were not tested: there is no /proc here")
    for link in folder.iterdir():
        try:
            found.add(link.readlink().as_posix())
        except OSError:
            continue
    return found


@contextlib.contextmanager
def started(
    environ: Mapping[str, str],
    *arguments: object,
    under: tuple[str, ...] = (),
) -> Iterator["subprocess.Popen[bytes]"]:
    """`kling-mirror` on its way; killed at the end of the block if it still is.

    Args:
        environ: of the process; the token is added.
        arguments: of the command line.
        under: a command that starts it, such as strace and its options.
    """
    with subprocess.Popen(
        [*under, sys.executable, "-m", "mirror", *map(str, arguments)],
        env={"KLING_MIRROR_TOKEN": TOKEN, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def sync_arguments(service: KlingService, dest: Path) -> tuple[object, ...]:
    """`sync` against the service, ready to be followed by more options."""
    return ("sync", "--json", "--dest", dest, "--api-url", service.api_url, "--min-free", "0")


def wait_until(condition: Callable[[], object], *, timeout_s: float = 60) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the moment to wait for did not come"
        time.sleep(0.005)
