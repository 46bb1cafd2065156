"""What a notebook or a pipeline may do with the Python API: pytest runs it, mypy reads it."""

from pathlib import Path
from typing import assert_type

import mirror
from mirror import Action, BucketUrl, Config, Entry, FailedFile, Progress, Result, Summary, sync


class Told(Progress):
    """Keeps what is reported to it, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.bytes = 0

    def planned(self, action: Action) -> None:
        """An asset is to be fetched."""
        self.events.append(("planned", action.asset.key))

    def received(self, count: int) -> None:
        """Bytes came in."""
        self.bytes += count

    def done(self, action: Action, entry: Entry) -> None:
        """An asset is mirrored."""
        assert action.asset.key == entry.key
        self.events.append(("done", entry.key))

    def failed(self, action: Action | None, failure: FailedFile) -> None:
        """An asset could not be mirrored."""
        self.events.append(("failed", action.asset.key if action else str(failure.id)))


def mirrored(api_url: str, token: str, dest: Path, progress: Progress | None = None) -> Result:
    """One run, with settings of every kind."""
    config = Config(
        dest=str(dest),
        api_url=api_url,
        token=token,
        content_type=["video", "image", "audio"],
        limit_rate="500M",
        max_wait=2,
        max_attempts=2,
        min_free=0,
    )
    assert_type(config.settings.dest, Path | BucketUrl | None)
    assert_type(config.settings.jobs, int)
    result = sync(config, progress=progress)
    assert_type(result.summary, Summary)
    return result


def wrong_types() -> None:
    """Never called: mypy finds an error in each line, or else an idle comment."""
    Config(jobs="many")  # type: ignore[arg-type]
    Config(colour="red")  # type: ignore[call-arg]
    sync(Config(), progres=None)  # type: ignore[call-arg]
    mirror.snyc  # type: ignore[attr-defined]  # noqa: B018
