"""A real S3 server on loopback: SeaweedFS, in one process, with a folder of its own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

KEY, SECRET = "kling", "kling-secret"
_GRPC = 10_000
"""SeaweedFS uses each port, and the one so far above it."""


class Server(NamedTuple):
    """A running server: its address, and a key that may do everything."""

    url: str
    key: str = KEY
    secret: str = SECRET


def tool(name: str) -> str:
    """A program beside this Python, or in PATH; the test is skipped where there is none."""
    folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which(name, path=folders)
    if found is None:
        pytest.skip(f"not tried: {name} is not installed here")
    return found


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[Server]:
    """Run the server; it keeps everything in the folder.

    Raises:
        AssertionError: it did not start.
    """
    weed = tool("weed")
    folder.mkdir()
    rights = ["Admin", "Read", "Write", "List", "Tagging"]
    keys = [{"accessKey": KEY, "secretKey": SECRET}]
    config = folder / "s3.json"
    config.write_text(
        json.dumps({"identities": [{"name": "me", "credentials": keys, "actions": rights}]})
    )
    master, volume, filer, s3 = _free_ports(4)
    command = [
        weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
        "-s3", f"-s3.port={s3}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-s3.config={config}", "-volume.max=20",
        "-master.volumeSizeLimitMB=100", "-master.telemetry=false",
    ]  # fmt: skip
    log = folder / "log"
    with log.open("wb") as writing:
        process = subprocess.Popen(command, cwd=folder, stdout=writing, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"http://127.0.0.1:{s3}/", process, log)
        yield Server(f"http://127.0.0.1:{s3}")
    finally:
        process.kill()
        process.wait()


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait for an answer; that it asks for a key is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - http on loopback
        except urllib.error.HTTPError as refused:
            if refused.code < 500:
                return
        except OSError:
            pass
        else:
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace")[-3000:])


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, and whose twins for gRPC are, too."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            sockets = [held.enter_context(socket.socket()) for _ in range(2)]
            sockets[0].bind(("127.0.0.1", 0))
            port = sockets[0].getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                sockets[1].bind(("127.0.0.1", port - _GRPC))
                found.append(port - _GRPC)
    return found
