"""`verify`: re-hash every file against the manifest; without a lock, for it changes nothing."""

import concurrent.futures
import hashlib
import os
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from mirror.layout import PRIVATE_FOLDER
from mirror.manifest import BACKUP_NAME, NAME, SUMS_NAME, Manifest
from mirror.models import ROLES, Entry, Progress, Role, StoredFile
from mirror.stopping import Stop
from mirror.store import Store

_CHUNK_BYTES = 1 << 20
_TICK_S = 0.2
_NOT_ASSETS = frozenset((PRIVATE_FOLDER, "gallery", NAME, BACKUP_NAME, SUMS_NAME))


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
    problem: Literal["missing", "damaged"]


class Findings(Struct):
    """What `verify` found, and with `--repair` what became of it.

    Attributes:
        checked: files that were hashed.
        bytes: of these.
        wrong: what is not as recorded.
        extra: files in the tree that no entry names; nobody's fault, and left alone.
        fetched: paths that were fetched afresh.
        restored: paths that were restored from `history/` or `trash/`.
        failed: paths that Kling has, and that could not be fetched today.
        lost: paths that nobody has any more.
    """

    checked: int = 0
    bytes: int = 0
    wrong: list[Finding] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether every recorded file is there, now."""
        return len(self.wrong) == len(self.fetched) + len(self.restored)


def check(
    store: Store, manifest: Manifest, *, jobs: int, progress: Progress, stop: Stop
) -> Findings:
    """Re-hash every file.

    A sync may be at work at the same time: what looks wrong is held against the manifest as it is
    in the end.

    Args:
        store: the root.
        manifest: loaded.
        jobs: files hashed at a time.
        progress: told of files and bytes.
        stop: asked to stop through it.

    Raises:
        Interrupted: stopped.
        ManifestError: it was damaged meanwhile.
    """
    findings = Findings()
    files = list(_recorded(manifest))
    progress.expect(len(files))

    def problem_of(stored: StoredFile) -> Literal["missing", "damaged"] | None:
        try:
            if store.path(stored.path).is_symlink():
                return "damaged"  # the bytes are elsewhere, whatever they are
            found = _sha256(store.path(stored.path), progress, stop)
        except FileNotFoundError:
            return "missing"
        except OSError:
            return "damaged"
        return None if found == stored.sha256 else "damaged"

    with ThreadPoolExecutor(jobs, thread_name_prefix="verify") as pool:
        problems = [pool.submit(problem_of, stored) for _, _, stored in files]
        for (entry, role, stored), future in zip(files, problems, strict=True):
            while not future.done():  # a signal is looked at between two waits
                concurrent.futures.wait([future], timeout=_TICK_S)
                stop.check()
            problem = future.result()
            progress.advance(1)
            findings.checked += 1
            findings.bytes += stored.size
            if problem is not None:
                findings.wrong.append(
                    Finding(entry.id, entry.update_time_ms, role, stored.path, problem)
                )
    now = Manifest(store.dest, store.journal)
    now.load()
    still = {stored: (entry.id, role) for entry, role, stored in _recorded(now)}
    paths = {stored.path: stored for _, _, stored in files}
    findings.wrong = [it for it in findings.wrong if paths[it.path] in still]
    findings.extra = sorted(files_in_tree(store.dest) - {_same(stored.path) for stored in still})
    return findings


def in_words(findings: Findings) -> list[str]:
    """The findings for people, a line each; the verdict comes last."""
    repaired = {*findings.fetched, *findings.restored}
    told = repaired.union(findings.failed, findings.lost)
    lines = [f"{it.problem}: {it.path}" for it in findings.wrong if it.path not in told]
    lines += [f"fetched again: {path}" for path in findings.fetched]
    lines += [f"restored from history or trash: {path}" for path in findings.restored]
    lines += [f"could not be fetched today: {path}" for path in findings.failed]
    lines += [f"lost, Kling has it no more: {path}" for path in findings.lost]
    lines += [f"not ours: {path}" for path in findings.extra]
    left = len(findings.wrong) - len(repaired)
    verdict = "every file is as recorded" if not left else f"{left:,} are missing or damaged"
    hint = (
        ""
        if not left or len(told) > len(repaired)
        else "; `kling-mirror verify --repair` mends them"
    )
    return [*lines, f"{findings.checked:,} files checked: {verdict}{hint}"]


def sha256_of(path: Path) -> str:
    """A file's hash.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(path: Path, progress: Progress, stop: Stop) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            stop.check()
            hasher.update(chunk)
            progress.received(len(chunk))
    return hasher.hexdigest()


def _recorded(manifest: Manifest) -> Iterator[tuple[Entry, Role, StoredFile]]:
    for entry in manifest.entries.values():
        for role in ROLES:
            if (stored := entry.file(role)) is not None:
                yield entry, role, stored


def files_in_tree(dest: Path) -> set[str]:
    """Every file below the root that could be an asset's, as our paths are written."""
    found = set()
    for folder, names, files in os.walk(dest):
        if Path(folder) == dest:
            names[:] = [name for name in names if name not in _NOT_ASSETS]
            files = [name for name in files if name not in _NOT_ASSETS]  # noqa: PLW2901 - as above
        for name in files:
            found.add(_same((Path(folder) / name).relative_to(dest).as_posix()))
    return found


def _same(path: str) -> str:
    return unicodedata.normalize("NFC", path)  # macOS may give names back decomposed
