"""A bucket as the root: the promises of a folder, without a disk."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Finished, RunProgram, access_to
from tests.lib.buckets import Bucket
from tests.lib.invariant import check_invariant
from tests.lib.library import Library
from tests.lib.mirrored import PRIVATE, check_mirror
from tests.lib.misbehaving import Misbehaving
from tests.lib.s3_gateway import Gateway

Run = Callable[..., Finished]


@pytest.fixture
def run(program_here: RunProgram, service: Misbehaving, bucket: Bucket) -> Run:
    """Runs a command on the bucket, in this process."""

    def run(*arguments: object) -> Finished:
        env = {**access_to(service), **bucket.s3.environ}
        command, *rest = arguments
        return program_here(command, "--dest", bucket.url, *rest, env=env)

    return run


def _down(bucket: Bucket, folder: Path) -> Path:
    """A copy of the bucket, as it lies, of which every promise holds."""
    check_invariant(bucket.copy_down(folder), is_settled=True)
    return folder


def test_a_library_is_mirrored(
    run: Run, library: Library, service: Misbehaving, bucket: Bucket, tmp_path: Path
) -> None:
    """Every file is in the bucket with its bytes, and nothing else; then nothing is fetched."""
    library.fill(12)
    done = run("sync", "--json")
    assert (done.code, done.err) == (0, "")
    check_mirror(_down(bucket, tmp_path / "down"), library)
    assert {path for path in bucket.paths() if path.startswith(PRIVATE)} == {
        f"{PRIVATE}/{name}" for name in ("root.json", "head.json", "runs.jsonl")
    }
    service.forget()
    manifest = bucket.read("manifest.json")
    done = run("sync")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert not service.cdn_requests()
    assert bucket.read("manifest.json") == manifest


def test_what_changes_is_kept(run: Run, library: Library, bucket: Bucket, tmp_path: Path) -> None:
    """A new version takes its place, the old one is in history; what is gone stays."""
    first, second, third = library.fill(3)
    old = library.files[f"/cdn/{first['contentType']}/0"].body
    assert run("sync").code == 0
    library.change(first, old + b"more")
    library.change(second, None)
    library.delete(third)
    done = run("sync", "--json", "--max-gone", "1")
    assert (done.code, done.summary["assets"]["changed"]) == (0, 2)  # type: ignore[index]
    down = _down(bucket, tmp_path / "down")
    entries = json.loads((down / "manifest.json").read_text())["assets"].values()
    assert sorted(entry["state"] for entry in entries) == [
        "current", "current", "gone", "superseded", "superseded",
    ]  # fmt: skip
    [kept] = [it["resource"] for it in entries if it["resource"]["path"].endswith("0000000.mp4")
              and it["state"] == "superseded"]  # fmt: skip
    assert (down / kept["path"]).read_bytes() == old
    assert run("verify").code == 0
    assert run("status").code == 0


def test_a_damaged_object_is_found_and_repaired(
    run: Run, library: Library, bucket: Bucket, tmp_path: Path
) -> None:
    """`verify` notices; `--repair` fetches again; `sync` what is missing or cut."""
    library.fill(4)
    assert run("sync").code == 0
    image, video = (
        next(path for path in bucket.paths() if path.startswith(kind))
        for kind in ("image", "video")
    )
    bucket.put(image, b"x" * len(bucket.read(image)))
    bucket.delete(video)
    assert "Not safe" in run("status").out
    done = run("verify")
    assert (done.code, f"damaged: {image}" in done.err, f"missing: {video}" in done.err) == (
        1,
        True,
        True,
    )
    assert run("sync").code == 0
    assert video in bucket.paths()
    assert run("verify", "--repair").code == 0
    check_mirror(_down(bucket, tmp_path / "down"), library)


def test_checksums_of_the_server_are_enough_to_verify(
    program_here: RunProgram, service: Misbehaving, library: Library, bucket: Bucket
) -> None:
    """`verify` downloads only what has none; `--read` downloads all; each says which it was."""
    items = library.fill(4)
    old = library.files[f"/cdn/{items[0]['contentType']}/0"].body
    with Gateway(bucket.s3.url) as gateway:
        env = {**access_to(service), **bucket.s3.environ, "AWS_ENDPOINT_URL": gateway.url}

        def run(*arguments: str) -> tuple[Finished, int]:
            gateway.requests.clear()
            done = program_here(*arguments, "--dest", bucket.url, env=env)
            kinds = ("/video/", "/image/", "/audio/")
            read = [
                it
                for it in gateway.requests
                if it[0] == "GET" and any(map(it[1].__contains__, kinds))
            ]
            return done, len(read)

        assert run("sync")[0].code == 0
        library.change(items[0], old + b"more")
        assert run("sync")[0].code == 0  # the copy in history has its checksum, too
        assert json.loads(bucket.read(f"{PRIVATE}/root.json"))["proof"]["has_digests"] is True
        done, read = run("verify")
        assert (done.code, read) == (0, 0), done.err
        assert "checked by the server's checksums" in done.err
        assert "checksums alone" in run("status")[0].out
        [image] = [path for path in bucket.paths() if path.startswith("image/")]
        bucket.put(image, bucket.read(image))  # as a hand, or another tool, does
        done, read = run("verify")
        assert (done.code, read) == (0, 1)
        assert "1 downloaded and hashed" in done.err
        bucket.put(image, b"x" * len(bucket.read(image)))
        done, read = run("verify")
        assert (done.code, read, f"damaged: {image}" in done.err) == (1, 1, True)
        done, read = run("verify", "--read", "--json")
        assert (done.code, read) == (1, done.summary["checked"])
        assert done.summary["by_checksum"] == 0


def test_a_copy_at_another_service_is_probed_anew(
    program_here: RunProgram, service: Misbehaving, library: Library, bucket: Bucket
) -> None:
    """What `root.json` says is of one service: another may ignore conditions, and is refused."""
    library.fill(1)
    env = {**access_to(service), **bucket.s3.environ}
    assert program_here("sync", "--dest", bucket.url, env=env).code == 0
    with Gateway(bucket.s3.url, keeps_conditions=False) as gateway:
        other = {**env, "AWS_ENDPOINT_URL": gateway.url}
        done = program_here("sync", "--dest", bucket.url, env=other)
    assert (done.code, "ignores the conditions" in done.err) == (6, True), done.err


def test_pruned_objects_go_to_the_trash_first(
    run: Run, library: Library, bucket: Bucket, tmp_path: Path
) -> None:
    """They are in the trash with their bytes, and deleted by a second command alone."""
    items = library.fill(4)
    assert run("sync").code == 0
    before = {hashlib.sha256(bucket.read(path)).hexdigest() for path in bucket.paths()}
    library.delete(items[0])
    assert run("sync").code == 0
    assert run("prune").code == 0
    trashed = [path for path in bucket.paths() if path.startswith(f"{PRIVATE}/trash/")]
    assert len(trashed) == 3
    hashes = {hashlib.sha256(bucket.read(path)).hexdigest() for path in trashed}
    assert len(hashes & before) == 2
    _down(bucket, tmp_path / "down")
    assert run("prune", "--empty-trash", "--yes").code == 0
    assert not [path for path in bucket.paths() if path.startswith(f"{PRIVATE}/trash/")]


def test_a_lost_manifest_is_rebuilt(
    run: Run, library: Library, service: Misbehaving, bucket: Bucket
) -> None:
    """A run refuses to guess; `verify --rebuild` makes the manifest of what is there."""
    library.fill(4)
    assert run("sync").code == 0
    before = json.loads(bucket.read("manifest.json"))["assets"]
    bucket.delete("manifest.json")
    assert run("sync").code == 8
    assert run("verify", "--rebuild").code == 0
    service.forget()
    assert run("sync").code == 0
    assert not service.cdn_requests()
    after = json.loads(bucket.read("manifest.json"))["assets"]
    assert {key: entry["resource"]["sha256"] for key, entry in after.items()} == {
        key: entry["resource"]["sha256"] for key, entry in before.items()
    }


def test_files_that_are_here_are_imported(
    run: Run,
    library: Library,
    service: Misbehaving,
    bucket: Bucket,
    *,
    tmp_path: Path,
    sync_to: RunProgram,
) -> None:
    """`import` brings another mirror's files into the bucket, and nothing is fetched."""
    library.fill(4)
    assert sync_to(service, tmp_path / "other").code == 0
    service.forget()
    assert run("import", tmp_path / "other").code == 0
    assert run("sync").code == 0
    assert not [it for it in service.cdn_requests() if it.method != "HEAD"]
    check_mirror(_down(bucket, tmp_path / "down"), library)


def test_the_gallery_is_in_the_bucket(run: Run, library: Library, bucket: Bucket) -> None:
    """Its links are relative, so that a copy of the bucket can be looked through."""
    library.fill(4)
    assert run("sync").code == 0
    assert run("gallery").code == 0
    assert b"<!doctype html>" in bucket.read("gallery/index.html")
    assert b"file:///" not in bucket.read("gallery/data.js")


# Copies.


def test_a_copy_in_a_folder_is_a_mirror(
    run: Run,
    library: Library,
    service: Misbehaving,
    bucket: Bucket,
    *,
    tmp_path: Path,
    sync_to: RunProgram,
) -> None:
    """A bucket that was copied down is continued, and nothing is fetched again."""
    library.fill(6)
    assert run("sync").code == 0
    down = _down(bucket, tmp_path / "down")
    service.forget()
    library.add(7, "image")
    done = sync_to(service, down)
    assert (done.code, len(service.cdn_requests())) == (0, 1), done.err
    check_mirror(down, library)
    assert not (down / PRIVATE / "head.json").exists()


def test_a_folder_that_was_copied_up_goes_on(
    run: Run,
    library: Library,
    service: Misbehaving,
    bucket: Bucket,
    *,
    tmp_path: Path,
    sync_to: RunProgram,
) -> None:
    """A mirror that was copied up is continued, and nothing is fetched again."""
    library.fill(6)
    local = tmp_path / "local"
    assert sync_to(service, local).code == 0
    bucket.copy_up(local)
    service.forget()
    library.add(7, "image")
    assert run("sync").code == 0
    assert len(service.cdn_requests()) == 1
    check_mirror(_down(bucket, tmp_path / "down"), library)


def test_a_killed_run_of_this_machine_is_not_at_work(
    run: Run, library: Library, bucket: Bucket
) -> None:
    """Its lease lasts for another minute, but the lock of the spool knows better."""
    library.fill(2)
    assert run("sync").code == 0
    head = json.loads(bucket.read(f"{PRIVATE}/head.json"))
    held = {**head, "pid": 2, "since": "2026-01-01T00:00:00Z", "until_s": time.time() + 50}
    bucket.put(f"{PRIVATE}/head.json", json.dumps(held).encode())
    assert "A run is at work" not in run("status").out
    other = json.dumps({**held, "spool": "another", "host": "attic"}).encode()
    bucket.put(f"{PRIVATE}/head.json", other)
    assert "A run is at work: process 2" in run("status").out
    done = run("sync")
    assert (done.code, "pid 2 on attic" in done.err) == (11, True)


# What cannot be.


@pytest.mark.parametrize("command", ["sync", "status", "list", "verify", "prune", "gallery"])
def test_a_bucket_that_is_not_there(run: Run, command: str) -> None:
    """Exit 6, in words, and none is made: a missing bucket is no empty mirror."""
    done = run(command, "--dest", "s3://no-such-bucket/x")
    assert (done.code, done.out) == (6, "")
    assert "there is no such bucket" in done.err
    assert len(done.err.splitlines()) == 3


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "s3://a b/x", "s3://bucket/../x"])
def test_a_url_that_names_no_bucket(run: Run, url: str) -> None:
    """Exit 2: it is refused before anything is asked."""
    done = run("status", "--dest", url)
    assert (done.code, "s3://bucket/prefix" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "NoSuchBucket", "there is no such bucket"),
        (403, "ExpiredToken", "refuses these credentials"),
        (401, "Unauthorized", "refuses these credentials"),
        (507, "QuotaExceeded", "the bucket cannot be used"),
    ],
)
def test_a_bucket_that_is_lost_in_mid_run(
    program_here: RunProgram,
    service: Misbehaving,
    library: Library,
    bucket: Bucket,
    *,
    status: int,
    code: str,
    words: str,
) -> None:
    """Deleted, or its key expired: exit 6, in words; the next run goes on."""
    library.fill(20)
    with Gateway(bucket.s3.url) as gateway:
        seen = gateway.requests
        gateway.answers = lambda *_: (
            (status, code) if sum("/image/" in path for _, path in seen) > 2 else None
        )
        env = {**access_to(service), **bucket.s3.environ, "AWS_ENDPOINT_URL": gateway.url}
        done = program_here("sync", "--dest", bucket.url, env=env)
    assert (done.code, words in done.err) == (6, True), done.err
    assert len(done.err.splitlines()) <= 4
    env = {**access_to(service), **bucket.s3.environ}
    assert program_here("sync", "--dest", bucket.url, env=env).code == 0
    assert program_here("verify", "--dest", bucket.url, env=env).code == 0


def test_a_service_that_is_away(
    program_here: RunProgram, service: Misbehaving, bucket: Bucket
) -> None:
    """Exit 6, in a line that names the bucket; not 38 lines of a library."""
    env = {**access_to(service), **bucket.s3.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = program_here("status", "--dest", bucket.url, env=env)
    assert (done.code, bucket.url in done.err) == (6, True)
    assert len(done.err.splitlines()) == 3
