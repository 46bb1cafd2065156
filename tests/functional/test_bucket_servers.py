"""A bucket as the root, on real servers: SeaweedFS, Azure's emulator, and one that is refused."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import RunProgram, access_to
from tests.lib.azurite import azurite
from tests.lib.buckets import S3, Bucket
from tests.lib.invariant import check_invariant
from tests.lib.library import EMAIL, Library, media
from tests.lib.mirrored import check_mirror
from tests.lib.misbehaving import Misbehaving
from tests.lib.seaweed import seaweed, tool

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """SeaweedFS, for all tests here."""
    with seaweed(tmp_path_factory.mktemp("weed") / "data") as running:
        yield S3(running.url, key=running.key, secret=running.secret)


@pytest.fixture
def rclone(home: Path) -> tuple[str, Mapping[str, str]]:
    """The program, and an environment in which it has no config."""
    return tool("rclone"), {**os.environ, "RCLONE_CONFIG": str(home / "rclone.conf")}


def _remote(s3: S3) -> Mapping[str, str]:
    """What rclone needs to reach a service as `remote:`."""
    values = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": s3.url,
        "ACCESS_KEY_ID": s3.environ["AWS_ACCESS_KEY_ID"],
        "SECRET_ACCESS_KEY": s3.environ["AWS_SECRET_ACCESS_KEY"],
    }
    return {f"RCLONE_CONFIG_REMOTE_{name}": value for name, value in values.items()}


def test_a_mirror_in_seaweedfs_and_back(
    program: RunProgram,
    sync_to: RunProgram,
    service: Misbehaving,
    library: Library,
    weed: S3,
    *,
    rclone: tuple[str, Mapping[str, str]],
    tmp_path: Path,
) -> None:
    """Mirrored, copied down by rclone, continued there, copied up, continued in the bucket."""
    command, environ = rclone
    library.fill(12)
    env = {**access_to(service), **weed.environ}
    subprocess.run(
        [command, "mkdir", "remote:studio"], env={**environ, **_remote(weed)}, check=True
    )
    url = "s3://studio/kling"
    assert program("sync", "--dest", url, env=env).code == 0
    assert program("verify", "--dest", url, env=env).code == 0

    down = tmp_path / "down"
    copy = [command, "copy", "--quiet"]
    remote = {**environ, **_remote(weed)}
    subprocess.run([*copy, "remote:studio/kling", down], env=remote, check=True)
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=down, check=True)  # noqa: S607
    first = library.accounts[EMAIL][0]
    [path] = (down / "video").glob(f"*{first['id']}.mp4")
    assert round(path.stat().st_mtime * 1000) == first["updateTime"]
    service.forget()
    assert sync_to(service, down).code == 0
    assert not service.cdn_requests()
    assert program("verify", "--dest", down).code == 0

    library.change(first, media("video", "changed"))
    library.add(20, "image")
    assert sync_to(service, down).code == 0
    subprocess.run([*copy, down, "remote:studio/kling"], env=remote, check=True)
    service.forget()
    library.add(21, "audio")
    assert program("sync", "--dest", url, env=env).code == 0
    assert len(service.cdn_requests()) == 1
    assert program("verify", "--dest", url, env=env).code == 0
    again = Bucket(weed, url).copy_down(tmp_path / "again")
    check_invariant(again, is_settled=True)
    check_mirror(again, library)


def test_a_key_that_is_refused(
    program: RunProgram, service: Misbehaving, library: Library, weed: S3
) -> None:
    """Exit 6, with the variables to look at; the key itself is not shown."""
    library.fill(1)
    wrong = {**weed.environ, "AWS_SECRET_ACCESS_KEY": "my-secret-typo"}
    done = program("sync", "--dest", "s3://studio/x", env={**access_to(service), **wrong})
    assert (done.code, "refuses these credentials" in done.err) == (6, True), done.err
    assert "AWS_SECRET_ACCESS_KEY" in done.err
    assert "my-secret-typo" not in done.err
    assert len(done.err.splitlines()) == 3


def test_a_mirror_in_azure(program: RunProgram, service: Misbehaving, library: Library) -> None:
    """Azure's ETags are no digests: each object is read back; all else is as ever."""
    items = library.fill(6)
    with azurite() as environ:
        env = {**access_to(service), **environ}
        url = "az://kling/mirror"
        assert program("sync", "--dest", url, env=env).code == 0
        library.change(items[0], media("video", "changed"))
        done = program("sync", "--dest", url, "--json", env=env)
        assert (done.code, done.summary["assets"]["changed"]) == (0, 1)  # type: ignore[index]
        assert program("verify", "--dest", url, env=env).code == 0
        assert program("status", "--dest", url, env=env).code == 0
        done = program("sync", "--dest", "az://no-such-container/x", env=env)
        assert (done.code, "there is no such bucket" in done.err) == (6, True), done.err


def test_a_server_that_ignores_conditions_is_refused(
    program: RunProgram,
    service: Misbehaving,
    library: Library,
    *,
    rclone: tuple[str, Mapping[str, str]],
    tmp_path: Path,
) -> None:
    """`rclone serve s3` takes conditional uploads and ignores them: exit 6, and nothing is left."""
    command, environ = rclone
    library.fill(2)
    folder = tmp_path / "served"
    (folder / "bucket").mkdir(parents=True)
    with subprocess.Popen(
        [command, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", "key,secret", folder],
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    break
            else:
                raise AssertionError("rclone did not start")
            env = {**access_to(service), **S3(found.group()).environ}
            done = program("sync", "--dest", "s3://bucket/x", env=env)
        finally:
            process.kill()
    assert (done.code, "ignores the conditions" in done.err) == (6, True), done.err
    assert not [path for path in folder.rglob("*") if path.is_file()]
