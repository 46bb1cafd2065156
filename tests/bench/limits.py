"""Limits on what a machine may use: a slower line, a slower processor. Both need root, and Linux.

The line is the loopback of a network namespace of our own, so that nobody else is slowed down.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_OURS = "KLING_MIRROR_BENCH_NAMESPACE"
_GROUPS = Path("/sys/fs/cgroup/cpu")
_PERIOD_US = 20_000
_JOIN = 'echo $$ > "$0" && exec "$@"'


def can_limit() -> bool:
    """Whether this machine and this user can do it."""
    tools = all(shutil.which(tool) for tool in ("unshare", "ip", "tc"))
    return hasattr(os, "geteuid") and os.geteuid() == 0 and tools and _GROUPS.is_dir()


def enter_namespace() -> None:
    """Start this program anew in a network namespace of its own, unless it is in one."""
    if _OURS not in os.environ:
        up = 'ip link set lo up && exec "$@"'
        command = ["unshare", "--net", "sh", "-c", up, "sh", *sys.orig_argv]
        os.execvpe("unshare", command, {**os.environ, _OURS: "1"})  # noqa: S606, S607


@contextlib.contextmanager
def gigabit() -> Iterator[None]:
    """Make the loopback a line of one gigabit per second."""
    shape = ["root", "tbf", "rate", "1gbit", "burst", "1mb", "latency", "50ms"]
    subprocess.run(["tc", "qdisc", "add", "dev", "lo", *shape], check=True)  # noqa: S607
    try:
        yield
    finally:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)  # noqa: S607


@contextlib.contextmanager
def quarter_core() -> Iterator[list[str]]:
    """Yield what a command begins with to get a quarter of one core."""
    group = _GROUPS / f"kling-mirror-bench-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(f"{_PERIOD_US}")
        (group / "cpu.cfs_quota_us").write_text(f"{_PERIOD_US // 4}")
        yield ["sh", "-c", _JOIN, str(group / "cgroup.procs")]
    finally:
        group.rmdir()
