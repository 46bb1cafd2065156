"""A progress bar for notebooks and scripts that use the Python API."""

import warnings
from types import TracebackType
from typing import Any, Self

from mirror.models import Action, Entry, FailedFile
from mirror.progress import Progress


class ProgressBar(Progress):
    """A bar, as tqdm draws it in a notebook, in IPython or in a terminal.

        with ProgressBar() as bar:
            sync(config, progress=bar)

    Attributes:
        failures: the files that could not be mirrored, as they are met.
        warnings: what a person should know besides.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of widgets that are not installed: text is enough
            from tqdm.auto import tqdm  # noqa: PLC0415 - for those who see it

        self.failures: list[FailedFile] = []
        self.warnings: list[str] = []
        self._bar: Any = tqdm(total=0, unit=" files", leave=True)
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def expect(self, files: int) -> None:
        """Expect this many more files."""
        self._bar.total = (self._bar.total or 0) + files
        self._bar.refresh()

    def advance(self, files: int) -> None:
        """Count this many of the expected files as finished."""
        self._bar.update(files)

    def planned(self, action: Action) -> None:
        """Expect the files of an asset."""
        self.expect(len(action.fetch))

    def received(self, count: int) -> None:
        """Count the bytes of files as they arrive."""
        self._bytes += count
        self._bar.set_postfix_str(f"{self._bytes / 1_000_000:,.1f} MB", refresh=False)

    def done(self, action: Action, entry: Entry) -> None:  # noqa: ARG002 - the base's
        """Count an asset's files as finished."""
        self.advance(len(action.fetch))

    def failed(self, action: Action | None, failure: FailedFile) -> None:
        """Keep a file that could not be mirrored."""
        if action is not None:
            self.advance(len(action.fetch))
        self.failures.append(failure)

    def warn(self, text: str) -> None:
        """Keep a warning."""
        self.warnings.append(text)
