"""`on_finish`: a command of the user's own that hears how each run ended."""

import os
import subprocess
import threading

from mirror.stopping import Stop

_LIMIT_S = 600.0
_STDERR = 2
_KEPT_BACK = frozenset(("KLING_MIRROR_TOKEN", "NOTIFY_SOCKET"))
"""What the command does not inherit: the token, and the line to systemd, which is ours."""
_EXIT_CODE = "KLING_MIRROR_EXIT_CODE"


def run(
    command: str, told: bytes, *, exit_code: int, stop: Stop, limit_s: float = _LIMIT_S
) -> str | None:
    """Run the command, with what is told on its stdin and the exit code in its environment.

    What it prints goes to stderr: stdout is for data.

    Args:
        command: a command line for the shell.
        told: JSON.
        exit_code: of the run.
        stop: asked to stop, we wait for a moment only, and leave it to itself.
        limit_s: after so long it is killed.

    Returns:
        What went wrong, for people; or None.
    """
    environ = {name: value for name, value in os.environ.items() if name not in _KEPT_BACK}
    environ[_EXIT_CODE] = str(int(exit_code))
    try:
        process = subprocess.Popen(  # noqa: S602 - it is the user's own command line, pipes and all
            command, shell=True, stdin=subprocess.PIPE, stdout=_STDERR, env=environ
        )
    except OSError as error:
        return f"on_finish could not be started: {error.strerror}"
    # It may read nothing, or slowly: that is a thread's time, not ours.
    reader = threading.Thread(target=process.communicate, args=(told,), daemon=True)
    reader.start()
    if stop.wait_for(reader, limit_s=limit_s):
        code = process.returncode
        return f"on_finish failed with exit {code}" if code else None
    if stop.signum is not None:
        return None
    process.kill()
    return f"on_finish was killed: it did not end within {limit_s:g} s"
