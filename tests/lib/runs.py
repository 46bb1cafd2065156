"""A run in this process, for tests that need no exit status of a process and no stderr."""

import io
import os
from pathlib import Path

from mirror import config
from mirror.demo.service import KlingService
from mirror.jobs.result import Result
from mirror.jobs.sync import sync
from mirror.models import Action, Entry, FailedFile
from mirror.progress import Progress
from mirror.stopping import Stop
from mirror.text import complain
from tests.lib.mirrored import check_output


class Notes(Progress):
    """Progress that remembers."""

    def __init__(self) -> None:
        self.plans: list[Action] = []
        self.entries: list[Entry] = []
        self.failures: list[FailedFile] = []
        self.warnings: list[str] = []
        self.bytes = 0

    def planned(self, action: Action) -> None:
        """An asset is to be fetched."""
        self.plans.append(action)

    def received(self, count: int) -> None:
        """Bytes came in."""
        self.bytes += count

    def done(self, action: Action, entry: Entry) -> None:  # noqa: ARG002 - the base's
        """An asset is mirrored."""
        self.entries.append(entry)

    def failed(self, action: Action | None, failure: FailedFile) -> None:  # noqa: ARG002
        """An asset could not be mirrored."""
        self.failures.append(failure)

    def warn(self, text: str) -> None:
        """Something that a person should know."""
        self.warnings.append(text)


def run_sync(
    service: KlingService, dest: Path, *, notes: Notes | None = None, **settings: object
) -> Result:
    """Sync as the program does, with short waits; settings by name, and `dry_run`."""
    dry_run = bool(settings.pop("dry_run", False))
    flags = {"max_wait": 5, "max_attempts": 2, "stall_timeout": 10, "min_free": 0, **settings}
    loaded = config.load(
        {**flags, "dest": str(dest), "api_url": service.api_url},
        environ={},
        config_path=Path(os.devnull),
    )
    return sync(
        loaded,
        service.token,
        state_folder=dest.parent / "state",
        progress=notes or Notes(),
        stop=Stop(),
        dry_run=dry_run,
    )


def printed_errors(result: Result) -> str:
    """What the program then says on stderr of a run's errors."""
    stream = io.StringIO()
    for trouble in result.errors:
        complain(trouble, stream=stream)
    return stream.getvalue()


def check_one_error(result: Result) -> None:
    """See that one error takes three lines: what, where, and what to do."""
    text = printed_errors(result)
    check_output("", text)
    assert len(text.splitlines()) == 3, text
    assert "127.0.0.1" in text
