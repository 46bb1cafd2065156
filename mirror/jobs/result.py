"""The results of a run so far: counts, failures, errors; in the end, its summary."""

import contextlib
import copy
import threading
import time
from collections.abc import Iterator, Sequence, Set
from typing import Self

from msgspec import Struct

from mirror.clock import now_iso
from mirror.errors import AssetError, ExitCode, MirrorError
from mirror.models import (
    AssetCounts,
    FailedFile,
    FileCounts,
    Kind,
    ListingCounts,
    RunError,
    Scope,
    Summary,
)
from mirror.net.listing import Listing
from mirror.places import Place
from mirror.storage.durable import disk_error
from mirror.text import counted


class Result(Struct):
    """How a run ended.

    Attributes:
        summary: what was done, however the run ended.
        errors: why it is not complete, besides assets that failed; the worst gives the exit code.
        has_news: whether anything happened that a person should hear of.
        has_new_failures: whether a file failed that did not, or not so, in the last run.
    """

    summary: Summary
    errors: list[MirrorError]
    has_news: bool
    has_new_failures: bool = True

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command line; only `COMPLETE` is a complete mirror."""
        return ExitCode(self.summary.exit_code)  # type: ignore[call-arg] # looked up, not made

    def raise_for_errors(self) -> Self:
        """Go on with a complete mirror only.

        Raises:
            MirrorError: the worst error; an `AssetError` where nothing else went wrong than that
                assets failed.
        """
        for error in self.errors:
            if error.exit_code == self.exit_code:
                raise error
        if failures := self.summary.failures:
            first = failures[0]
            raise AssetError(
                f"{counted(len(failures), 'asset')} could not be mirrored: {first.error}",
                where=f"asset {first.id or '(no id)'}",
                hint="the next run tries again",
            )
        return self


class Tally:
    """The run's counts, filled in by everything that works on it.

    Args:
        dest: the mirror's root.
        scope: what was asked for.

    Attributes:
        accounts: the emails that are mirrored; None for the subscription's only one.
        listings: every listing that was started.
        complete: the listings that were walked to their end.
        failures: the assets that failed.
        has_news: set when a record changed without a file.
        has_new_failures: set when a file failed that did not, or not so, in the last run.
    """

    def __init__(self, dest: Place, scope: Scope | None = None) -> None:
        self.dest = dest
        self.accounts: list[str | None] = []
        self.listings: list[Listing] = []
        self.complete: list[Listing] = []
        self.failures: list[FailedFile] = []
        self.files = FileCounts()
        self.filtered = 0
        self.gone = 0
        self.has_news = False
        self.has_new_failures = False
        self._scope = scope or Scope()
        self._errors: list[tuple[str | None, MirrorError]] = []
        self._kinds = dict.fromkeys(Kind, 0)
        self._counting = threading.Lock()
        self._started = now_iso()
        self._began = time.monotonic()

    def count(self, kind: Kind, number: int = 1) -> None:
        """Count assets of this kind that are as they should be. Safe from any thread."""
        with self._counting:
            self._kinds[kind] += number

    def note(self, error: MirrorError, account: str | None = None) -> None:
        """Keep an error for the result, with the account whose listing it hinders."""
        self._errors.append((account, error))

    @contextlib.contextmanager
    def noting_errors(self, account: str | None = None) -> Iterator[None]:
        """Keep an error that is raised inside for the result, and go on after it."""
        try:
            yield
        except MirrorError as error:
            self.note(error, account)
        except OSError as error:
            self.note(disk_error(error, error.filename or self.dest), account)

    def met(self, code: ExitCode) -> bool:
        """Whether an error of this kind was noted."""
        return any(error.exit_code == code for _, error in self._errors)

    def result(self) -> Result:
        """How the run ended, or its state so far."""
        kinds = {kind.value: count for kind, count in self._kinds.items()}
        assets = AssetCounts(
            **kinds,
            listed=sum(kinds.values()) + len(self.failures),
            failed=len(self.failures),
            filtered=self.filtered,
            gone=self.gone,
        )
        summary = Summary(
            exit_code=self._exit_code(),
            dest=str(self.dest),
            accounts=[account for account in self.accounts if account is not None],
            listing=self._listing_counts(),
            assets=assets,
            files=self.files,
            failures=self.failures,
            started=self._started,
            duration_s=round(time.monotonic() - self._began, 3),
            scope=self._scope,
            errors=[
                RunError(account, error.exit_code, str(error)) for account, error in self._errors
            ],
        )
        did = assets.listed - assets.unchanged + assets.gone
        return Result(
            summary,
            self._distinct_errors(),
            has_news=self.has_news or did > 0,
            has_new_failures=self.has_new_failures,
        )

    def _distinct_errors(self) -> list[MirrorError]:
        """The errors, each text once, with the accounts that met it."""
        alike: dict[str, tuple[MirrorError, list[str]]] = {}
        for account, error in self._errors:
            _, accounts = alike.setdefault(str(error), (error, []))
            if account is not None and account not in str(error):
                accounts.append(account)
        return [_naming(error, accounts) for error, accounts in alike.values()]

    def _exit_code(self) -> ExitCode:
        codes = {error.exit_code for _, error in self._errors}
        if not codes:
            return ExitCode.SOME_FAILED if self.failures else ExitCode.COMPLETE
        return max(codes, key=lambda code: code.rank)

    def _listing_counts(self) -> ListingCounts:
        proven = [listing for listing in self.complete if listing.is_proven]
        return ListingCounts(
            assets=_distinct([listing.seen for listing in self.listings]),
            pages=sum(listing.page_count for listing in self.listings),
            walks=sum(listing.walks for listing in self.listings),
            proven=0 < len(self.accounts) == len(proven),
        )


def _distinct(sets: Sequence[Set[str]]) -> int:
    return len(sets[0]) if len(sets) == 1 else len(set().union(*sets))


def _naming(error: MirrorError, accounts: list[str]) -> MirrorError:
    """The error, with the accounts that it does not name yet."""
    if not accounts:
        return error
    where = f"for {', '.join(accounts)}"
    named = copy.copy(error)
    named.where = f"{error.where}, {where}" if error.where else where
    return named
