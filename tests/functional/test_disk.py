"""The disk in trouble: exit 6, one clear message, nothing lost, and the next run completes."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from mirror.demo.server import Request, Response
from mirror.demo.service import KlingService
from tests.conftest import Finished, RunProgram
from tests.lib.invariant import PRIVATE, Served, check_invariant, files_below, sha256_of
from tests.lib.library import Library
from tests.lib.mirrored import key_of
from tests.lib.paced import Paced
from tests.lib.processes import started, sync_arguments

_MB = 1_000_000


class _Silent(KlingService):
    """A service that does not announce how long its files are."""

    def file(self, request: Request) -> Response:
        """Answer a file in one chunk, of RFC 9112's kind."""
        response = super().file(request)
        if response.status == 200:
            response.headers["Transfer-Encoding"] = "chunked"
            body = bytes(response.body)
            response.body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        return response


class _AtOnce(Paced):
    """A service that sends the heads of four files at the same moment, then their bytes slowly."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(**options)
        self.pause_s = 0.05
        self._together = Barrier(4)

    def file(self, request: Request) -> Response:
        """Answer a file once others are asked for as well."""
        with contextlib.suppress(BrokenBarrierError):
            self._together.wait(timeout=10)
        return super().file(request)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts small disks, again with other options if wanted; away at the end of the test."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def do(*options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", disk],  # noqa: S607
            capture_output=True,
            check=False,
        )
        if done.returncode:
            reason = done.stderr.decode().strip()
            pytest.skip(f"a disk in trouble was not tested: no tmpfs can be mounted ({reason})")
        return disk

    try:
        yield do
    finally:
        while os.path.ismount(disk):
            subprocess.run(["umount", "-l", disk], check=True)  # noqa: S607


def _umount(disk: Path) -> None:
    subprocess.run(["umount", disk], check=True)  # noqa: S607


def _check_refused(done: Finished, *words: str) -> None:
    """The disk's exit code, and one message that a person can act on."""
    assert done.code == 6, done.err
    assert 1 <= len(done.err.splitlines()) <= 3, done.err
    assert done.err.count("kling-mirror: ") == 1
    for word in words:
        assert word in done.err


def _check_complete(dest: Path, library: Library) -> None:
    served = Served()
    served.note(library)
    entries = check_invariant(dest, served, is_settled=True)
    listed = {key_of(item) for items in library.accounts.values() for item in items}
    assert {key for key, entry in entries.items() if entry.state == "current"} == listed


def _snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Every file of the tree with its inode, time and hash."""
    return {
        str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns, sha256_of(path))
        for path in files_below(folder)
    }


# No room.


def test_a_disk_that_is_full_in_the_middle_of_a_file(
    library: Library, mount: Callable[..., Path], sync_to: RunProgram
) -> None:
    """A full disk ends the run in one message; what was recorded stays; more space completes it."""
    disk = mount("size=3m")
    for number in range(5):
        library.add(number, "image", size=50_000)
    with library.service(_Silent) as service:
        assert sync_to(service, disk / "mirror").code == 0
        before = (disk / "mirror" / "manifest.json").read_bytes()
        library.add(5, "image", size=5 * _MB)
        _check_refused(sync_to(service, disk / "mirror"), "full", "free some space")
        assert len(check_invariant(disk / "mirror")) == 5
        assert (disk / "mirror" / "manifest.json").read_bytes() == before
        mount("remount", "size=20m")
        done = sync_to(service, disk / "mirror")
        assert done.code == 0, done.err
    _check_complete(disk / "mirror", library)


def test_room_that_another_file_took(
    library: Library, mount: Callable[..., Path], sync_to: RunProgram
) -> None:
    """Once a stranger's file is removed the next run completes, from where this one came to."""
    disk = mount("size=6m")
    (disk / "stranger").write_bytes(bytes(4 * _MB))
    for number in range(6):
        library.add(number, "image", size=_MB // 2)
    with library.service(_Silent) as service:
        _check_refused(sync_to(service, disk / "mirror", "--jobs", "1"), "full")
        recorded = len(check_invariant(disk / "mirror"))
        (disk / "stranger").unlink()
        service.requests.clear()
        done = sync_to(service, disk / "mirror")
        assert done.code == 0, done.err
        assert len(service.cdn_requests()) <= 6 - recorded
    _check_complete(disk / "mirror", library)


def test_a_file_that_is_announced_to_be_too_big(
    library: Library, mount: Callable[..., Path], sync_to: RunProgram
) -> None:
    """A file that cannot fit is not started: the disk is not filled up for nothing."""
    disk = mount("size=3m")
    library.add(1, "image", size=4 * _MB)
    with library.service() as service:
        _check_refused(sync_to(service, disk / "mirror"), "disk", "free some space")
    assert not list(files_below(disk / "mirror" / PRIVATE / "partial"))
    assert shutil.disk_usage(disk).free > 2.5 * _MB


def test_the_reserve_is_kept(
    library: Library, mount: Callable[..., Path], sync_to: RunProgram
) -> None:
    """`--min-free` stops a run before it writes what would eat into the reserve."""
    disk = mount("size=8m")
    library.add(1, "image", size=_MB)
    with library.service() as service:
        done = sync_to(service, disk / "mirror", "--min-free", "7.5M")
        _check_refused(done, "--min-free")
        assert shutil.disk_usage(disk).free >= 7.5 * _MB
        assert not list(files_below(disk / "mirror" / PRIVATE / "partial"))
        assert sync_to(service, disk / "mirror", "--min-free", "6M").code == 0
    _check_complete(disk / "mirror", library)


def test_the_reserve_is_kept_by_all_transfers_together(
    library: Library, mount: Callable[..., Path], sync_to: RunProgram
) -> None:
    """Four files that fit one by one, but not together, do not eat into the reserve."""
    disk = mount("size=10m")
    for number in range(4):
        library.add(number, "image", size=_MB)
    with library.service(_AtOnce) as service:
        done = sync_to(service, disk / "mirror", "--min-free", "8M", "--jobs", "4")
    _check_refused(done, "--min-free")
    assert shutil.disk_usage(disk).free >= 8 * _MB


def test_the_reserve_is_kept_where_no_length_is_announced(
    library: Library, mount: Callable[..., Path], sync_to: RunProgram
) -> None:
    """A file whose length nobody knows is cut before it eats far into the reserve."""
    disk = mount("size=48m")
    library.add(1, "image", size=40 * _MB)
    with library.service(_Silent) as service:
        done = sync_to(service, disk / "mirror", "--min-free", "40M")
    _check_refused(done, "--min-free")
    assert shutil.disk_usage(disk).free >= 30 * _MB


# No permission.


def test_a_disk_that_turned_read_only(
    library: Library,
    mount: Callable[..., Path],
    sync_to: RunProgram,
    program: RunProgram,
) -> None:
    """A read-only disk is named so and keeps every byte; one can still look at the mirror."""
    disk = mount("size=8m")
    library.add(1)
    with library.service() as service:
        assert sync_to(service, disk / "mirror").code == 0
        before = _snapshot(disk)
        library.add(2)
        mount("remount", "ro")
        _check_refused(sync_to(service, disk / "mirror"), "read-only")
        assert program("status", "--dest", disk / "mirror").code == 0
        assert program("list", "--dest", disk / "mirror").code == 0
        assert _snapshot(disk) == before
        mount("remount", "rw")
        assert sync_to(service, disk / "mirror").code == 0
    _check_complete(disk / "mirror", library)


def test_a_folder_that_is_locked_against_changes(
    library: Library, dest: Path, sync_to: RunProgram
) -> None:
    """A folder of the tree that cannot be written is exit 6, and the run after the remedy heals."""
    library.add(1, "video")
    with library.service() as service:
        assert sync_to(service, dest).code == 0
        done = subprocess.run(["chattr", "+i", dest / "video"], capture_output=True, check=False)  # noqa: S607
        if done.returncode:
            pytest.skip(f"an immutable folder was not tested: {done.stderr.decode().strip()}")
        try:
            library.add(2, "video")
            library.add(3, "image")
            _check_refused(sync_to(service, dest, "--jobs", "1"), "permission", str(dest / "video"))
            check_invariant(dest)
        finally:
            subprocess.run(["chattr", "-i", dest / "video"], check=True)  # noqa: S607
        service.requests.clear()
        assert sync_to(service, dest).code == 0
        asked = {request.path for request in service.cdn_requests()}
        assert "/cdn/video/2" not in asked, "it was complete, and was asked for again"
    _check_complete(dest, library)


@pytest.fixture
def bound_by_permissions() -> tuple[str, ...]:
    """A command that starts a program which permissions bind, even where root runs the tests."""
    if os.geteuid() != 0:
        return ()
    command = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
    if (
        shutil.which("setpriv") is None
        or subprocess.run([*command, "true"], check=False).returncode
    ):
        pytest.skip("permissions were not tested: they do not bind root, and setpriv is missing")
    return command


@pytest.mark.parametrize("taken", [".", "image", f"{PRIVATE}/lock", f"{PRIVATE}/journal"])
def test_permission_taken_away(
    library: Library,
    environ: Mapping[str, str],
    dest: Path,
    bound_by_permissions: tuple[str, ...],
    taken: str,
) -> None:
    """What may not be written any more is exit 6, is named, and costs nothing."""

    def run() -> Finished:
        arguments = sync_arguments(service, dest)
        with started(environ, *arguments, under=bound_by_permissions) as process:
            out, err = process.communicate(timeout=60)
        return Finished(process.returncode, out.decode(), err.decode())

    library.add(1, "image")
    with library.service() as service:
        first = run()
        assert first.code == 0, first.err
        library.add(2, "image")
        mode = (dest / taken).stat().st_mode
        (dest / taken).chmod(mode & ~0o222)
        try:
            refused = run()
        finally:
            (dest / taken).chmod(mode)
        _check_refused(refused, "permission", str(dest / taken))
        check_invariant(dest)
        again = run()
        assert again.code == 0, again.err
    _check_complete(dest, library)


# Something else in the way.


@pytest.mark.parametrize("below", [(), ("mirror",)])
def test_a_file_where_the_root_should_be(
    library: Library, tmp_path: Path, sync_to: RunProgram, below: tuple[str, ...]
) -> None:
    """DEST, or a folder above it, that is a file: exit 6, and the file stays as it is."""
    file = tmp_path / "file"
    file.write_text("mine")
    with library.service() as service:
        _check_refused(sync_to(service, file.joinpath(*below)), "file", str(file))
    assert file.read_text() == "mine"


def test_a_file_where_a_type_folder_should_be(
    library: Library, dest: Path, sync_to: RunProgram
) -> None:
    """A file named `video` in the root: it stays, only videos fail, and none is fetched twice."""
    items = [library.add(number, ("video", "image")[number % 2]) for number in range(4)]
    dest.mkdir()
    (dest / "video").write_text("mine")
    with library.service() as service:
        done = sync_to(service, dest)
        assert done.code == 3
        failures = json.loads(done.out)["failures"]
        assert {row["id"] for row in failures} == {items[0]["id"], items[2]["id"]}
        assert f"in the way of a folder: {dest / 'video'}" in done.err
        assert (dest / "video").read_text() == "mine"
        assert len(check_invariant(dest)) == 2
        (dest / "video").unlink()
        service.requests.clear()
        assert sync_to(service, dest).code == 0
        assert not service.cdn_requests(), "they were complete, and were asked for again"
    _check_complete(dest, library)


# The volume is not there.


@pytest.mark.parametrize("is_there", [True, False])
def test_a_volume_that_is_not_mounted(
    library: Library,
    mount: Callable[..., Path],
    sync_to: RunProgram,
    *,
    is_there: bool,
) -> None:
    """Where a mirror has been and is not, no run writes, creates or plans anything: exit 6."""
    disk = mount("size=8m")
    library.add(1)
    with library.service() as service:
        assert sync_to(service, disk).code == 0
        _umount(disk)
        if not is_there:
            disk.rmdir()
        service.requests.clear()
        for options in ((), ("--dry-run",)):
            _check_refused(sync_to(service, disk, *options), "mounted", str(disk))
        assert not service.requests
    assert disk.exists() == is_there
    assert not is_there or not list(disk.iterdir())


def test_a_volume_that_is_not_mounted_is_known_by_any_name(
    library: Library, mount: Callable[..., Path], sync_to: RunProgram, tmp_path: Path
) -> None:
    """The root is the same one through a link or with `..` in its path."""
    disk = mount("size=8m")
    (tmp_path / "link").symlink_to(disk)
    library.add(1)
    with library.service() as service:
        assert sync_to(service, disk).code == 0
        _umount(disk)
        for name in (tmp_path / "link", tmp_path / "home" / ".." / "disk"):
            _check_refused(sync_to(service, name), "mounted")
    assert not list(disk.iterdir())


def test_a_root_without_its_marker(library: Library, dest: Path, sync_to: RunProgram) -> None:
    """A known root that lost its marker is left alone, byte for byte."""
    library.add(1)
    with library.service() as service:
        assert sync_to(service, dest).code == 0
        (dest / PRIVATE / "root.json").unlink()
        before = _snapshot(dest)
        library.add(2)
        _check_refused(sync_to(service, dest), "mounted")
    assert _snapshot(dest) == before


# Links that lead out.


@pytest.mark.parametrize("link", ["video", f"{PRIVATE}/partial", f"{PRIVATE}/history", PRIVATE])
def test_a_folder_that_is_a_link_leads_nothing_out(
    library: Library, dest: Path, tmp_path: Path, sync_to: RunProgram, link: str
) -> None:
    """A link in place of a folder of ours: exit 6, and nothing is written where it points."""
    outside = tmp_path / "outside"
    outside.mkdir()
    item = library.add(1, "video")
    with library.service() as service:
        if link == f"{PRIVATE}/history":  # only a second version goes there
            assert sync_to(service, dest).code == 0
            library.change(item, library.files["/cdn/video/1"].body + b"more")
        (dest / link).parent.mkdir(parents=True, exist_ok=True)
        (dest / link).symlink_to(outside)
        _check_refused(sync_to(service, dest), "link", str(dest / link))
    assert not list(outside.iterdir())
    check_invariant(dest)


def test_a_link_in_a_files_place_is_not_written_through(
    library: Library, dest: Path, tmp_path: Path, sync_to: RunProgram
) -> None:
    """A link where a file belongs is replaced by the file; what it points to stays as it is."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    library.add(1, "image")
    with library.service() as service:
        assert sync_to(service, dest).code == 0
        (stored,) = check_invariant(dest)[next(iter(check_invariant(dest)))].files()
        (dest / stored.path).unlink()
        (dest / stored.path).symlink_to(outside)
        assert sync_to(service, dest).code == 0
    assert outside.read_text() == "mine"
    assert not (dest / stored.path).is_symlink()
    _check_complete(dest, library)


def test_links_in_place_of_our_own_files(
    library: Library, dest: Path, tmp_path: Path, sync_to: RunProgram
) -> None:
    """No file of the mirror's own is written through a link to somewhere outside."""
    names = [
        "manifest.json.bak",
        "SHA256SUMS",
        ".manifest.json.tmp",
        f"{PRIVATE}/lock.json",
        f"{PRIVATE}/runs.jsonl",
    ]
    library.add(1, "image")
    with library.service() as service:
        assert sync_to(service, dest).code == 0
        for number, name in enumerate(names):
            (tmp_path / f"outside{number}").write_text("mine")
            (dest / name).unlink(missing_ok=True)
            (dest / name).symlink_to(tmp_path / f"outside{number}")
        library.add(2, "image")
        done = sync_to(service, dest)
    assert done.code in (0, 6), done.err
    written = [
        name
        for number, name in enumerate(names)
        if (tmp_path / f"outside{number}").read_text() != "mine"
    ]
    assert not written
    check_invariant(dest)


@pytest.mark.parametrize("name", ["journal", "lock"])
def test_a_link_in_place_of_journal_or_lock(
    library: Library, dest: Path, tmp_path: Path, sync_to: RunProgram, name: str
) -> None:
    """A journal or a lock that lies elsewhere is refused: exit 6."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    library.add(1, "image")
    with library.service() as service:
        assert sync_to(service, dest).code == 0
        (dest / PRIVATE / name).unlink()
        (dest / PRIVATE / name).symlink_to(outside)
        library.add(2, "image")
        _check_refused(sync_to(service, dest), str(dest / PRIVATE / name))
    assert outside.read_text() == "mine"
    check_invariant(dest)
