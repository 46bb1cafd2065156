"""What `import` did, as it is told: to programs by `--json`, to people in words."""

from msgspec import Struct, field

from mirror.jobs.proving import Proof
from mirror.models import FailedFile, ListingCounts, Role
from mirror.text import counted, size

_SHOWN = 20


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


class Different(Struct, frozen=True):
    """A file that has the name of a listed asset, and is not it, as far as can be told.

    Attributes:
        source: in the folder, absolute.
    """

    id: str
    update_time_ms: int = field(name="updateTime")
    role: Role
    source: str
    why: str


class Missing(Struct, frozen=True):
    """A file that was not found."""

    id: str
    update_time_ms: int = field(name="updateTime")
    role: Role
    name: str | None


class Adopted(Struct):
    """What `import` did; `import --json` prints it.

    Attributes:
        dest: the mirror's root.
        folder: where files were looked for.
        adopted: what is in the mirror now, and was not before.
        differs: what looked like a listed asset, and is not it.
        no_match: what is listed, and has nothing like it in the folder.
        mirrored: files of the folder whose very bytes were in the mirror already.
        unused: files of the folder that are in none of these lists.
        left: how many files `sync` has still to fetch.
        compared_bytes: how much was fetched to compare.
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
    differs: list[Different]
    no_match: list[Missing]
    mirrored: list[str]
    unused: list[str]
    left: int
    compared_bytes: int
    failures: list[FailedFile]
    started: str
    duration_s: float


def in_words(told: Adopted) -> list[str]:
    """What was done, for people; the sum comes last."""
    lines = [f"differs: {it.source}: {it.why}" for it in told.differs[:_SHOWN]]
    if (hidden := len(told.differs) - _SHOWN) > 0:
        lines.append(f"{hidden:,} more differ; --json names them all")
    count, amount = len(told.adopted), size(sum(it.size for it in told.adopted))
    parts = [f"{counted(count, 'file')} adopted ({amount})" if count else "nothing adopted"]
    if told.differs:
        parts.append(f"{len(told.differs):,} differ")
    if told.left:
        parts.append(f"{told.left:,} left for `kling-mirror sync` to fetch")
    if told.mirrored:
        parts.append(f"{len(told.mirrored):,} were mirrored already")
    if told.unused:
        parts.append(f"{len(told.unused):,} in the folder belong to nothing that is listed")
    return [*lines, "; ".join(parts)]
