"""Every error that leaves a module of ours, each with its exit code.

    MirrorError                 what, where, hint; exit 1
    ├── UsageError              2   wrong flags, config or token
    ├── AssetError              3   one asset: recorded, the others go on
    │   └── FetchError          3   its bytes could not be fetched
    │       ├── ExpiredUrlError 3   its URL no longer answers: look it up again
    │       └── TooSlowError    3   its bytes only drip
    ├── AccessError             4   token, subscription or account refused
    ├── ListingError            5   the listing cannot be trusted
    ├── DiskError               6   full, read-only, not mounted, not a folder
    ├── ApiError                7   unreachable, failing, refusing, not a listing
    ├── ManifestError           8   newer than we are, or damaged
    ├── LockedError             11  another run works on the same folder
    └── Interrupted             129, 130 or 143, by the signal

Errors of libraries and of the system (httpx, libcurl, OSError, msgspec) are translated where they
occur, and go no further.
"""

import enum
from typing import Self


class Then(enum.StrEnum):
    """What a scheduler should do after a run: the exit code alone decides."""

    DONE = "done"
    SKIP = "skip"
    LATER = "again later"
    CALL = "call somebody"


class ExitCode(enum.IntEnum):
    """The exit codes: the only source for `--help`, man page and documents.

    A row for each: the code, its rank, what it means, how such a run ended, what comes then.

    Attributes:
        rank: of several errors of one run, the one of the highest rank gives the exit code.
        meaning: what it says of a command.
        story: how such a run ended, in words that follow "the last run".
        then: what a scheduler should do.
    """

    rank: int
    meaning: str
    story: str
    then: Then

    def __new__(cls, code: int, rank: int, meaning: str, story: str, then: Then) -> Self:
        """A code with what is said of it."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.rank = rank
        member.meaning = meaning
        member.story = story
        member.then = then
        return member

    COMPLETE = 0, 0, "complete", "was complete", Then.DONE
    UNEXPECTED = (
        1,
        20,
        "unexpected error; or `status --max-age` or `verify` found that something is wrong",
        "ended with an unexpected error",
        Then.CALL,
    )
    USAGE = (
        2,
        80,
        "wrong flags or config, or no token",
        "could not begin: a setting is missing or wrong",
        Then.CALL,
    )
    SOME_FAILED = (
        3,
        10,
        "some assets failed or could not be read, the rest is safe; the next run tries again",
        "could not mirror some assets",
        Then.LATER,
    )
    ACCESS = (
        4,
        50,
        "token, subscription or account refused",
        "was refused: the token, the subscription or the account",
        Then.CALL,
    )
    LISTING = (
        5,
        30,
        "the listing cannot be trusted, or too much vanished from it: nothing was marked gone",
        "could not trust the listing, and marked nothing gone",
        Then.CALL,
    )
    DISK = (
        6,
        60,
        "the disk: full, below the reserve, read-only, no permission, not a folder, not mounted",
        "was stopped by a problem with the disk",
        Then.CALL,
    )
    API = (
        7,
        40,
        "the API could not be reached, kept failing, refused the request, or sent no listing",
        "could not reach the API, or got no listing from it",
        Then.LATER,
    )
    MANIFEST = (
        8,
        70,
        "the manifest is newer than this program, or damaged: nothing was touched",
        "found the manifest damaged, or newer than the program",
        Then.CALL,
    )
    LOCKED = (
        11,
        90,
        "another run is at work on the same folder",
        "found another run at work",
        Then.SKIP,
    )
    SIGHUP = (
        129,
        100,
        "stopped by SIGHUP: its terminal was closed",
        "was stopped by SIGHUP",
        Then.LATER,
    )
    SIGINT = 130, 100, "stopped by Ctrl-C (SIGINT)", "was stopped by Ctrl-C", Then.LATER
    SIGTERM = 143, 100, "stopped by SIGTERM", "was stopped by SIGTERM", Then.LATER

    @classmethod
    def of_signal(cls, signum: int) -> Self:
        """The code of a run that a signal stopped; any signal without a code counts as SIGINT."""
        codes = {int(code): code for code in cls}
        return codes.get(128 + signum, codes[130])


class MirrorError(Exception):
    """An error that a person can act on.

    Attributes:
        what: one sentence, without a full stop: what went wrong.
        where: the file, URL or setting it concerns, or "".
        hint: what to do about it, or ""; a traceback shows it as a note.
    """

    exit_code: ExitCode = ExitCode.UNEXPECTED

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        if hint:
            self.add_note(hint)

    def __str__(self) -> str:
        """One line for a log or the manifest: what, and where."""
        line = f"{self.what} ({self.where})" if self.where else self.what
        return line.encode(errors="replace").decode()  # a path may hold bytes of any kind


class UsageError(MirrorError):
    """Flags, environment, config file or token are missing or wrong."""

    exit_code = ExitCode.USAGE


class AssetError(MirrorError):
    """One asset could not be mirrored; it is recorded and tried again in the next run."""

    exit_code = ExitCode.SOME_FAILED


class FetchError(AssetError):
    """The bytes of one file could not be fetched.

    Attributes:
        retryable: whether the same request may succeed in a moment.
        retry_after_s: how long the server asked us to wait, if it did.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        retryable: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(what, where=where)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class ExpiredUrlError(FetchError):
    """The CDN answered 401, 403, 404 or 410: the listed URL is stale, a fresh one may work."""


class TooSlowError(FetchError):
    """The bytes of a file only drip: what came of it is no progress that would be waited for."""


class AccessError(MirrorError):
    """The API refused the token, the subscription or the account (401, 402, 403, 404, 596).

    Attributes:
        status: the HTTP status, or None when it was not the API that refused.
    """

    exit_code = ExitCode.ACCESS

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", status: int | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status


class ListingError(MirrorError):
    """The listing contradicts itself, or too much vanished from it."""

    exit_code = ExitCode.LISTING


class DiskError(MirrorError):
    """The mirror folder cannot be read or written as it must be."""

    exit_code = ExitCode.DISK


class ApiError(MirrorError):
    """The API could not be reached, kept failing, refused the request or sent no listing.

    Attributes:
        retryable: whether the same request may succeed in a moment.
        retry_after_s: how long the API asked us to wait, if it did.
        status: the HTTP status, or None when no answer came.
    """

    exit_code = ExitCode.API

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        hint: str = "",
        retryable: bool = False,
        retry_after_s: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.status = status


class ManifestError(MirrorError):
    """The manifest is newer than this program, missing where it must be, or damaged.

    Attributes:
        is_newer: whether it is whole, and only this program too old.
    """

    exit_code = ExitCode.MANIFEST

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", is_newer: bool = False
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.is_newer = is_newer


class LockedError(MirrorError):
    """Another run holds the mirror's lock."""

    exit_code = ExitCode.LOCKED


class Interrupted(MirrorError):  # noqa: N818 - a request of the user's, not a fault
    """A signal, or a Python caller's `Stop`, asked the run to stop."""

    def __init__(self, signum: int) -> None:
        super().__init__("stopped", hint="what is complete is kept; run it again to go on")
        self.exit_code = ExitCode.of_signal(signum)
