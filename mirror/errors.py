"""Every error that leaves a module of ours, each with its exit code.

    MirrorError                 what, where, hint; exit 1
    ├── UsageError              2   flags, config, token: the user can mend it
    ├── AssetError              3   one asset: recorded, the others go on
    │   └── FetchError          3   its bytes could not be fetched
    │       └── ExpiredUrlError 3   its URL no longer answers: look it up again
    ├── AccessError             4   token, subscription or account refused
    ├── ListingError            5   the listing cannot be trusted
    ├── DiskError               6   full, read-only, not mounted, not a folder
    ├── ApiError                7   unreachable, failing, refusing, not a listing
    ├── ManifestError           8   newer than we are, or damaged
    ├── LockedError             11  another run works on the same folder
    └── Interrupted             130 or 143, by the signal

Foreign errors (httpx, libcurl, OSError, msgspec) are translated where they arise and do not
travel further.
"""

import enum
import signal
from typing import Self


class ExitCode(enum.IntEnum):
    """What the process's exit status says: the one source of `--help`, man page and README.

    Attributes:
        meaning: in words.
    """

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """A code with its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    COMPLETE = 0, "complete"
    UNEXPECTED = 1, "unexpected error; `status --max-age` or `verify` found the mirror wanting"
    USAGE = 2, "usage or config, no token"
    SOME_FAILED = (
        3,
        "some assets failed or could not be read, the rest is safe; the next run tries again",
    )
    ACCESS = 4, "token, subscription or account refused"
    LISTING = (
        5,
        "the listing cannot be trusted, or too much vanished from it: nothing was marked gone",
    )
    DISK = (
        6,
        "the disk: full, below the reserve, read-only, no permission, not a folder, not mounted",
    )
    API = (
        7,
        (
            "the API could not be reached, kept failing, refused the request, or answered what is "
            "no listing"
        ),
    )
    MANIFEST = 8, "the manifest is newer than this program, or damaged: nothing was touched"
    LOCKED = 11, "another run is at work on the same folder"
    SIGINT = 130, "stopped by Ctrl-C (SIGINT)"
    SIGTERM = 143, "stopped by SIGTERM"

    @property
    def story(self) -> str:
        """How such a run ended, in words that follow "the last run"."""
        return _STORIES[self]


_STORIES = {
    ExitCode.COMPLETE: "was complete",
    ExitCode.UNEXPECTED: "met an unexpected error",
    ExitCode.USAGE: "could not begin: the settings do not say enough",
    ExitCode.SOME_FAILED: "could not mirror some assets",
    ExitCode.ACCESS: "was refused: the token, the subscription or the account",
    ExitCode.LISTING: "could not trust the listing, and marked nothing gone",
    ExitCode.DISK: "was hindered by the disk",
    ExitCode.API: "could not reach the API, or got no listing from it",
    ExitCode.MANIFEST: "found the manifest damaged, or newer than the program",
    ExitCode.LOCKED: "met another run",
    ExitCode.SIGINT: "was stopped by Ctrl-C",
    ExitCode.SIGTERM: "was stopped by SIGTERM",
}


class MirrorError(Exception):
    """An error that a person can act on.

    Attributes:
        what: one sentence, without a full stop: what went wrong.
        where: the file, URL or setting it concerns, or "".
        hint: what to do about it, or "".
    """

    exit_code: ExitCode = ExitCode.UNEXPECTED

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """One line for a log or the manifest: what, and where."""
        return f"{self.what} ({self.where})" if self.where else self.what


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
    """The mirror's folder cannot take what we have to write."""

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
    """SIGINT or SIGTERM asked the run to stop."""

    def __init__(self, signum: int) -> None:
        super().__init__("stopped", hint="what is complete is kept; run it again to go on")
        self.exit_code = ExitCode.SIGTERM if signum == signal.SIGTERM else ExitCode.SIGINT
