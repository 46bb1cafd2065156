"""File systems that differ from a usual one: bytes are never at risk, errors name the step."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunProgram
from tests.lib.bad_sector import bad_sectors
from tests.lib.invariant import PRIVATE, check_invariant, sha256_of
from tests.lib.library import ACCESS, Library
from tests.lib.mirrored import key_of, manifest_of
from tests.lib.misbehaving import Misbehaving
from tests.lib.mounts import mounted
from tests.lib.odd_disk import odd_disk
from tests.lib.processes import sync_arguments

ODDITIES = (
    "exdev",
    "no links",
    "no times",
    "no modes",
    "no sizes",
    "no locks",
    "locks refused",
    "locks unsupported",
)


def _change(library: Library, item: dict[str, Any]) -> None:
    body = library.files[f"/cdn/{item['contentType']}/{int(item['id'][-2:])}"].body
    library.change(item, body + b"more")


# What works.


@pytest.mark.parametrize(
    "oddities",
    [
        *(pytest.param((name,), marks=pytest.mark.soak) for name in ODDITIES),
        ("exdev", "no links", "no times", "no modes", "no sizes", "no locks"),
    ],
    ids=" and ".join,
)
def test_every_command_works(
    library: Library,
    service: Misbehaving,
    sync_to: RunProgram,
    program: RunProgram,
    dest: Path,
    *,
    tmp_path: Path,
    oddities: tuple[str, ...],
) -> None:
    """Mounts in the root; no links, times, modes, sizes or locks: all of it is mirrored."""
    odd = odd_disk(tmp_path, dest, *oddities)
    items = library.fill(3)
    assert sync_to(service, dest, env=odd).code == 0
    _change(library, items[0])
    done = sync_to(service, dest, env=odd)
    assert (done.code, '"changed":1,' in done.out) == (0, True), done.err
    service.requests.clear()
    assert sync_to(service, dest, env=odd).code == 0
    assert not service.cdn_requests()
    check_invariant(dest, is_settled=True)
    lines = (("verify",), ("status",), ("prune",), ("prune", "--empty-trash", "--yes"))
    for line in lines:
        done = program(*line, "--dest", dest, env=odd)
        assert (done.code, "kling-mirror: " in done.err) == (0, False), (line, done.err)
    check_invariant(dest, is_settled=True)
    assert {entry["state"] for entry in manifest_of(dest)["assets"].values()} == {"current"}


def test_a_name_that_changes_only_in_case(
    library: Library, service: Misbehaving, sync_to: RunProgram, dest: Path, tmp_path: Path
) -> None:
    """Where the file system ignores case, the new name is the old file's: it is not removed."""
    odd = odd_disk(tmp_path, dest, "no case", only="/video/")
    item = library.add(0, "video", name="Clip.mp4")
    assert sync_to(service, dest, env=odd).code == 0
    for name in ("clip.mp4", "CLIP.MP4", "cLip.mp4"):
        item["name"] = name
        _change(library, item)
        assert sync_to(service, dest, env=odd).code == 0
        entries = manifest_of(dest)["assets"].values()
        [now] = [entry["resource"] for entry in entries if entry["state"] == "current"]
        [there] = (dest / "video").glob("*.[mM][pP]4")
        assert Path(now["path"]).name == f"{Path(name).stem}-{item['id']}{Path(name).suffix}"
        assert there.name == Path(now["path"]).name.lower()
        assert sha256_of(there) == now["sha256"]
        assert there.read_bytes() == library.files["/cdn/video/0"].body


def test_a_mount_in_the_root(
    library: Library, service: Misbehaving, sync_to: RunProgram, dest: Path
) -> None:
    """The folder of a type is a disk of its own: files are copied there, no second copy stays."""
    (dest / "video").mkdir(parents=True)
    with mounted("tmpfs", dest / "video", "size=10m"):
        items = library.fill(3)
        assert sync_to(service, dest).code == 0
        _change(library, items[0])
        assert sync_to(service, dest).code == 0
        check_invariant(dest, is_settled=True)
        assert not [*(dest / PRIVATE / "partial").iterdir()]


def test_a_mirror_on_an_overlay(
    library: Library, service: Misbehaving, sync_to: RunProgram, program: RunProgram, tmp_path: Path
) -> None:
    """A mirror in the lower layer, as in a container's image, is continued in the upper one."""
    layers = tmp_path / "layers"
    layers.mkdir()
    with mounted("tmpfs", layers, "size=50m"):
        lower, upper, work, dest = (layers / name for name in ("lower", "upper", "work", "merged"))
        for folder in (upper, work, dest):
            folder.mkdir()
        items = library.fill(3)
        assert sync_to(service, lower).code == 0
        _change(library, items[0])
        with mounted("overlay", dest, f"lowerdir={lower},upperdir={upper},workdir={work}"):
            assert sync_to(service, dest).code == 0
            for line in ("verify", "prune"):
                assert program(line, "--dest", dest).code == 0
            check_invariant(dest, is_settled=True)


# A lock that the file system does not have.


@pytest.mark.parametrize("oddity", ["no locks", "locks refused"])
def test_two_runs_of_one_machine_are_kept_apart_without_locks(
    library: Library,
    service: Misbehaving,
    sync_to: RunProgram,
    program: RunProgram,
    dest: Path,
    *,
    environ: Mapping[str, str],
    tmp_path: Path,
    oddity: str,
) -> None:
    """The second run exits 11; and a run that was killed is not taken for one at work."""
    odd = odd_disk(tmp_path, dest, oddity)
    library.fill(3)
    assert sync_to(service, dest, env=odd).code == 0
    holding = (
        "import sys, time; from pathlib import Path; from mirror.storage.local import LocalFolder\n"
        "with LocalFolder(Path(sys.argv[1])).lock():\n"
        "    print('held', flush=True); time.sleep(20)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(dest)],
        env={**environ, **odd},
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = sync_to(service, dest, env=odd)
        assert (done.code, f"pid {holder.pid}" in done.err) == (11, True)
        assert f"process {holder.pid}" in program("status", "--dest", dest, env=odd).out
        holder.kill()
    assert "process" not in program("status", "--dest", dest, env=odd).out
    assert sync_to(service, dest, env=odd).code == 0


def test_two_machines_on_a_share_with_local_locks(
    library: Library, dest: Path, environ: Mapping[str, str], program: RunProgram, tmp_path: Path
) -> None:
    """Neither places the other's bytes; whoever finds a file changed exits 6; all is verified."""
    library.fill(20, size=20_000)
    with library.service() as service:
        machines = [
            subprocess.Popen(
                [sys.executable, "-m", "mirror", *map(str, sync_arguments(service, dest))],
                env={**environ, **ACCESS, "ODD_HOST": host}
                | odd_disk(tmp_path, dest, "local locks"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for host in ("one", "two")
        ]
        ended = [(*machine.communicate(timeout=60), machine.returncode) for machine in machines]
        for out, err, code in ended:
            assert code in (0, 6), err
            assert json.loads(out)["exit_code"] == code
        assert program("verify", "--dest", dest).code == 0
        again = program(*sync_arguments(service, dest), env=ACCESS)
        assert again.code == 0, again.err
        check_invariant(dest, is_settled=True)


# What does not work is said, with the step.


@pytest.mark.parametrize(
    ("oddity", "only", "words"),
    [
        ("rename keeps", "", ("does not replace", "rename failed")),
        ("stale", "", ("lost track", "rename failed")),
        ("fsync stale", "video", ("lost track", "fsync folder failed", "/video")),
        ("fsync fails", "partial", ("reports an error", "fsync failed", "/partial/")),
    ],
)
def test_an_error_names_the_step(
    library: Library,
    service: Misbehaving,
    sync_to: RunProgram,
    dest: Path,
    *,
    tmp_path: Path,
    oddity: str,
    only: str,
    words: tuple[str, ...],
) -> None:
    """Exit 6 with the step and the path; no advice to move the manifest; then all is mirrored."""
    library.fill(3)
    done = sync_to(service, dest, env=odd_disk(tmp_path, dest, oddity, only=only))
    assert (done.code, done.err.count("kling-mirror: ")) == (6, 1), done.err
    assert all(word in done.err for word in words), done.err
    assert "move" not in done.err
    assert sync_to(service, dest).code == 0
    check_invariant(dest, is_settled=True)


def test_bytes_whose_fsync_failed_are_fetched_again(
    library: Library, service: Misbehaving, sync_to: RunProgram, dest: Path, tmp_path: Path
) -> None:
    """The system may have dropped them: no note calls them complete, no entry is made of them."""
    library.fill(3)
    odd = odd_disk(tmp_path, dest, "fsync fails", only="partial")
    done = sync_to(service, dest, env=odd)
    assert done.code == 6
    spoilt = Path(done.err.splitlines()[1].strip())
    assert spoilt.parent == dest / PRIVATE / "partial"
    assert not spoilt.exists()
    assert not Path(f"{spoilt}.json").exists()
    assert check_invariant(dest) == {}
    service.requests.clear()
    assert sync_to(service, dest).code == 0
    assert service.cdn_requests(), "the file was not fetched again"
    check_invariant(dest, is_settled=True)


# One thing that cannot be changed stops no other.


def test_an_immutable_file_stops_no_other(
    library: Library, service: Misbehaving, sync_to: RunProgram, dest: Path
) -> None:
    """A file that may not be replaced keeps its own asset out, exit 3; all others are mirrored."""
    items = library.fill(3)
    assert sync_to(service, dest).code == 0
    (path,) = (dest / "video").glob("*.mp4")
    done = subprocess.run(["chattr", "+i", path], capture_output=True, check=False)  # noqa: S607
    if done.returncode:
        pytest.skip(f"an immutable file was not tested: {done.stderr.decode().strip()}")
    try:
        before = path.read_bytes()
        for item in items:
            _change(library, item)
        synced = sync_to(service, dest)
        assert (synced.code, str(path) in synced.err) == (3, True), synced.err
        assert path.read_bytes() == before
        assert manifest_of(dest)["assets"].keys() >= {key_of(item) for item in items[1:]}
        check_invariant(dest)
    finally:
        subprocess.run(["chattr", "-i", path], check=True)  # noqa: S607
    assert sync_to(service, dest).code == 0
    check_invariant(dest, is_settled=True)


# Documents on a bad sector.


@pytest.mark.parametrize("name", ["manifest.json", f"{PRIVATE}/journal"])
def test_a_manifest_on_a_bad_sector_is_rebuilt(
    library: Library,
    service: Misbehaving,
    sync_to: RunProgram,
    program: RunProgram,
    dest: Path,
    *,
    tmp_path: Path,
    name: str,
) -> None:
    """Exit 8 with the way out, which works: all files are known again, nothing is fetched."""
    library.fill(3)
    assert sync_to(service, dest).code == 0
    (dest / name).touch()
    odd = bad_sectors(tmp_path, [dest / name])
    for line in (("status",), ("verify",), ("sync", "--api-url", service.api_url)):
        done = program(*line, "--dest", dest, env={**odd, **ACCESS})
        assert done.code == 8, (line, done.err)
        assert "verify --rebuild" in done.err
    done = program("verify", "--rebuild", "--dest", dest, env=odd)
    assert done.code == 0, done.err
    assert "manifest rebuilt: 3 entries" in done.err
    service.requests.clear()
    assert sync_to(service, dest).code == 0
    assert not service.cdn_requests()
    assert program("verify", "--dest", dest).code == 0


# A folder that was replaced by a link.


def test_files_behind_a_link_are_not_in_the_mirror(
    library: Library, service: Misbehaving, sync_to: RunProgram, program: RunProgram, dest: Path
) -> None:
    """A type's folder moved away, with a link to it: missing, not safe, and never "complete"."""
    library.fill(3)
    assert sync_to(service, dest).code == 0
    elsewhere = dest.with_name("elsewhere")
    (dest / "video").rename(elsewhere)
    (dest / "video").symlink_to(elsewhere)
    assert program("verify", "--dest", dest).code != 0
    assert "Not safe" in program("status", "--dest", dest).out
    done = sync_to(service, dest)
    assert (done.code, "link" in done.err) == (6, True)
    (dest / "video").unlink()
    assert sync_to(service, dest).code == 0
    check_invariant(dest, is_settled=True)
