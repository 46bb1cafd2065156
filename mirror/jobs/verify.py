"""`verify`: re-hash every file against the manifest; without a lock, for it changes none of them.

What it found is kept for `status`, which hashes nothing.
"""

import concurrent.futures
import contextlib
import itertools
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

from msgspec import Struct, field

from mirror.clock import now_iso
from mirror.models import ROLES, Entry, Role, StoredFile, to_json
from mirror.progress import Progress
from mirror.stopping import Stop
from mirror.storage import runs as log
from mirror.storage.hashing import hash_file
from mirror.storage.layout import composed
from mirror.storage.manifest import Manifest
from mirror.storage.root import Root
from mirror.storage.runs import VERIFIED, Verified
from mirror.text import decodable

_TICK_S = 0.2
_AHEAD = 16
"""Files that wait for each thread."""

Problem = Literal["missing", "damaged"]
Record = tuple[Entry, Role, StoredFile]
_Outcome = Problem | Literal["vouched"] | None


class Finding(Struct, frozen=True):
    """A recorded file that is not as recorded.

    Attributes:
        path: relative to the root.
        problem: `missing`, or `damaged`: other bytes, or unreadable.
    """

    id: str
    update_time_ms: int = field(name="updateTime")
    role: Role
    path: str
    problem: Problem


class Findings(Struct):
    """What `verify` found, and with `--repair` what became of it.

    Attributes:
        checked: files that were compared.
        by_checksum: how many of these by the server's checksum alone, in a bucket.
        bytes: of these.
        wrong: what is not as recorded.
        extra: files in the tree that no entry names; no fault, and left alone.
        fetched: paths that were fetched again.
        restored: paths that were restored from copies in the mirror.
        failed: paths that could not be restored yet; a later repair may succeed.
        lost: paths whose bytes are nowhere here, and no longer at Kling.
    """

    checked: int = 0
    by_checksum: int = 0
    bytes: int = 0
    wrong: list[Finding] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def left(self) -> set[str]:
        """The paths of what is still wrong."""
        return {finding.path for finding in self.wrong} - {*self.fetched, *self.restored}

    @property
    def is_sound(self) -> bool:
        """Whether every recorded file is there, now."""
        return not self.left


def check(
    root: Root, *, jobs: int, progress: Progress, stop: Stop, reads_all: bool = True
) -> Findings:
    """Re-hash every file.

    A sync may be at work at the same time: what looks wrong is compared again with the
    manifest at the end.

    Args:
        root: open.
        jobs: files hashed at a time.
        progress: notified of files and bytes.
        stop: ends the work when it is set.
        reads_all: False if a bucket's own checksum of an object is enough, where it has the right
            one; then only the others are downloaded.

    Raises:
        Interrupted: stopped.
        ManifestError: it was damaged meanwhile.
    """
    findings = Findings()
    progress.expect(sum(1 for _ in recorded(root.manifest)))
    wrong: list[tuple[Finding, StoredFile]] = []
    checked = _checked(root, jobs, progress, stop, reads_all=reads_all)
    for (entry, role, stored), problem in checked:
        progress.advance(1)
        findings.checked += 1
        findings.bytes += stored.size
        if problem == "vouched":
            findings.by_checksum += 1
        elif problem is not None:
            finding = Finding(entry.id, entry.update_time_ms, role, stored.path, problem)
            wrong.append((finding, stored))
    extra = _without_entry((found.path for found in root.storage.walk("tree")), root.manifest)
    if wrong or extra:
        now = root.manifest_now()
        still = {stored for _, _, stored in recorded(now)}
        wrong = [(finding, stored) for finding, stored in wrong if stored in still]
        extra = _without_entry(extra, now)
    findings.wrong = [finding for finding, _ in wrong]
    findings.extra = sorted(map(decodable, extra))
    note(root, findings.left, by_checksum=findings.by_checksum)
    return findings


def note(
    root: Root, wrong: Collection[str], *, by_checksum: int = 0, may_lack: bool = False
) -> None:
    """Keep for `status` which files are damaged; a disk that cannot be written has no room for it.

    Args:
        root: open.
        wrong: paths of recorded files; what is missing or cut `status` sees for itself.
        by_checksum: how many files were not read, as `Findings` has it.
        may_lack: whether the manifest was just made anew, and may lack what earlier runs mirrored.
    """
    earlier = log.last_verified(root.storage)
    runs_before = earlier.runs_before if earlier is not None else 0
    if may_lack:
        runs_before = len(log.read(root.storage))
    damaged = [
        stored
        for _, _, stored in recorded(root.manifest)
        if stored.path in wrong and root.storage.is_intact(stored)
    ]
    verified = Verified(now_iso(), damaged, runs_before, by_checksum)
    with contextlib.suppress(OSError):
        root.storage.write_document(VERIFIED, to_json(verified))


def _checked(
    root: Root, jobs: int, progress: Progress, stop: Stop, *, reads_all: bool
) -> Iterator[tuple[Record, _Outcome]]:
    """Each recorded file, in order, and what is wrong with it.

    Only as many files are queued as keep the threads busy, so a large mirror needs no more memory.
    """

    def read(count: int) -> None:
        stop.check()
        progress.received(count)

    def outcome_of(stored: StoredFile) -> _Outcome:
        stop.check()
        try:
            if not reads_all and root.storage.vouches_for(stored):
                return "vouched"
            found = hash_file(root.storage.open(stored.path), on_chunk=read).sha256
        except FileNotFoundError:
            return "missing"
        except OSError:
            return "damaged"
        return None if found == stored.sha256 else "damaged"

    records = recorded(root.manifest)
    with ThreadPoolExecutor(jobs, thread_name_prefix="verify") as pool:
        waiting: deque[tuple[Record, Future[_Outcome]]] = deque()
        while True:
            for record in itertools.islice(records, jobs * _AHEAD - len(waiting)):
                waiting.append((record, pool.submit(outcome_of, record[2])))
            if not waiting:
                return
            record, future = waiting.popleft()
            while not future.done():  # a signal is looked at between two waits
                concurrent.futures.wait([future], timeout=_TICK_S)
                stop.check()
            yield record, future.result()


def recorded(manifest: Manifest) -> Iterator[Record]:
    """Every recorded file, with its entry and its role."""
    for entry in manifest.entries.values():
        for role in ROLES:
            if (stored := entry.file(role)) is not None:
                yield entry, role, stored


def _without_entry(paths: Iterable[str], manifest: Manifest) -> list[str]:
    """The files that no entry names."""
    known = {stored.path for _, _, stored in recorded(manifest)}
    return [path for path in paths if composed(path) not in known]
