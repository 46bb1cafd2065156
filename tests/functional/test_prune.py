"""`prune`: what is gone or superseded goes to the trash, and no byte is lost on the way."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Finished, RunProgram
from tests.lib.crash_host import Host
from tests.lib.invariant import check_invariant, files_below, sha256_of
from tests.lib.library import ACCESS, KINDS, Library, media
from tests.lib.mirrored import (
    PRIVATE,
    check_mirror,
    check_records,
    entry_of,
    key_of,
    manifest_of,
    media_in,
    snapshot,
    stored_of,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.paced import Paced
from tests.lib.processes import started, sync_arguments, wait_until
from tests.lib.runs import run_sync

TRASH = f"{PRIVATE}/trash"

Prune = Callable[..., Finished]


@pytest.fixture
def run_prune(program: RunProgram, dest: Path) -> Prune:
    """Runs `kling-mirror prune`."""
    return lambda *arguments: program("prune", "--dest", dest, *arguments)


@pytest.fixture
def items(service: Misbehaving, library: Library, dest: Path) -> list[dict[str, Any]]:
    """Of nine assets two are gone, two superseded (one with its cover); five are as they were."""
    items = [library.add(number, KINDS[number % 3]) for number in range(9)]
    assert run_sync(service, dest).summary.exit_code == 0
    for number in (0, 1):
        library.delete(items[number])
    for number in (3, 4):
        library.change(items[number], media(KINDS[number % 3], ("new", number)))
    assert run_sync(service, dest).summary.exit_code == 0
    service.forget()
    return items


def _past(dest: Path) -> dict[str, dict[str, Any]]:
    """The entries that are not current."""
    assets = manifest_of(dest)["assets"]
    return {key: entry for key, entry in assets.items() if entry["state"] != "current"}


def _files_of(entries: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    both = [entry[role] for entry in entries.values() for role in ("resource", "cover")]
    return [stored for stored in both if stored]


def _trash(dest: Path) -> dict[str, str]:
    """The hashes of all that is in the trash, by path."""
    return {path: digest for path, digest in snapshot(dest).items() if path.startswith(TRASH)}


def _records(dest: Path) -> dict[str, Any]:
    """The entries that lie in the trash, by key."""
    lines = [
        json.loads(line)
        for path in (dest / TRASH).glob("*/entries.jsonl")
        for line in path.read_text().splitlines()
    ]
    return {key_of(entry): entry for entry in lines}


def _sums_pass(dest: Path) -> None:
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=dest, check=True)  # noqa: S607


def test_gone_and_superseded_go_to_the_trash(
    run_prune: Prune,
    service: Misbehaving,
    library: Library,
    items: list[dict[str, Any]],
    dest: Path,
) -> None:
    """Their files and entries lie in the trash, the manifest forgets them, the others stay."""
    past = _past(dest)
    assert len(past) == 4
    before = manifest_of(dest)["assets"]
    mtimes = {each["path"]: (dest / each["path"]).stat().st_mtime_ns for _, each in stored_of(dest)}
    done = run_prune("--json")
    assert (done.code, done.err) == (0, "")
    assert done.summary == {
        "entries": list(past),
        "files": [each["path"] for each in _files_of(past)],
        "bytes": sum(each["size"] for each in _files_of(past)),
        "emptied": 0,
        "emptied_bytes": 0,
    }
    assert manifest_of(dest)["assets"] == {
        key: entry for key, entry in before.items() if key not in past
    }
    assert _records(dest) == past, "each entry as it was"
    in_trash = {path: digest for path, digest in _trash(dest).items() if "entries.j" not in path}
    assert sorted(in_trash.values()) == sorted(each["sha256"] for each in _files_of(past))
    for stored in _files_of(past):
        [path] = [each for each in in_trash if each.endswith(stored["path"].removeprefix(PRIVATE))]
        assert in_trash[path] == stored["sha256"]
        assert (dest / path).stat().st_mtime_ns == mtimes[stored["path"]]
        assert not (dest / stored["path"]).exists()
    check_mirror(dest, library)
    _sums_pass(dest)
    assert run_sync(service, dest).summary.exit_code == 0
    assert service.cdn_requests() == []
    assert items


def test_it_says_what_it_did(run_prune: Prune, items: list[dict[str, Any]], dest: Path) -> None:
    """Each file by its path, then the sum; with -q nothing; stdout stays empty."""
    assert items
    past = _past(dest)
    done = run_prune()
    assert (done.code, done.out) == (0, "")
    *lines, total = done.err.splitlines()
    assert lines == [f"to the trash: {each['path']}" for each in _files_of(past)]
    assert total.startswith(f"4 entries with {len(lines)} files (")
    assert run_prune().err == "nothing to prune: no entry is gone or superseded\n"
    assert run_prune("-q") == Finished(0, "", "")


def test_a_mirror_of_current_assets_is_left_alone(
    run_prune: Prune, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Where nothing is gone or superseded, nothing is written."""
    library.add(1)
    assert run_sync(service, dest).summary.exit_code == 0
    before = snapshot(dest)
    assert run_prune().code == 0
    assert snapshot(dest) == before
    assert not (dest / TRASH).exists()


def test_a_dry_run_only_reports(run_prune: Prune, items: list[dict[str, Any]], dest: Path) -> None:
    """The very answer of the real run, and not a byte is written; with --empty-trash as well."""
    assert items
    before = snapshot(dest)
    shown = run_prune("--dry-run")
    assert (shown.code, shown.out) == (0, "")
    assert "would go to the trash" in shown.err
    for stored in _files_of(_past(dest)):
        assert stored["path"] in shown.err
    plan = run_prune("--dry-run", "--json")
    assert snapshot(dest) == before
    done = run_prune("--json")
    assert done.summary == plan.summary
    trash = _trash(dest)
    emptied = run_prune("--dry-run", "--empty-trash")
    assert "would be deleted for good" in emptied.err
    assert _trash(dest) == trash


def test_a_pruned_asset_that_comes_back_is_fetched_anew(
    run_prune: Prune,
    service: Misbehaving,
    library: Library,
    items: list[dict[str, Any]],
    dest: Path,
) -> None:
    """It is new, lies where it lay, and what is in the trash stays there."""
    path = entry_of(dest, items[1])["resource"]["path"]
    assert run_prune().code == 0
    trash = _trash(dest)
    back = library.add(1, KINDS[1])
    assert back["id"] == items[1]["id"]
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.new, summary.assets.repaired) == (0, 1, 0)
    assert [request.path for request in service.cdn_requests()] == ["/cdn/image/1"]
    assert entry_of(dest, back)["resource"]["path"] == path
    assert _trash(dest) == trash
    check_mirror(dest, library)


def test_two_prunes_keep_two_versions_apart(
    run_prune: Prune, service: Misbehaving, library: Library, dest: Path
) -> None:
    """An asset that goes, comes back with other bytes and goes again is twice in the trash."""
    digests = set()
    for turn in range(3):
        item = library.add(1, "image", body=media("image", turn))
        library.add(10 + turn, "audio")
        assert run_sync(service, dest).summary.exit_code == 0
        digests.add(entry_of(dest, item)["resource"]["sha256"])
        library.delete(item)
        assert run_sync(service, dest).summary.exit_code == 0
        assert run_prune().code == 0
    assert digests <= set(_trash(dest).values())


def test_a_version_that_shares_its_bytes_with_the_current_one(
    run_prune: Prune, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Both may be one file on the disk: pruning the old name leaves the new one whole."""
    item = library.add(1, "video")
    assert run_sync(service, dest).summary.exit_code == 0
    library.change(item)
    assert run_sync(service, dest).summary.files.reused == 2
    past = _past(dest)
    current = entry_of(dest, item)
    assert [each["sha256"] for each in _files_of(past)] == [
        current[role]["sha256"] for role in ("resource", "cover")
    ]
    assert run_prune().code == 0
    check_mirror(dest, library)
    assert {each["sha256"] for each in _files_of(past)} <= set(_trash(dest).values())
    assert run_prune("--empty-trash").code == 0
    check_mirror(dest, library)
    _sums_pass(dest)


@pytest.mark.parametrize("what", ["missing", "changed"])
def test_a_file_that_is_not_as_recorded_is_no_hindrance(
    run_prune: Prune, library: Library, items: list[dict[str, Any]], dest: Path, what: str
) -> None:
    """A missing file's entry goes to the trash without it; a changed one goes as it is."""
    path = dest / entry_of(dest, items[1])["resource"]["path"]
    if what == "missing":
        path.unlink()
    else:
        path.write_bytes(b"changed by a person")
    there = sha256_of(path) if path.exists() else None
    assert run_prune().code == 0
    assert _past(dest) == {}
    assert not path.exists()
    assert there is None or there in _trash(dest).values()
    check_mirror(dest, library)


def test_a_sync_at_work_keeps_it_out(
    run_prune: Prune, environ: Mapping[str, str], library: Library, dest: Path
) -> None:
    """Exit 11, names the pid, touches nothing."""
    library.add(1, "image", size=3_000_000)
    with library.service(Paced) as paced:
        paced.pause_s = 0.1
        with started(environ, *sync_arguments(paced, dest)) as process:
            wait_until(lambda: paced.sent_bytes)
            done = run_prune("--empty-trash")
            assert (done.code, done.out) == (11, "")
            assert str(process.pid) in done.err
            assert process.poll() is None
    assert not (dest / TRASH).exists()


def test_a_disk_that_refuses_is_named_as_the_cause(
    run_prune: Prune, items: list[dict[str, Any]], dest: Path
) -> None:
    """A file where the trash should be: exit 6, says where and what to do; nothing is lost."""
    assert items
    (dest / TRASH).write_bytes(b"in the way")
    before = manifest_of(dest)["assets"]
    done = run_prune()
    assert (done.code, done.out) == (6, "")
    assert "trash" in done.err
    assert "output could not be written" not in done.err
    assert manifest_of(dest)["assets"] == before
    check_records(dest)


def test_a_root_of_nothing_is_refused(run_prune: Prune, dest: Path) -> None:
    """No mirror there: exit 2, and none is made."""
    assert run_prune().code == 2
    assert not dest.exists()


# A crash at every durable step.


def _hashes(dest: Path) -> set[str]:
    return {sha256_of(path) for path in files_below(dest) if path.is_file()}


@pytest.fixture
def few(service: Misbehaving, library: Library, dest: Path) -> list[dict[str, Any]]:
    """A video that is gone, an image that is superseded, a sound that is current."""
    items = [library.add(number, KINDS[number]) for number in range(3)]
    assert run_sync(service, dest).summary.exit_code == 0
    library.delete(items[0])
    library.change(items[1], media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    return items


@pytest.mark.soak
def test_a_crash_at_any_step_loses_no_byte(
    crash_host: Host, few: list[dict[str, Any]], dest: Path, tmp_path: Path
) -> None:
    """Every entry is true after it, every file there still; and a second prune finishes it.

    No file of a forgotten entry stays in the tree or in history, where nobody would know it.
    """
    assert few
    past = _past(dest)
    wanted = {each["sha256"] for _, each in stored_of(dest)}
    current = manifest_of(dest)["assets"].keys() - past.keys()
    kept = {each["path"] for entry, each in stored_of(dest) if entry["state"] == "current"}
    left_over = set()
    straight = tmp_path / "straight"
    shutil.copytree(dest, straight)
    steps = crash_host.run("prune", straight)["steps"]
    assert set(steps) >= {"link", "rename", "fsync", "append", "unlink", "truncate"}
    crashes = 0
    for crashed in crash_host.crash_everywhere("prune", dest, tmp_path):
        crashes += 1
        assert wanted <= _hashes(crashed)
        left = check_invariant(crashed)
        in_trash = set(_trash(crashed).values())
        for key in past.keys() - left.keys():
            assert {each["sha256"] for each in _files_of({key: past[key]})} <= in_trash
        assert crash_host.run("prune", crashed)["code"] == 0
        assert manifest_of(crashed)["assets"].keys() == current
        assert wanted <= _hashes(crashed)
        check_records(crashed)
        assert {each["sha256"] for each in _files_of(past)} <= set(_trash(crashed).values())
        assert _records(crashed) == past
        history = {path for path in snapshot(crashed) if path.startswith(f"{PRIVATE}/history/")}
        left_over |= {(crashed.name, path) for path in (media_in(crashed) | history) - kept}
    assert left_over == set()
    assert crashes == len(steps)


def test_a_prune_can_be_taken_back_by_hand(
    run_prune: Prune,
    program: RunProgram,
    items: list[dict[str, Any]],
    dest: Path,
) -> None:
    """Moved back out of the trash, a gone asset's file is known again by `verify --rebuild`."""
    gone = _past(dest)[key_of(items[1])]
    assert run_prune().code == 0
    [path] = [path for path in _trash(dest) if path.endswith(gone["resource"]["path"])]
    shutil.move(dest / path, dest / gone["resource"]["path"])
    done = program("verify", "--rebuild", "--dest", dest, env=ACCESS)
    assert done.code == 0
    back = manifest_of(dest)["assets"][key_of(items[1])]
    assert back["resource"]["sha256"] == gone["resource"]["sha256"]
