"""What proves a file of a folder to be the one at a CDN."""

from pathlib import Path

import pytest

from mirror.jobs.proving import why_not
from mirror.net.probe import RemoteFile
from mirror.storage.hashing import hash_file
from tests.lib.library import PNG

BODY = PNG + bytes(100)


@pytest.mark.parametrize(
    ("digests", "why"),
    [
        ((), "no digest"),
        (("md5",), ""),
        (("sha256", "sha1"), ""),
        (("sha256", "wrong"), "bytes differ"),
        (("wrong", "sha256"), "bytes differ"),
    ],
)
def test_every_digest_must_be_the_files_own(
    tmp_path: Path, digests: tuple[str, ...], why: str
) -> None:
    """There is at least one, and none that differs."""
    path = tmp_path / "file"
    path.write_bytes(BODY)
    local = hash_file(path.open("rb"), ("sha256", "md5", "sha1"))
    given = [(name, local.digests[name]) if name != "wrong" else ("md5", "0") for name in digests]
    remote = RemoteFile(len(BODY), None, None, "image/png", tuple(given))
    assert why_not(local, remote).find(why) >= 0
    assert bool(why_not(local, remote)) == bool(why)


def test_an_error_page_is_no_file(tmp_path: Path) -> None:
    """Though every digest is right."""
    path = tmp_path / "file"
    path.write_bytes(b"<html><body>Please log in</body></html>")
    local = hash_file(path.open("rb"))
    remote = RemoteFile(local.size, None, None, None, (("sha256", local.sha256),))
    assert "error page" in why_not(local, remote)
