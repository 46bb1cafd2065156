"""What `import` did: `import --json` prints it."""

import enum

from msgspec import Struct, field

from mirror.models import FailedFile, ListingCounts, Role


class Proof(enum.StrEnum):
    """Why a file counts as the right one."""

    MANIFEST = "manifest"
    DIGEST = "digest"


class AdoptedFile(Struct, frozen=True):
    """A file that is in the mirror now.

    Attributes:
        path: in the mirror, relative to its root; "" in a dry run.
        source: in the folder, absolute.
        size: bytes.
    """

    id: str
    update_time_ms: int = field(name="updateTime")
    role: Role
    path: str
    source: str
    size: int
    proof: Proof


class RefusedFile(Struct, frozen=True):
    """A file that may belong to a listed asset by its name, but is not proved.

    Attributes:
        source: in the folder, absolute.
    """

    id: str
    update_time_ms: int = field(name="updateTime")
    role: Role
    source: str
    why: str


class MissingFile(Struct, frozen=True):
    """A listed file that no file in the folder resembles."""

    id: str
    update_time_ms: int = field(name="updateTime")
    role: Role
    name: str | None


class Adopted(Struct):
    """What `import` did.

    Attributes:
        dest: the mirror's root.
        folder: where files were looked for.
        adopted: files that are new in the mirror.
        refused: files that look like a listed asset, but are not proved.
        no_match: listed files that no file in the folder resembles.
        mirrored: files of the folder whose very bytes were in the mirror already.
        unused: files of the folder that are in none of these lists.
        left: how many files `sync` has still to fetch.
        failures: what could not be read or compared.
        started: ISO 8601 UTC.
        duration_s: seconds.
    """

    exit_code: int
    dest: str
    folder: str
    accounts: list[str]
    listing: ListingCounts
    adopted: list[AdoptedFile]
    refused: list[RefusedFile]
    no_match: list[MissingFile]
    mirrored: list[str]
    unused: list[str]
    left: int
    failures: list[FailedFile]
    started: str
    duration_s: float
