"""Redirects of the CDN, and odd URLs."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunProgram
from tests.lib.effects import ends, redirects
from tests.lib.library import EMAIL, Library, media
from tests.lib.mirrored import check_mirror, entry_of, manifest_of, snapshot
from tests.lib.misbehaving import Misbehaving
from tests.lib.rounds import CUT, PATH, SIZE
from tests.lib.runs import run_sync


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any], status: int
) -> None:
    """A relative one, then one to another host; the URL on record is the listed one."""
    library.files["/cdn/elsewhere"] = library.files[PATH]
    other_host = f"http://localhost:{service.port}/cdn/elsewhere"
    service.fail(redirects("../elsewhere?step=1", status), PATH)
    service.fail(redirects(other_host, status), "/cdn/elsewhere", times=1)
    assert run_sync(service, dest, max_attempts=1).summary.exit_code == 0
    hosts = [request.headers["host"] for request in service.asked("/cdn/elsewhere")]
    assert hosts == [f"127.0.0.1:{service.port}", f"localhost:{service.port}"]
    assert entry_of(dest, item)["resource"]["url"] == service.url + PATH
    check_mirror(dest, library)


def test_a_redirected_transfer_is_resumed(
    service: Misbehaving, library: Library, dest: Path, item: dict[str, Any]
) -> None:
    """A cut behind a redirect is continued through the redirect."""
    assert item
    library.files["/cdn/elsewhere"] = library.files[PATH]
    service.fail(redirects("/cdn/elsewhere?x-kcdn-pid=1"), PATH)
    service.fail(ends(after=CUT), "/cdn/elsewhere", times=1)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.files.bytes) == (0, SIZE + 2000)
    check_mirror(dest, library)


def test_a_redirect_to_a_local_file_is_refused(
    service: Misbehaving, dest: Path, tmp_path: Path, item: dict[str, Any]
) -> None:
    """Nothing of this machine is ever taken for an asset, nor by a URL in the listing."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(media("image", "secret", SIZE))
    service.fail(redirects(secret.as_uri()), PATH)
    listed = {**item, "id": "77", "resource": {"resource": secret.as_uri()}}
    service.accounts[EMAIL].append(listed)
    summary = run_sync(service, dest, max_attempts=3).summary
    assert (summary.exit_code, summary.assets.failed) == (3, 2)
    assert len(service.asked(PATH)) == 1, "there is no use in asking again"
    digests = set(snapshot(dest).values())
    assert hashlib.sha256(secret.read_bytes()).hexdigest() not in digests


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x?sig=SECRET", "HTTP:/x?sig=SECRET", "//?SECRET"])
def test_an_odd_url_is_shown_without_its_query(
    sync: RunProgram, library: Library, dest: Path, url: str
) -> None:
    """A URL that is none of http fails its asset, and its query is nowhere in what is printed."""
    library.add(1, "image")["resource"]["resource"] = url
    done = sync("-vv")
    assert done.code == 3
    assert "SECRET" not in done.out + done.err
    [failure] = manifest_of(dest)["failures"].values()
    assert "SECRET" not in failure["error"]


def test_a_loop_of_redirects_ends(service: Misbehaving, dest: Path, item: dict[str, Any]) -> None:
    """Few requests, and a failure that says so."""
    assert item
    service.fail(redirects(PATH), PATH)
    summary = run_sync(service, dest, max_attempts=3).summary
    assert summary.exit_code == 3
    assert "redirect" in summary.failures[0].error
    assert len(service.asked(PATH)) <= 12
