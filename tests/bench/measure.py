"""One measured run of a command, and many of several commands in turn."""

import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("launcher.py")
_TIMEOUT_S = 600
_SHOWN_CHARS = 300


@dataclass(frozen=True)
class Run:
    """What one run took. MB are millions of bytes."""

    wall_s: float
    cpu_s: float
    peak_mb: float

    def divided_by(self, other: "Run") -> "Run":
        """Each quantity divided by the other run's."""
        return Run(
            self.wall_s / other.wall_s,
            self.cpu_s / max(other.cpu_s, 1e-3),
            self.peak_mb / other.peak_mb,
        )


@dataclass(frozen=True)
class Contestant:
    """A command that is measured among others.

    Attributes:
        before: called before each run, outside of the measured time.
        check: looks at what a run left, given its stdout; returns what is wrong, or "".
        sync_dest: where its files have yet to be made durable, as a part of its time.
    """

    name: str
    command: Sequence[str]
    check: Callable[[str], str]
    before: Callable[[], None] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)
    sync_dest: Path | None = None


@dataclass
class Result:
    """All runs of one contestant; the first problem ends its part."""

    name: str
    runs: list[Run] = field(default_factory=list)
    problem: str = ""

    def median(self) -> Run:
        """The median of each quantity by itself."""
        return Run(
            statistics.median(run.wall_s for run in self.runs),
            statistics.median(run.cpu_s for run in self.runs),
            statistics.median(run.peak_mb for run in self.runs),
        )


def compete(
    contestants: Sequence[Contestant], *, rounds: int, scratch: Path, say: Callable[[str], None]
) -> list[Result]:
    """Runs all of them in turn, each round beginning with another one."""
    results = {contestant.name: Result(contestant.name) for contestant in contestants}
    for number in range(rounds):
        start = number % len(contestants)
        for contestant in (*contestants[start:], *contestants[:start]):
            result = results[contestant.name]
            if result.problem:
                continue
            run, result.problem = measured(contestant, scratch)
            if run and not result.problem:
                result.runs.append(run)
            took = result.problem or (f"{run.wall_s:.2f} s" if run else "")
            say(f"  {number + 1}/{rounds} {contestant.name}: {took}")
    return list(results.values())


def measured(contestant: Contestant, scratch: Path) -> tuple[Run | None, str]:
    """Runs a contestant once.

    Returns:
        What it took, and what is wrong with the outcome, or "".
    """
    contestant.before()
    out, err = scratch / "stdout", scratch / "stderr"
    out.write_bytes(b"")
    err.write_bytes(b"")
    subprocess.run(["sync", "-f", scratch], check=True)  # noqa: S607 - settles what came before
    launch = [sys.executable, "-I", "-S", _LAUNCHER, out, err, contestant.sync_dest or ""]
    shown = _launched([*map(str, launch), *contestant.command], contestant.env, scratch)
    if shown is None:
        return None, f"not done after {_TIMEOUT_S} s"
    code, wall_s, cpu_s, peak_kib = shown.split()
    run = Run(float(wall_s), float(cpu_s), int(peak_kib) * 1024 / 1e6)
    printed = out.read_text(errors="replace")
    if code != "0":
        words = " ".join((err.read_text(errors="replace") or printed).split())
        return run, f"exit code {code}: {words[-_SHOWN_CHARS:]}"
    return run, contestant.check(printed)


def _launched(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> str | None:
    """Runs the launcher, and ends all that it started if it takes too long or we are stopped."""
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        return process.communicate(timeout=_TIMEOUT_S)[0]
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
