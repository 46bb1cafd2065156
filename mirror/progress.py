"""The events of a run, for those who follow it."""

from collections.abc import Callable, Sequence

from mirror.models import Action, Entry, FailedFile


class Progress:
    """What a run reports while it is under way. Called from one thread.

    Each method does nothing: a subclass overrides those that it needs. What a method raises ends
    the run.
    """

    def listing(self) -> None:
        """Note that the listing begins: until `listed`, the number of files is not known."""

    def listed(self) -> None:
        """Note that every file is expected by now, but for what is uploaded meanwhile."""

    def expect(self, files: int) -> None:
        """Expect this many more files; fewer, if it is negative."""

    def advance(self, files: int) -> None:
        """Count this many of the expected files as finished."""

    def planned(self, action: Action) -> None:
        """Note what is planned for a listed asset."""

    def received(self, count: int) -> None:
        """Count the bytes of files as they arrive."""

    def done(self, action: Action, entry: Entry) -> None:
        """Note an asset that is mirrored, durable and recorded."""

    def failed(self, action: Action | None, failure: FailedFile) -> None:
        """Note a file that could not be mirrored; the next run tries again.

        Args:
            action: what was planned; None for an item that could not be read.
            failure: which file, and why.
        """

    def warn(self, text: str) -> None:
        """Warn of something that does not end the run."""


_EVENTS = tuple(name for name in vars(Progress) if not name.startswith("_"))


def several(*listeners: Progress) -> Progress:
    """A progress that passes each event on to all listeners that override it, in their order."""
    passing = Progress()
    for event in _EVENTS:
        heard_by = [
            getattr(listener, event)
            for listener in listeners
            if getattr(type(listener), event) is not getattr(Progress, event)
        ]
        if len(heard_by) == 1:
            setattr(passing, event, heard_by[0])
        elif heard_by:
            setattr(passing, event, _each(heard_by))
    return passing


def _each(calls: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def call(*arguments: object) -> None:
        for one in calls:
            one(*arguments)

    return call
