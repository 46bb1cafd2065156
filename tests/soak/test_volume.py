"""A thousand assets, 300 MB, served by nginx: complete, silent, and then only what changed."""

import getpass
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mirror.demo.service import KlingService
from tests.conftest import Finished, RunProgram
from tests.lib.library import ACCESS, EMAIL, JPEG, Library, media
from tests.lib.mirrored import key_of

_NONE = dict.fromkeys(("new", "changed", "unchanged", "repaired", "failed"), 0)
KINDS = ("image", "audio", "video")
_CONF = """\
user {user}; daemon off; pid {root}/pid; error_log {root}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log {root}/access.log;
  client_body_temp_path {root}/t; proxy_temp_path {root}/t; fastcgi_temp_path {root}/t;
  uwsgi_temp_path {root}/t; scgi_temp_path {root}/t;
  server {{ listen unix:{root}/socket; listen 127.0.0.1:{port}; root {root}/www; }}
}}
"""


class Cdn:
    """nginx over a folder of files, and what it was asked for."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.url = f"http://127.0.0.1:{port}"
        (root / "www").mkdir()
        conf = root / "nginx.conf"
        conf.write_text(_CONF.format(root=root, port=port, user=getpass.getuser()))
        nginx = shutil.which("nginx", path=f"{os.environ.get('PATH')}:/usr/sbin")
        assert nginx is not None
        self.process = subprocess.Popen([nginx, "-p", str(root), "-c", str(conf)])
        until = time.monotonic() + 10
        while not (root / "pid").exists() and time.monotonic() < until:
            time.sleep(0.05)

    def put(self, name: str, body: bytes) -> str:
        """Serve a file; returns its URL."""
        (self.root / "www" / name).write_bytes(body)
        return f"{self.url}/{name}?x-kcdn-pid=1"

    def asked(self) -> list[str]:
        """The names that were asked for since the last call."""
        log = self.root / "access.log"
        lines = log.read_text().splitlines()
        log.write_text("")
        subprocess.run(["kill", "-USR1", str(self.process.pid)], check=True)  # noqa: S607
        time.sleep(0.2)
        return [line.split('"')[1].split()[1].partition("?")[0][1:] for line in lines]


@pytest.fixture
def cdn(tmp_path: Path) -> Iterator[Cdn]:
    """A running nginx; it ends with the test."""
    if shutil.which("nginx", path=f"{os.environ.get('PATH')}:/usr/sbin") is None:
        pytest.skip("nginx is not installed: a thousand assets were not mirrored from it")
    root = tmp_path / "nginx"
    root.mkdir()
    with KlingService(accounts={}, files={}, token="") as spare:
        port = spare.port
    running = Cdn(root, port)
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(10)


def _fill(library: Library, cdn: Cdn, count: int, total_bytes: int) -> dict[str, str]:
    """A mixed library; returns the hash of every file by its URL's name."""
    random = Random(1)  # noqa: S311 - the same library each time
    hashes = {}
    mean = total_bytes // count
    for number in range(count):
        kind = KINDS[number % 3]
        body = media(kind, number, random.randint(mean // 4, mean * 7 // 4))
        item = library.add(number, kind, cover=kind == "video", body=b"-")
        item["resource"]["resource"] = cdn.put(f"{number}", body)
        hashes[f"{number}"] = hashlib.sha256(body).hexdigest()
        if kind == "video":
            cover = JPEG + media("audio", number, 4000)
            item["cover"]["resource"] = cdn.put(f"{number}.cover", cover)
            hashes[f"{number}.cover"] = hashlib.sha256(cover).hexdigest()
    library.files.clear()
    return hashes


def _stored(dest: Path) -> dict[str, str]:
    """The recorded hash of every file by its URL's name."""
    manifest = json.loads((dest / "manifest.json").read_text())
    return {
        entry[role]["url"].rpartition("/")[2]: entry[role]["sha256"]
        for entry in manifest["assets"].values()
        if entry["state"] == "current"
        for role in ("resource", "cover")
        if entry[role]
    }


def _counts(run: Finished) -> dict[str, int]:
    assets: Any = run.summary["assets"]
    parts = ("new", "changed", "unchanged", "repaired", "failed")
    assert assets["listed"] == sum(assets[part] for part in parts)
    return {part: assets[part] for part in parts}


@pytest.mark.soak
@pytest.mark.parametrize("page_size", [20, 100])
def test_a_thousand_assets(
    program: RunProgram, library: Library, cdn: Cdn, dest: Path, page_size: int
) -> None:
    """All hashes are right; no news is silence; a third run fetches exactly what changed."""
    hashes = _fill(library, cdn, 1000, 300_000_000)
    with library.service() as service:

        def sync(*more: str) -> Finished:
            return program(
                "sync", "--dest", dest, "--api-url", service.api_url, "--page-size", page_size,
                *more, env=ACCESS,
            )  # fmt: skip

        first = sync("--json")
        assert first.code == 0, first.err
        assert _counts(first) == {**_NONE, "new": 1000}
        assert _stored(dest) == hashes
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=dest, check=True)  # noqa: S607
        assert sorted(cdn.asked()) == sorted(hashes)

        before = (dest / "manifest.json").read_bytes()
        second = sync()
        assert (second.code, second.out, second.err) == (0, "", "")
        assert cdn.asked() == []
        assert (dest / "manifest.json").read_bytes() == before

        items = library.accounts[EMAIL]
        manifest = json.loads(before)["assets"]
        paths = [dest / manifest[key_of(items[at])]["resource"]["path"] for at in (10, 20)]
        paths[0].unlink()
        os.truncate(paths[1], 1000)
        items[30]["updateTime"] += 1
        body = media("image", "moved", 9000)
        items[30]["resource"]["resource"] = cdn.put("moved", body)
        added = library.add(1000, "image", body=b"-")
        added["resource"]["resource"] = cdn.put("1000", media("image", "added", 9000))
        third = sync("--json")
        assert third.code == 0, third.err
        assert _counts(third) == {**_NONE, "new": 1, "changed": 1, "unchanged": 997, "repaired": 2}
        assert sorted(cdn.asked()) == ["10", "1000", "20", "moved"]
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=dest, check=True)  # noqa: S607
