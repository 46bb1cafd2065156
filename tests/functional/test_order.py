"""The order of durable steps, read off the system calls that a real run makes.

A test cannot cut the power; but what a power cut may leave follows from this order alone: bytes,
then their name, then the promise.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mirror.demo.service import KlingService
from mirror.storage import syncfs
from tests.lib.invariant import PRIVATE, check_invariant
from tests.lib.library import Library
from tests.lib.processes import started, sync_arguments

_CALLS = (
    "openat,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,"
    "ftruncate,write,pwrite64"
)
_LINE = re.compile(r"(\d+) +(.*)")
_DONE = re.compile(r"(\w+)\((.*)\) += (-?\d+)", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class _Call:
    """One system call that succeeded; `began` and `ended` are lines of the trace."""

    name: str
    arguments: str
    began: int
    ended: int

    @property
    def descriptor(self) -> str:
        """The path of the descriptor that it was made on."""
        found = _DESCRIPTOR.match(self.arguments)
        return found[1] if found else ""

    @property
    def paths(self) -> list[str]:
        """The texts among its arguments."""
        return _TEXT.findall(self.arguments)

    @property
    def is_sync(self) -> bool:
        return self.name in ("fsync", "fdatasync")

    def is_sync_of_bytes(self, path: str) -> bool:
        """Whether it makes a file durable: alone, or with all others of its file system."""
        at_once = self.name == "syncfs" and self.descriptor == str(Path(path).parent)
        return at_once or (self.is_sync and self.descriptor == path)

    @property
    def is_rename(self) -> bool:
        return self.name.startswith("rename")

    @property
    def is_write(self) -> bool:
        return self.name in ("write", "pwrite64")


def _parsed(trace: str) -> list[_Call]:
    """The calls, in the order of their ends; one that another thread's interrupts is joined."""
    calls, open_calls = [], {}
    for number, line in enumerate(trace.splitlines()):
        found = _LINE.match(line)
        if found is None:
            continue
        thread, text = found.groups()
        began = number
        if text.endswith("<unfinished ...>"):
            open_calls[thread] = (number, text.removesuffix("<unfinished ...>"))
            continue
        if resumed := _RESUMED.match(text):
            began, start = open_calls.pop(thread)
            text = start + resumed[1]
        if (done := _DONE.match(text)) and int(done[3]) >= 0:
            calls.append(_Call(done[1], done[2], began, number))
    return calls


Trace = Callable[[KlingService], list[_Call]]


@pytest.fixture
def trace(environ: Mapping[str, str], dest: Path, tmp_path: Path) -> Trace:
    """Runs `sync` under strace, and gives its system calls."""
    if shutil.which("strace") is None:
        pytest.skip("the order of system calls was not tested: strace is not installed")
    trial = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "true"],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if trial.returncode:
        reason = trial.stderr.decode().strip()
        pytest.skip(f"the order of system calls was not tested: ptrace is refused ({reason})")

    def run(service: KlingService) -> list[_Call]:
        file = tmp_path / "trace"
        strace = ("strace", "-f", "-y", "-s", "1000000", "-e", f"trace={_CALLS}", "-o", str(file))
        with started(environ, *sync_arguments(service, dest), under=strace) as process:
            _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()
        return _parsed(file.read_text(errors="replace"))

    return run


def _first(calls: list[_Call], after: int, what: str, fits: Callable[[_Call], bool]) -> _Call:
    """The first call of a kind that begins after a line of the trace."""
    found = next((call for call in calls if call.began > after and fits(call)), None)
    assert found is not None, f"no {what} after line {after} of the trace"
    return found


def _last_before(calls: list[_Call], line: int, what: str, fits: Callable[[_Call], bool]) -> _Call:
    """The last call of a kind that ended before a line of the trace."""
    found = [call for call in calls if call.ended < line and fits(call)]
    assert found, f"no {what} before line {line} of the trace"
    return found[-1]


def _check_placed(calls: list[_Call], dest: Path, stored: str) -> None:
    """Bytes durable, then the name, then the name durable, then the promise, then that durable."""
    target, journal = str(dest / stored), str(dest / PRIVATE / "journal")
    rename = _first(calls, -1, f"rename to {stored}", lambda each: _is_rename_to(each, target))
    partial = rename.paths[0]
    assert partial.startswith(f"{dest / PRIVATE / 'partial'}/")
    flush = _last_before(
        calls,
        rename.began,
        f"fsync of {partial}",
        lambda each: each.is_sync_of_bytes(partial),
    )
    written = [each for each in calls if each.is_write and each.descriptor == partial]
    assert written
    assert all(each.ended < flush.began for each in written), f"{stored} is written after its fsync"
    folder = _first(
        calls,
        rename.ended,
        f"fsync of the folder of {stored}",
        lambda each: each.is_sync and each.descriptor == str(Path(target).parent),
    )
    promise = next(
        each
        for each in calls
        if each.is_write and each.descriptor == journal and f'\\"{stored}\\"' in each.arguments
    )
    assert folder.ended < promise.began, f"{stored} is promised before its name is durable"
    _first(
        calls,
        promise.ended,
        "fsync of the journal",
        lambda each: each.is_sync and each.descriptor == journal,
    )


def _is_rename_to(call: _Call, target: str) -> bool:
    return call.is_rename and call.paths[-1] == target


def _check_replaced(calls: list[_Call], path: Path) -> _Call:
    """A file of ours is replaced whole: written beside, durable, renamed, the name durable."""
    rename = _first(calls, -1, f"rename to {path}", lambda each: _is_rename_to(each, str(path)))
    beside = rename.paths[0]
    flush = _last_before(
        calls,
        rename.began,
        f"fsync of {beside}",
        lambda each: each.is_sync and each.descriptor == beside,
    )
    assert all(
        each.ended < flush.began
        for each in calls
        if each.is_write and each.descriptor == beside and each.ended < rename.began
    )
    return _first(
        calls,
        rename.ended,
        f"fsync of {path.parent}",
        lambda each: each.is_sync and each.descriptor == str(path.parent),
    )


def _is_sync_of(path: Path | str) -> Callable[[_Call], bool]:
    return lambda call: call.is_sync and call.descriptor == str(path)


def _is_record_of(journal: Path, text: str) -> Callable[[_Call], bool]:
    return lambda each: each.is_write and each.descriptor == str(journal) and text in each.arguments


def test_a_first_run_promises_nothing_before_it_is_durable(
    library: Library, dest: Path, trace: Trace
) -> None:
    """For each file: fsync, rename, fsync of its folder, journal, fsync of the journal.

    And each folder that is made is made durable in the one above before the first promise.
    """
    for number in range(6):
        library.add(number, ("video", "image", "audio")[number % 3], size=100_000)
    with library.service() as service:
        calls = trace(service)
    entries = check_invariant(dest)
    assert len(entries) == 6
    for entry in entries.values():
        for stored in entry.files():
            _check_placed(calls, dest, stored.path)
    promise = _first(calls, -1, "promise", _is_record_of(dest / PRIVATE / "journal", ""))
    made = {Path(each.paths[0]): each for each in calls if each.name.startswith("mkdir")}
    assert {dest, dest / PRIVATE, dest / "video"} <= made.keys()
    for folder, call in made.items():
        if folder.is_relative_to(dest) and call.began < promise.began:
            sync = _first(
                calls, call.ended, f"fsync of {folder.parent}", _is_sync_of(folder.parent)
            )
            assert sync.ended < promise.began


def test_a_large_batch_is_durable_at_once(library: Library, dest: Path, trace: Trace) -> None:
    """With one `syncfs` where the file system is known to honour it, in the same order."""
    library.fill(60, size=100)
    with library.service() as service:
        calls = trace(service)
    entries = check_invariant(dest)
    assert len(entries) == 60
    for entry in entries.values():
        for stored in entry.files():
            _check_placed(calls, dest, stored.path)
    descriptor = os.open(dest, os.O_RDONLY)
    is_honoured = syncfs.is_honoured(descriptor)
    os.close(descriptor)
    if not is_honoured:
        pytest.skip("syncfs was not tested: this file system is not known to honour it")
    assert any(call.name == "syncfs" for call in calls)
    of_files = [call for call in calls if call.is_sync and "/partial/" in call.descriptor]
    assert len(of_files) < 40, "most files are synced one by one"


def test_a_second_run_keeps_before_it_replaces(library: Library, dest: Path, trace: Trace) -> None:
    """The old version has a durable name and record in history before its place is taken.

    And manifest and SHA256SUMS are replaced whole and durably before the journal is emptied.
    """
    item = library.add(1, "image")
    with library.service() as service:
        trace(service)
        library.change(item, library.files["/cdn/image/1"].body + b"more")
        calls = trace(service)
    by_state = {entry.state: entry for entry in check_invariant(dest).values()}
    old, new = by_state["superseded"].resource, by_state["current"].resource
    assert old is not None
    assert new is not None
    _check_placed(calls, dest, new.path)
    _check_kept(calls, dest, old.path, new.path)
    _check_compacted(calls, dest)


def _check_kept(calls: list[_Call], dest: Path, old: str, new: str) -> None:
    journal, kept = dest / PRIVATE / "journal", dest / old
    name = _first(calls, -1, "rename into history", lambda each: _is_rename_to(each, str(kept)))
    folder = _first(calls, name.ended, "fsync of the folder in history", _is_sync_of(kept.parent))
    record = _first(calls, folder.ended, "record of the old version", _is_record_of(journal, old))
    durable = _first(calls, record.ended, "fsync of the journal", _is_sync_of(journal))
    place = _first(
        calls, -1, "rename into place", lambda each: _is_rename_to(each, str(dest / new))
    )
    assert durable.ended < place.began


def _check_compacted(calls: list[_Call], dest: Path) -> None:
    journal = dest / PRIVATE / "journal"
    promise = _first(calls, -1, "promise", _is_record_of(journal, ""))
    cut = _first(
        calls,
        promise.ended,
        "cut of the journal",
        lambda each: each.name == "ftruncate" and each.descriptor == str(journal),
    )
    assert cut.arguments.endswith(", 0")
    for name in ("manifest.json", "SHA256SUMS"):
        assert _check_replaced(calls, dest / name).ended < cut.began
    backup, manifest = (
        _first(
            calls,
            -1,
            f"rename to {name}",
            lambda each, name=name: _is_rename_to(each, str(dest / name)),  # type: ignore[misc]
        )
        for name in ("manifest.json.bak", "manifest.json")
    )
    assert backup.ended < manifest.began
