"""`verify --rebuild`: a lost or damaged manifest is made anew."""

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunProgram, check_shown
from tests.lib.effects import error
from tests.lib.invariant import check_invariant
from tests.lib.library import KINDS, OTHER, Library, media
from tests.lib.mirrored import (
    PRIVATE,
    check_mirror,
    check_records,
    in_history,
    key_of,
    manifest_of,
    path_of,
    snapshot,
    stored_of,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.paced import Paced
from tests.lib.processes import (
    BIG,
    open_files,
    started,
    stopped_within_s,
    sync_arguments,
    wait_until,
)
from tests.lib.runs import run_sync


def _rebuild(verify: RunProgram) -> dict[str, Any]:
    done = verify("--rebuild")
    assert done.code == 0
    assert (
        re.sub(r"kling-mirror: recorded \d+ assets? that an interrupted .*\n", "", done.err) == ""
    )
    assert set(done.summary) == {
        "base", "entries", "from_files", "unknown", "missing", "damaged",
    }  # fmt: skip
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


def test_every_command_reports_a_lost_manifest(
    program: RunProgram, sync: RunProgram, verify: RunProgram, trio: list[Any], dest: Path
) -> None:
    """Exit 8 with the way out, and nothing is touched, until somebody asks for a rebuild."""
    assert trio
    _lose(dest, "manifest.json")
    before = snapshot(dest)
    for done in (sync(), verify(), verify("--repair"), program("prune", "--dest", dest)):
        assert done.code == 8
        assert "verify --rebuild" in done.err
    assert snapshot(dest) == before


def test_it_is_rebuilt_from_the_backup_and_the_files_since(
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    dest: Path,
    *,
    tmp_path: Path,
) -> None:
    """What the backup knows is kept whole, superseded and gone too; newer files become entries."""
    library.change(trio[0], media("video", "new"))
    library.delete(trio[1])
    assert run_sync(service, dest).summary.exit_code == 0
    known = manifest_of(dest)["assets"]
    added = library.add(7, "video")
    assert run_sync(service, dest).summary.exit_code == 0
    _lose(dest, "manifest.json")
    rebuilt = _rebuild(verify)
    assert rebuilt == {
        "base": "manifest.json.bak",
        "entries": len(known) + 1,
        "from_files": [key_of(added)],
        "unknown": [],
        "missing": [],
        "damaged": [],
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
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    dest: Path,
    *,
    size: int,
) -> None:
    """An asset changed since the backup: no entry says what is not so, and no version is lost."""
    old = (dest / path_of(dest, trio[1])).read_bytes()
    library.change(trio[1], media("image", "new", size))
    assert run_sync(service, dest).summary.exit_code == 0
    path = path_of(dest, trio[1])
    _lose(dest, "manifest.json")
    rebuilt = _rebuild(verify)
    for _, stored in stored_of(dest):
        if stored["path"] not in rebuilt["missing"]:
            digest = snapshot(dest)[stored["path"]]
            assert digest == stored["sha256"], f"{stored['path']} is not what the entry says"
    assert run_sync(service, dest).summary.exit_code == 0
    check_records(dest)
    assert (dest / path).read_bytes() == library.files["/cdn/image/1"].body
    assert old in set(in_history(dest).values())
    assert verify().code == 0


def test_it_is_rebuilt_from_the_journal(
    verify: RunProgram,
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
    with library.service(Paced) as paced:
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
    assert set(assets) >= {*known, *rebuilt["from_files"]}, "and what the run was about to record"
    _check_shape(dest, tmp_path)
    assert run_sync(service, dest).summary.exit_code == 0
    check_mirror(dest, library)


@pytest.mark.parametrize("accounts", [False, True])
def test_it_is_rebuilt_from_the_files_alone(
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    dest: Path,
    tmp_path: Path,
    *,
    accounts: bool,
) -> None:
    """Id and name from the file's name, updateTime from its time, hash from its bytes; no fetch."""
    trio = [library.add(number, KINDS[number % 3]) for number in range(6)]
    if accounts:
        trio.append(library.add(9, "video", email=OTHER))
    assert run_sync(service, dest, all_accounts=accounts).summary.exit_code == 0
    before = manifest_of(dest)["assets"]
    _lose(dest, *DOCUMENTS, "SHA256SUMS")
    rebuilt = _rebuild(verify)
    assert rebuilt["base"] is None
    assert (rebuilt["entries"], rebuilt["unknown"], rebuilt["missing"]) == (len(trio), [], [])
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


def test_two_versions_under_one_id_are_kept_apart(
    verify: RunProgram, service: Misbehaving, library: Library, dest: Path
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
    verify: RunProgram, service: Misbehaving, library: Library, dest: Path, name: str
) -> None:
    """Whatever an asset is called, its file's name gives its id."""
    item = library.add(1, "image", name=name)
    assert run_sync(service, dest).summary.exit_code == 0
    _lose(dest, *DOCUMENTS)
    assert _rebuild(verify)["from_files"] == [key_of(item)]
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
    verify: RunProgram,
    service: Misbehaving,
    library: Library,
    trio: list[Any],
    dest: Path,
    *,
    damage: str,
) -> None:
    """Its bytes are kept under .kling-mirror, and a backup that is sound stays one."""
    assert trio
    damaged = DAMAGED[damage]((dest / "manifest.json").read_bytes())
    (dest / "manifest.json").write_bytes(damaged)
    assert verify().code == 8
    rebuilt = _rebuild(verify)
    assert rebuilt["entries"] == 3
    aside = [path.read_bytes() for path in (dest / PRIVATE).glob("manifest.json.damaged-*")]
    assert aside == [damaged]
    json.loads((dest / "manifest.json.bak").read_bytes())
    _check_quiet_sync(service, dest, library)


def test_a_newer_manifest_is_not_rebuilt(verify: RunProgram, trio: list[Any], dest: Path) -> None:
    """A later program's manifest is whole: exit 8, and nothing at all is touched."""
    assert trio
    text = (dest / "manifest.json").read_text().replace('"version":1', '"version":2', 1)
    (dest / "manifest.json").write_text(text)
    before = snapshot(dest)
    done = verify("--rebuild")
    assert (done.code, done.out) == (8, "")
    assert "update kling-mirror" in done.err
    assert snapshot(dest) == before


def test_a_sound_manifest_stays_as_it_is(
    verify: RunProgram, service: Misbehaving, library: Library, trio: list[Any], dest: Path
) -> None:
    """A rebuild of what needs none drops nothing: not what is gone, superseded, or failed."""
    library.change(trio[0], media("video", "new"))
    library.delete(trio[1])
    service.fail(error(404), "/cdn/image/5")
    library.add(5, "image")
    assert run_sync(service, dest).summary.exit_code == 3
    before = manifest_of(dest)
    assert _rebuild(verify)["base"] == "manifest.json"
    after = manifest_of(dest)
    assert (after["assets"], after["failures"]) == (before["assets"], before["failures"])
    check_records(dest)


def test_strangers_and_losses_are_named_by_a_rebuild(
    verify_in_words: RunProgram, verify: RunProgram, trio: list[Any], dest: Path
) -> None:
    """What no entry can be made of, and what an entry lacks, is reported; both stay as they are."""
    (dest / "video" / "holiday.mp4").write_bytes(b"mine")
    lost = path_of(dest, trio[2])
    (dest / lost).unlink()
    rebuilt = _rebuild(verify)
    assert (rebuilt["unknown"], rebuilt["missing"]) == (["video/holiday.mp4"], [lost])
    shown = verify_in_words("--rebuild")
    assert shown.code == 0
    for path in ("video/holiday.mp4", lost):
        assert path in shown.err
    assert (dest / "video" / "holiday.mp4").read_bytes() == b"mine"


@pytest.mark.parametrize("leads", ["out", "nowhere"])
def test_a_link_is_made_no_entry_of(
    program: RunProgram, trio: list[Any], dest: Path, tmp_path: Path, leads: str
) -> None:
    """No link in the tree is followed out of it, and a broken one does no harm."""
    assert trio
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
    environ: Mapping[str, str], trio: list[Any], dest: Path
) -> None:
    """SIGINT while the files are hashed: two seconds, 130, and not a byte is another."""
    _lose(dest, *DOCUMENTS)
    before = snapshot(dest)
    big = dest / "image" / "big-9100000000000000099.png"
    with big.open("wb") as file:
        file.truncate(BIG)
    with started(environ, "verify", "--rebuild", "--dest", dest) as process:
        wait_until(lambda: big.as_posix() in open_files(process.pid))
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < stopped_within_s()
    assert process.returncode == 130
    check_shown((out + err).decode())
    big.unlink()
    assert snapshot(dest) == before
    assert trio
