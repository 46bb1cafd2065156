"""`verify`: every byte is looked at; `--repair` and `--rebuild` mend what can be mended."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mirror.cli import main
from mirror.jobs import verify as verifying
from mirror.stopping import Stop
from mirror.storage.local import Store
from mirror.storage.manifest import Manifest
from tests.conftest import Finished, RunProgram
from tests.lib.effects import error
from tests.lib.invariant import Paced, check_invariant, serving, started, sync_arguments, wait_until
from tests.lib.library import EMAIL, TOKEN, Library, media
from tests.lib.mirrored import (
    check_mirror,
    check_records,
    entry_of,
    manifest_of,
    snapshot,
    stored_of,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import Notes, run_sync

Verify = Callable[..., Finished]
KINDS = ("video", "image", "audio")
OTHER = "other@example.com"
PRIVATE = ".kling-mirror"
STOPPED_WITHIN_S = 2.0
BIG = 200_000_000_000
"""Bytes of a sparse file that nobody can hash in a minute."""


@pytest.fixture
def verify(
    service: Misbehaving,
    dest: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Verify:
    """Runs `verify --json` in this process, with what `--repair` needs in its environment."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for name, value in _access(service).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Finished:
        capsys.readouterr()
        code = main(["verify", "--json", "--dest", str(dest), *arguments])
        told = capsys.readouterr()
        _check_told(told.out + told.err)
        return Finished(code, told.out, told.err)

    return run


@pytest.fixture
def tell(program: RunProgram, service: Misbehaving, dest: Path) -> Verify:
    """Runs `verify` in a process of its own, and in words."""

    def run(*arguments: str) -> Finished:
        done = program("verify", "--dest", dest, *arguments, env=_access(service))
        _check_told(done.out + done.err)
        assert done.out == ""
        return done

    return run


def _check_told(text: str) -> None:
    for secret in (TOKEN, "Traceback", "x-kcdn-pid"):
        assert secret not in text


@pytest.fixture
def items(service: Misbehaving, library: Library, dest: Path) -> list[dict[str, Any]]:
    """A video with its cover, an image and a sound, mirrored; the requests are forgotten."""
    items = [library.add(number, KINDS[number]) for number in range(3)]
    assert run_sync(service, dest).summary.exit_code == 0
    service.forget()
    return items


def _access(service: Misbehaving) -> dict[str, str]:
    """What a command needs to ask the service, with short waits."""
    return {
        "KLING_MIRROR_TOKEN": TOKEN,
        "KLING_MIRROR_API_URL": service.api_url,
        "KLING_MIRROR_MAX_ATTEMPTS": "2",
        "KLING_MIRROR_MAX_WAIT": "2",
        "KLING_MIRROR_MIN_FREE": "0",
    }


def _path(dest: Path, item: dict[str, Any], role: str = "resource") -> str:
    path: str = entry_of(dest, item)[role]["path"]
    return path


def _wrong(done: Finished) -> dict[str, str]:
    """What is wrong, by path."""
    findings = json.loads(done.out)["wrong"]
    assert all(set(it) == {"id", "updateTime", "role", "path", "problem"} for it in findings)
    return {it["path"]: it["problem"] for it in findings}


def _history(dest: Path) -> set[bytes]:
    folder = dest / PRIVATE / "history"
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _flip(path: Path) -> None:
    """Flip one bit in the middle; size and times stay."""
    found = path.stat()
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "missing"),
    "flipped": (_flip, "damaged"),
    "truncated": (lambda path: os.truncate(path, 100), "damaged"),
    "emptied": (lambda path: os.truncate(path, 0), "damaged"),
    "longer": (lambda path: os.truncate(path, 5000), "damaged"),
}
UNREADABLE: dict[str, Callable[[Path], object]] = {"a folder": _folder, "a loop": _loop}


# What it finds.


def test_a_sound_mirror_is_said_to_be_so(
    program: RunProgram, service: Misbehaving, library: Library, items: list[Any], dest: Path
) -> None:
    """Exit 0 over current, superseded and gone files; no token, no request, no byte changed."""
    library.change(items[0], media("video", "new"))
    library.delete(items[1])
    assert run_sync(service, dest).summary.exit_code == 0
    service.forget()
    before = snapshot(dest)
    stored = [stored for _, stored in stored_of(dest)]
    done = program("verify", "--json", "--dest", dest)
    assert (done.code, done.err) == (0, "")
    assert done.summary == {
        "checked": len(stored),
        "bytes": sum(it["size"] for it in stored),
        "wrong": [],
        "extra": [],
        "fetched": [],
        "restored": [],
        "failed": [],
        "lost": [],
    }
    told = program("verify", "--dest", dest)
    assert (told.code, told.out) == (0, "")
    assert told.err == f"{len(stored)} files checked: every file is as recorded\n"
    assert program("verify", "-q", "--dest", dest) == Finished(0, "", "")
    assert service.requests == []
    assert snapshot(dest) == before


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_as_recorded_is_named(
    tell: Verify, verify: Verify, items: list[Any], dest: Path, damage: str
) -> None:
    """Exit 1, each file at fault by its path and its problem, no other; and nothing is touched."""
    inflict, problem = DAMAGE[damage]
    video, image = _path(dest, items[0], "cover"), _path(dest, items[1])
    inflict(dest / video)
    inflict(dest / image)
    before = snapshot(dest)
    done = verify()
    assert (done.code, done.err) == (1, "")
    assert _wrong(done) == {video: problem, image: problem}
    assert done.summary["checked"] == 4
    told = tell()
    assert told.code == 1
    *lines, verdict = told.err.splitlines()
    assert sorted(lines) == sorted(f"{problem}: {path}" for path in (video, image))
    assert "2 are missing or damaged" in verdict
    assert "verify --repair" in verdict
    assert snapshot(dest) == before


@pytest.mark.parametrize("way", UNREADABLE)
def test_what_cannot_be_read_is_damaged(
    verify: Verify, items: list[Any], dest: Path, way: str
) -> None:
    """A file that cannot be opened is named, and the others are looked at all the same."""
    path = _path(dest, items[1])
    UNREADABLE[way](dest / path)
    done = verify()
    assert done.code == 1
    assert _wrong(done) == {path: "damaged"}
    assert done.summary["checked"] == 4


def test_a_file_without_permission_is_damaged(verify: Verify, items: list[Any], dest: Path) -> None:
    """A file that may not be read is named."""
    if os.geteuid() == 0:
        pytest.skip("files without permission were not tested: root may read every one")
    path = _path(dest, items[1])
    (dest / path).chmod(0)
    done = verify()
    assert done.code == 1
    assert _wrong(done) == {path: "damaged"}


def test_a_link_out_of_the_mirror_is_no_file_of_it(
    verify: Verify, items: list[Any], dest: Path, tmp_path: Path
) -> None:
    """A link to the very bytes elsewhere is not the file: `sync` would fetch it, so it is named."""
    path = _path(dest, items[1])
    shutil.move(dest / path, tmp_path / "elsewhere")
    (dest / path).symlink_to(tmp_path / "elsewhere")
    done = verify()
    assert done.code == 1
    assert set(_wrong(done)) == {path}


def test_files_that_nobody_recorded_are_named(
    tell: Verify, verify: Verify, items: list[Any], dest: Path
) -> None:
    """Exit 0: they are nobody's fault; but a person should know, so each is named and left."""
    assert items
    strangers = ["video/holiday.mp4", "notes.txt", "someone@example.com/image/x-1234567.png"]
    for path in strangers:
        (dest / path).parent.mkdir(parents=True, exist_ok=True)
        (dest / path).write_bytes(b"mine")
    done = verify()
    assert (done.code, done.err) == (0, "")
    assert done.summary["extra"] == sorted(strangers)
    assert done.summary["wrong"] == []
    told = tell()
    assert told.code == 0
    assert told.err.splitlines()[:-1] == [f"not ours: {path}" for path in sorted(strangers)]
    assert all((dest / path).read_bytes() == b"mine" for path in strangers)


def test_a_sync_at_work_is_no_damage(
    library: Library, environ: Mapping[str, str], dest: Path
) -> None:
    """Files that a run replaces while they are hashed are not called damaged."""
    items = [library.add(number, "image") for number in range(50)]
    with serving(library, Paced) as service:
        assert run_sync(service, dest).summary.exit_code == 0
        for number, item in enumerate(items):
            library.change(item, media("image", ("new", number)))
        service.pause_s = 0.02
        looks = 0
        with started(environ, *sync_arguments(service, dest), "--jobs", "2") as process:
            while process.poll() is None:
                store = Store(dest)
                manifest = Manifest(dest, store.journal)
                manifest.load()
                found = verifying.check(store, manifest, jobs=2, progress=Notes(), stop=Stop())
                assert found.wrong == []
                assert found.checked >= 50
                looks += 1
            assert process.returncode == 0
    assert looks > 3
    check_records(dest)


def _grow(dest: Path, path: str) -> None:
    """Make a file so big that it takes for ever to read, and as big in the manifest."""
    os.truncate(dest / path, BIG)
    manifest = manifest_of(dest)
    for asset in manifest["assets"].values():
        if asset["resource"]["path"] == path:
            asset["resource"]["size"] = BIG
    (dest / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("arguments", [(), ("--repair",)])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_obeyed_in_the_midst_of_a_file(
    service: Misbehaving,
    environ: Mapping[str, str],
    items: list[Any],
    dest: Path,
    arguments: tuple[str, ...],
    *,
    signum: int,
) -> None:
    """A file of hundreds of gigabytes holds nobody for more than two seconds."""
    _grow(dest, _path(dest, items[1]))
    big = (dest / _path(dest, items[1])).as_posix()
    env = {**environ, **_access(service)}
    with started(env, "verify", "--dest", dest, *arguments) as process:
        wait_until(lambda: big in _open_files(process.pid))
        began = time.monotonic()
        process.send_signal(signum)
        out, err = process.communicate(timeout=20)
    assert time.monotonic() - began < STOPPED_WITHIN_S
    assert process.returncode == 128 + signum
    _check_told((out + err).decode())
    assert "stopped" in err.decode()


def test_a_signal_that_another_thread_gets_is_obeyed(
    environ: Mapping[str, str], items: list[Any], dest: Path
) -> None:
    """The system may hand a signal to any thread: one that hashes does not keep it to itself."""
    big = dest / _path(dest, items[1])
    _grow(dest, _path(dest, items[1]))
    with started(environ, "verify", "--dest", dest) as process:
        wait_until(lambda: big.as_posix() in _open_files(process.pid))
        time.sleep(0.2)
        threads = [int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()]
        worker = next(thread for thread in threads if thread != process.pid)
        os.kill(worker, signal.SIGTERM)  # Linux: for the process, and this thread is asked first
        process.communicate(timeout=STOPPED_WITHIN_S)
    assert process.returncode == 143


def _open_files(pid: int) -> set[str]:
    found = set()
    folder = Path(f"/proc/{pid}/fd")
    if not folder.exists():
        pytest.skip("stops while a file is hashed were not tested: there is no /proc here")
    for link in folder.iterdir():
        try:
            found.add(link.readlink().as_posix())
        except OSError:
            continue
    return found


# --repair: from Kling.


@pytest.mark.parametrize("damage", DAMAGE)
def test_repair_fetches_anew(
    verify: Verify,
    service: Misbehaving,
    library: Library,
    items: list[Any],
    dest: Path,
    *,
    damage: str,
) -> None:
    """Only what is wrong is asked for; what was there in its place is kept in history."""
    inflict, problem = DAMAGE[damage]
    path = _path(dest, items[0])
    inflict(dest / path)
    there = (dest / path).read_bytes() if (dest / path).exists() else None
    done = verify("--repair")
    assert (done.code, done.err) == (0, "")
    assert _wrong(done) == {path: problem}
    assert (done.summary["fetched"], done.summary["lost"]) == ([path], [])
    assert {request.path for request in service.cdn_requests()} == {"/cdn/video/0"}
    assert _history(dest) == (set() if there is None else {there})
    check_mirror(dest, library)
    assert verify().code == 0


@pytest.mark.parametrize("way", UNREADABLE)
def test_what_is_in_the_way_of_a_repair_is_replaced_or_told(
    tell: Verify, library: Library, items: list[Any], dest: Path, way: str
) -> None:
    """Either the file is right in the end, or the disk is to blame: exit 6, and it says where."""
    path = _path(dest, items[1])
    UNREADABLE[way](dest / path)
    done = tell("--repair")
    if done.code == 0:
        check_mirror(dest, library)
        return
    assert done.code == 6
    assert path in done.err
    assert "output could not be written" not in done.err


def test_repair_goes_by_the_id_and_not_by_the_url(
    verify: Verify, service: Misbehaving, library: Library, items: list[Any], dest: Path
) -> None:
    """Kling may serve the asset from elsewhere today: it is looked up, and its new URL recorded."""
    path = _path(dest, items[1])
    items[1]["resource"]["resource"] = "/cdn/moved/1?x-kcdn-pid=9"
    library.files["/cdn/moved/1"] = library.files.pop("/cdn/image/1")
    (dest / path).unlink()
    done = verify("--repair")
    assert (done.code, done.summary["fetched"]) == (0, [path])
    assert entry_of(dest, items[1])["resource"]["url"] == f"{service.url}/cdn/moved/1"
    check_mirror(dest, library)


def test_repair_fetches_a_cover_alone(
    verify: Verify, service: Misbehaving, library: Library, items: list[Any], dest: Path
) -> None:
    """A cover is mended without its video being asked for."""
    path = _path(dest, items[0], "cover")
    _flip(dest / path)
    assert verify("--repair").code == 0
    assert [request.path for request in service.cdn_requests()] == ["/cdn/video/0.cover"]
    check_mirror(dest, library)


def test_repair_finds_an_asset_without_a_name_in_a_large_library(
    verify: Verify, service: Misbehaving, library: Library, dest: Path
) -> None:
    """No keyword narrows the look-up: the asset is found behind a thousand others, not lost."""
    item = library.add(0, "image", name="")
    assert run_sync(service, dest).summary.exit_code == 0
    for number in range(1, 1201):
        library.add(number, "image", size=100)
    path = _path(dest, item)
    (dest / path).unlink()
    done = verify("--repair")
    assert done.summary["lost"] == []
    assert (done.code, done.summary["fetched"]) == (0, [path])


def test_repair_knows_accounts(
    verify: Verify, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Each entry is looked up at its own account, and keeps its path under that one's folder."""
    items = [library.add(1, "image"), library.add(2, "image", email=OTHER)]
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    paths = [_path(dest, item) for item in items]
    assert [path.split("/")[0] for path in paths] == [EMAIL, OTHER]
    for path in paths:
        _flip(dest / path)
    service.forget()
    done = verify("--repair")
    assert (done.code, sorted(_texts(done, "fetched"))) == (0, sorted(paths))
    assert {request.query["email"] for request in service.look_ups()} == {EMAIL, OTHER}
    check_mirror(dest, library)


def _texts(done: Finished, name: str) -> list[str]:
    found = done.summary[name]
    assert isinstance(found, list)
    return found


def test_what_could_not_be_fetched_today_is_not_lost(
    tell: Verify,
    verify: Verify,
    service: Misbehaving,
    library: Library,
    items: list[Any],
    *,
    dest: Path,
) -> None:
    """A CDN that fails tells nothing of what Kling has: exit 1, and the next repair mends it."""
    path = _path(dest, items[1])
    _flip(dest / path)
    service.fail(error(503), "/cdn/*")
    done = verify("--repair")
    assert done.code == 1
    assert done.summary["fetched"] == []
    assert done.summary["lost"] == [], "Kling still lists it"
    told = tell("--repair")
    assert "Kling has it no more" not in told.err
    assert path in told.err
    service.faults.clear()
    assert verify("--repair").code == 0
    check_mirror(dest, library)


def test_what_can_be_mended_of_an_asset_is(
    verify: Verify, library: Library, items: list[Any], dest: Path
) -> None:
    """A cover that Kling has no more does not keep its video from being mended."""
    paths = [_path(dest, items[0], role) for role in ("resource", "cover")]
    for path in paths:
        _flip(dest / path)
    items[0]["cover"]["resource"] = ""
    done = verify("--repair")
    assert done.code == 1
    assert done.summary["fetched"] == [paths[0]]
    assert done.summary["lost"] == [paths[1]]
    assert (dest / paths[0]).read_bytes() == library.files["/cdn/video/0"].body


# --repair: from history and trash.


def _spare(dest: Path, path: str, folder: str) -> None:
    """Put a copy where replaced or pruned files lie."""
    spare = dest / PRIVATE / folder / "2025-01-01T000000Z" / "spare.bin"
    spare.parent.mkdir(parents=True)
    shutil.copyfile(dest / path, spare)


@pytest.mark.parametrize("folder", ["history", "trash"])
@pytest.mark.parametrize("damage", ["missing", "flipped"])
@pytest.mark.parametrize("state", ["superseded", "gone"])
def test_what_kling_has_no_more_is_found_by_its_hash(
    verify: Verify,
    service: Misbehaving,
    library: Library,
    items: list[Any],
    dest: Path,
    *,
    folder: str,
    damage: str,
    state: str,
) -> None:
    """The very bytes lie in history or trash: they are put back, and the entry stays as it was."""
    key = f"{items[1]['id']}@{items[1]['updateTime']}"
    if state == "gone":
        library.delete(items[1])
    else:
        library.change(items[1], media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    entry = manifest_of(dest)["assets"][key]
    assert entry["state"] == state
    path = entry["resource"]["path"]
    body = (dest / path).read_bytes()
    _spare(dest, path, folder)
    DAMAGE[damage][0](dest / path)
    service.forget()
    done = verify("--repair")
    assert (done.code, done.err) == (0, "")
    assert done.summary["restored"] == [path]
    assert service.cdn_requests() == []
    assert (dest / path).read_bytes() == body
    assert manifest_of(dest)["assets"][key] == entry
    check_records(dest)
    assert not list((dest / PRIVATE / "partial").iterdir())


@pytest.mark.parametrize("state", ["superseded", "gone"])
def test_what_nobody_has_is_said_to_be_lost(
    tell: Verify,
    verify: Verify,
    service: Misbehaving,
    library: Library,
    items: list[Any],
    *,
    dest: Path,
    state: str,
) -> None:
    """Exit 1, the path by name, what is left of it untouched, and no advice that cannot help."""
    key = f"{items[1]['id']}@{items[1]['updateTime']}"
    if state == "gone":
        library.delete(items[1])
    else:
        library.change(items[1], media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    path = manifest_of(dest)["assets"][key]["resource"]["path"]
    _flip(dest / path)
    _flip(dest / _path(dest, items[2]))
    damaged = (dest / path).read_bytes()
    done = verify("--repair")
    assert done.code == 1
    assert done.summary["lost"] == [path]
    assert done.summary["fetched"] == [_path(dest, items[2])], "the others are mended"
    assert (dest / path).read_bytes() == damaged
    told = tell("--repair")
    assert told.code == 1
    assert f"lost, Kling has it no more: {path}" in told.err
    assert "--repair" not in told.err


def test_a_version_whose_bytes_are_those_of_another_entry_is_not_lost(
    verify: Verify, service: Misbehaving, library: Library, items: list[Any], dest: Path
) -> None:
    """A superseded file that is one with its successor is mended with it, once that is fetched."""
    library.change(items[1])  # a new updateTime, the same bytes
    assert run_sync(service, dest).summary.exit_code == 0
    stored = [stored["path"] for entry, stored in stored_of(dest) if entry["id"] == items[1]["id"]]
    assert len(stored) == 2
    damaged: list[Path] = []
    for path in map(dest.joinpath, stored):
        if not any(path.samefile(other) for other in damaged):  # both may be one file
            _flip(path)
            damaged.append(path)
    assert len(_wrong(verify())) == 2
    done = verify("--repair")
    assert done.summary["lost"] == []
    assert done.code == 0
    check_records(dest)


def test_repair_takes_the_lock(
    verify: Verify, environ: Mapping[str, str], library: Library, dest: Path
) -> None:
    """While a sync is at work, `--repair` and `--rebuild` exit 11 and touch nothing."""
    library.add(1, "image", size=3_000_000)
    with serving(library, Paced) as paced:
        paced.pause_s = 0.1
        with started(environ, *sync_arguments(paced, dest)) as process:
            wait_until(lambda: paced.sent_bytes)
            for how in ("--repair", "--rebuild"):
                done = verify(how)
                assert (done.code, done.out) == (11, "")
                assert str(process.pid) in done.err
            assert process.poll() is None


# --rebuild.


def _rebuild(verify: Verify) -> dict[str, Any]:
    done = verify("--rebuild")
    assert (done.code, done.err) == (0, "")
    assert set(done.summary) == {"base", "entries", "from_files", "unknown", "missing"}
    return dict(done.summary)


def _check_shape(dest: Path, tmp_path: Path) -> None:
    """See that the manifest has the contract's shape, and is true.

    The URL of an entry that was made of a file is "", which no other manifest may have.
    """
    copy = tmp_path / "with-urls"
    shutil.copytree(dest, copy, symlinks=True)
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"url":""', '"url":"http://unknown/"'))
    check_invariant(copy)
    shutil.rmtree(copy)


def _check_quiet_sync(service: Misbehaving, dest: Path, library: Library) -> None:
    """See that the next run has nothing to fetch, and that all is well after it."""
    service.forget()
    result = run_sync(service, dest)
    assert result.summary.exit_code == 0
    assert result.summary.assets.unchanged == result.summary.assets.listed
    assert service.cdn_requests() == []
    check_mirror(dest, library)


def _lose(dest: Path, *names: str) -> None:
    for name in names:
        (dest / name).unlink(missing_ok=True)


DOCUMENTS = ("manifest.json", "manifest.json.bak", f"{PRIVATE}/journal")


def test_a_lost_manifest_is_told_by_every_command(
    program: RunProgram, sync: RunProgram, verify: Verify, items: list[Any], dest: Path
) -> None:
    """Exit 8 with the way out, and nothing is touched, until somebody asks for a rebuild."""
    assert items
    _lose(dest, "manifest.json")
    before = snapshot(dest)
    for done in (sync(), verify(), verify("--repair"), program("prune", "--dest", dest)):
        assert done.code == 8
        assert "verify --rebuild" in done.err
    assert snapshot(dest) == before


def test_it_is_rebuilt_from_the_backup_and_the_files_since(
    verify: Verify,
    service: Misbehaving,
    library: Library,
    items: list[Any],
    dest: Path,
    *,
    tmp_path: Path,
) -> None:
    """What the backup knows is kept whole, superseded and gone too; newer files become entries."""
    library.change(items[0], media("video", "new"))
    library.delete(items[1])
    assert run_sync(service, dest).summary.exit_code == 0
    known = manifest_of(dest)["assets"]
    added = library.add(7, "video")
    assert run_sync(service, dest).summary.exit_code == 0
    _lose(dest, "manifest.json")
    rebuilt = _rebuild(verify)
    assert rebuilt == {
        "base": "manifest.json.bak",
        "entries": len(known) + 1,
        "from_files": [f"{added['id']}@{added['updateTime']}"],
        "unknown": [],
        "missing": [],
    }
    assets = manifest_of(dest)["assets"]
    assert {key: assets[key] for key in known} == known
    _check_shape(dest, tmp_path)
    assert verify().code == 0
    _check_quiet_sync_with_leftovers(service, dest)


def _check_quiet_sync_with_leftovers(service: Misbehaving, dest: Path) -> None:
    service.forget()
    assert run_sync(service, dest).summary.exit_code == 0
    assert service.cdn_requests() == []
    check_records(dest)


@pytest.mark.parametrize("size", [2000, 3000])
def test_a_backup_that_the_files_have_outrun_is_not_believed(
    verify: Verify,
    service: Misbehaving,
    library: Library,
    items: list[Any],
    dest: Path,
    *,
    size: int,
) -> None:
    """An asset changed since the backup: no entry says what is not so, and no version is lost."""
    old = (dest / _path(dest, items[1])).read_bytes()
    library.change(items[1], media("image", "new", size))
    assert run_sync(service, dest).summary.exit_code == 0
    path = _path(dest, items[1])
    _lose(dest, "manifest.json")
    rebuilt = _rebuild(verify)
    for _, stored in stored_of(dest):
        if stored["path"] not in rebuilt["missing"]:
            digest = snapshot(dest)[stored["path"]]
            assert digest == stored["sha256"], f"{stored['path']} is not what the entry says"
    assert run_sync(service, dest).summary.exit_code == 0
    check_records(dest)
    assert (dest / path).read_bytes() == library.files["/cdn/image/1"].body
    assert old in _history(dest)
    assert verify().code == 0


def test_it_is_rebuilt_from_the_journal(
    verify: Verify,
    service: Misbehaving,
    library: Library,
    environ: Mapping[str, str],
    dest: Path,
    *,
    tmp_path: Path,
) -> None:
    """A run was killed and both documents are lost: what it had recorded is recorded again."""
    for number in range(60):
        library.add(number, KINDS[number % 3])
    journal = dest / PRIVATE / "journal"
    with serving(library, Paced) as paced:
        paced.pause_s = 0.05
        with started(environ, *sync_arguments(paced, dest), "--jobs", "4") as process:
            wait_until(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 10)
            process.kill()
            process.wait()
    known = check_invariant(dest)
    assert 10 < len(known) < 60
    _lose(dest, "manifest.json", "manifest.json.bak")
    rebuilt = _rebuild(verify)
    assert rebuilt["base"] is None
    assert rebuilt["missing"] == []
    assets = manifest_of(dest)["assets"]
    assert all(assets[key]["resource"]["url"] for key in known), "these come from the journal"
    assert set(assets) == {*known, *rebuilt["from_files"]}
    _check_shape(dest, tmp_path)
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)


@pytest.mark.parametrize("accounts", [False, True])
def test_it_is_rebuilt_from_the_files_alone(
    verify: Verify,
    service: Misbehaving,
    library: Library,
    dest: Path,
    tmp_path: Path,
    *,
    accounts: bool,
) -> None:
    """Id and name from the file's name, updateTime from its time, hash from its bytes; no fetch."""
    items = [library.add(number, KINDS[number % 3]) for number in range(6)]
    if accounts:
        items.append(library.add(9, "video", email=OTHER))
    assert run_sync(service, dest, all_accounts=accounts).summary.exit_code == 0
    before = manifest_of(dest)["assets"]
    _lose(dest, *DOCUMENTS, "SHA256SUMS")
    rebuilt = _rebuild(verify)
    assert rebuilt["base"] is None
    assert (rebuilt["entries"], rebuilt["unknown"], rebuilt["missing"]) == (len(items), [], [])
    assert sorted(rebuilt["from_files"]) == sorted(before)
    assets = manifest_of(dest)["assets"]
    assert set(assets) == set(before)
    for key, entry in assets.items():
        for name in ("id", "updateTime", "account", "contentType", "name", "state", "gone_since"):
            assert entry[name] == before[key][name], (key, name)
        for role in ("resource", "cover"):
            was, now = before[key][role], entry[role]
            assert (was is None) == (now is None), (key, role)
            if was is not None:
                assert [now[name] for name in ("path", "size", "sha256", "url")] == [
                    was["path"],
                    was["size"],
                    was["sha256"],
                    "",
                ]
    _check_shape(dest, tmp_path)
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=dest, check=True)  # noqa: S607
    assert verify().code == 0
    service.forget()
    assert run_sync(service, dest, all_accounts=accounts).summary.exit_code == 0
    assert service.cdn_requests() == []
    check_mirror(dest, library)


def test_two_versions_under_one_id_are_told_apart(
    verify: Verify, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Kling may list one id twice: the second's file has its time in its name, behind the id."""
    first = library.add(1, "image", name="same.png")
    second = library.add(2, "image", name="same.png")
    second["id"] = first["id"]
    assert run_sync(service, dest).summary.exit_code == 0
    before = set(manifest_of(dest)["assets"])
    assert len(before) == 2
    _lose(dest, *DOCUMENTS)
    _rebuild(verify)
    assert set(manifest_of(dest)["assets"]) == before
    _check_quiet_sync(service, dest, library)


@pytest.mark.parametrize("name", ["", "a-b-c.png", "1234567890.png", "…-2025.png", "x" * 200])
def test_any_name_is_read_back(
    verify: Verify, service: Misbehaving, library: Library, dest: Path, name: str
) -> None:
    """Whatever an asset is called, its file's name tells its id."""
    item = library.add(1, "image", name=name)
    assert run_sync(service, dest).summary.exit_code == 0
    _lose(dest, *DOCUMENTS)
    assert _rebuild(verify)["from_files"] == [f"{item['id']}@{item['updateTime']}"]
    _check_quiet_sync(service, dest, library)


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "zeros": lambda data: bytes(len(data)),
    "other": lambda _: b'{"format": "something-else", "version": 1}',
    "wrong-field": lambda data: data.replace(b'"size":', b'"sise":'),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_manifest_is_kept_aside(
    verify: Verify,
    service: Misbehaving,
    library: Library,
    items: list[Any],
    dest: Path,
    *,
    damage: str,
) -> None:
    """Its bytes are kept under .kling-mirror, and a backup that is sound stays one."""
    assert items
    damaged = DAMAGED[damage]((dest / "manifest.json").read_bytes())
    (dest / "manifest.json").write_bytes(damaged)
    assert verify().code == 8
    rebuilt = _rebuild(verify)
    assert rebuilt["entries"] == 3
    aside = [path.read_bytes() for path in (dest / PRIVATE).glob("manifest.json.damaged-*")]
    assert aside == [damaged]
    json.loads((dest / "manifest.json.bak").read_bytes())
    _check_quiet_sync(service, dest, library)


def test_a_newer_manifest_is_not_rebuilt(verify: Verify, items: list[Any], dest: Path) -> None:
    """A later program's manifest is whole: exit 8, and nothing at all is touched."""
    assert items
    text = (dest / "manifest.json").read_text().replace('"version":1', '"version":2', 1)
    (dest / "manifest.json").write_text(text)
    before = snapshot(dest)
    done = verify("--rebuild")
    assert (done.code, done.out) == (8, "")
    assert "update kling-mirror" in done.err
    assert snapshot(dest) == before


def test_a_sound_manifest_stays_as_it_is(
    verify: Verify, service: Misbehaving, library: Library, items: list[Any], dest: Path
) -> None:
    """A rebuild of what needs none drops nothing: not what is gone, superseded, or failed."""
    library.change(items[0], media("video", "new"))
    library.delete(items[1])
    service.fail(error(404), "/cdn/image/5")
    library.add(5, "image")
    assert run_sync(service, dest).summary.exit_code == 3
    before = manifest_of(dest)
    assert _rebuild(verify)["base"] == "manifest.json"
    after = manifest_of(dest)
    assert (after["assets"], after["failures"]) == (before["assets"], before["failures"])
    check_records(dest)


def test_strangers_and_losses_are_named_by_a_rebuild(
    tell: Verify, verify: Verify, items: list[Any], dest: Path
) -> None:
    """What no entry can be made of, and what an entry lacks, is told; both stay as they are."""
    (dest / "video" / "holiday.mp4").write_bytes(b"mine")
    lost = _path(dest, items[2])
    (dest / lost).unlink()
    rebuilt = _rebuild(verify)
    assert (rebuilt["unknown"], rebuilt["missing"]) == (["video/holiday.mp4"], [lost])
    told = tell("--rebuild")
    assert told.code == 0
    for path in ("video/holiday.mp4", lost):
        assert path in told.err
    assert (dest / "video" / "holiday.mp4").read_bytes() == b"mine"


@pytest.mark.parametrize("leads", ["out", "nowhere"])
def test_a_link_is_made_no_entry_of(
    program: RunProgram, items: list[Any], dest: Path, tmp_path: Path, leads: str
) -> None:
    """No link in the tree is followed out of it, and one that leads nowhere stops nobody."""
    assert items
    secret = tmp_path / "secret.png"
    if leads == "out":
        secret.write_bytes(media("image", "secret"))
    (dest / "image" / "x-9100000000000000077.png").symlink_to(secret)
    _lose(dest, *DOCUMENTS)
    done = program("verify", "--rebuild", "--json", "--dest", dest)
    assert (done.code, done.err) == (0, "")
    assert done.summary["entries"] == 3
    assert done.summary["unknown"] == ["image/x-9100000000000000077.png"]


def test_a_rebuild_that_is_stopped_has_changed_nothing(
    environ: Mapping[str, str], items: list[Any], dest: Path
) -> None:
    """SIGINT while the files are hashed: two seconds, 130, and not a byte is another."""
    _lose(dest, *DOCUMENTS)
    before = snapshot(dest)
    big = dest / "image" / "big-9100000000000000099.png"
    with big.open("wb") as file:
        file.truncate(BIG)
    with started(environ, "verify", "--rebuild", "--dest", dest) as process:
        wait_until(lambda: big.as_posix() in _open_files(process.pid))
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert time.monotonic() - began < STOPPED_WITHIN_S
    assert process.returncode == 130
    _check_told((out + err).decode())
    big.unlink()
    assert snapshot(dest) == before
    assert items
