"""`on_finish`: the user's own command, run after each sync."""

import os
import subprocess
import threading

from mirror.jobs.result import Result
from mirror.report.watchers import Watcher

_STDERR = 2
_NOT_INHERITED = frozenset(("KLING_MIRROR_TOKEN", "NOTIFY_SOCKET"))
"""The token is a secret, and the socket to systemd is ours."""


class Hook(Watcher):
    """Runs the command, with the summary on its stdin and the exit code in its environment.

    Attributes:
        limit_s: the command is killed after this many seconds.
    """

    limit_s = 600.0

    def end(self, result: Result, words: str) -> str | None:  # noqa: ARG002 - the summary has them
        """Run the command; what it prints goes to stderr, for stdout is for data."""
        environ = {name: text for name, text in os.environ.items() if name not in _NOT_INHERITED}
        environ["KLING_MIRROR_EXIT_CODE"] = str(result.summary.exit_code)
        try:
            process = subprocess.Popen(  # noqa: S602 - the user's own command line, with its pipes
                str(self.run.settings.on_finish),
                shell=True,
                stdin=subprocess.PIPE,
                stdout=_STDERR,
                env=environ,
            )
        except OSError as error:
            return f"on_finish could not be started: {error.strerror}"
        # The command may read slowly or not at all: a thread waits for that, the run does not.
        summary = self.run.summary_of(result)
        reader = threading.Thread(target=process.communicate, args=(summary,), daemon=True)
        reader.start()
        if self.run.stop.wait_for(reader, limit_s=self.limit_s):
            code = process.returncode
            return f"on_finish failed with exit {code}" if code else None
        if self.run.stop.signum is not None:
            return None
        process.kill()
        return f"on_finish was killed: it did not end within {self.limit_s:g} s"
