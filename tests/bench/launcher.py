"""Runs one command and reports what it took; started as a process of its own, by path.

A process inherits, as its own peak, the memory of the one that forked it. Hence this one imports
next to nothing: `python -I -S launcher.py STDOUT STDERR SYNC_DEST COMMAND …` (SYNC_DEST may be
empty) prints `exit-code wall-s cpu-s peak-KiB`.
"""

import os
import sys
import time


def _run(command: list[str], out: str, err: str) -> tuple[int, float, int]:
    """Runs a command to its end.

    Returns:
        Its exit code (negative: a signal), CPU seconds and peak resident memory in KiB.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, out, flags, 0o644),
        (os.POSIX_SPAWN_OPEN, 2, err, flags, 0o644),
    ]
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main(out: str, err: str, sync_dest: str, *command: str) -> None:
    """Runs the command, and then `sync -f` where that is part of its time."""
    began = time.perf_counter()
    code, cpu_s, peak_kib = _run(list(command), out, err)
    if sync_dest and code == 0:
        sync_code, sync_cpu_s, _ = _run(["sync", "-f", sync_dest], out, err)
        code = code or sync_code
        cpu_s += sync_cpu_s
    wall_s = time.perf_counter() - began
    sys.stdout.write(f"{code} {wall_s:.6f} {cpu_s:.6f} {peak_kib}\n")


main(*sys.argv[1:])
