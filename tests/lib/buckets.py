"""Buckets of an S3 service on loopback, and what is in them."""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import obstore
import obstore.store
import pytest


class S3:
    """An S3 service that is running.

    Attributes:
        url: its address.
        environ: what a program needs to reach it.
    """

    def __init__(self, url: str, *, key: str = "key", secret: str = "secret") -> None:  # noqa: S107
        self.url = url
        self.environ: Mapping[str, str] = {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
        }

    def bucket(self, name: str) -> "Bucket":
        """Make a bucket; gives the place of a mirror in it."""
        httpx.put(f"{self.url}/{name}", timeout=30).raise_for_status()
        return Bucket(self, f"s3://{name}/kling/mirror")


class Bucket:
    """The place of a mirror in a bucket, as a hand would change it.

    Attributes:
        s3: the service.
        url: of the mirror.
    """

    def __init__(self, s3: S3, url: str) -> None:
        self.s3 = s3
        self.url = url
        name, _, prefix = url.removeprefix("s3://").partition("/")
        self._store: Any = obstore.store.S3Store(
            name,
            prefix=prefix or None,
            access_key_id=s3.environ["AWS_ACCESS_KEY_ID"],
            secret_access_key=s3.environ["AWS_SECRET_ACCESS_KEY"],
            region="us-east-1",
            endpoint=s3.url,
            client_options={"allow_http": True},
        )

    def paths(self) -> list[str]:
        """Every key below the mirror's URL."""
        return [found["path"] for chunk in obstore.list(self._store) for found in chunk]

    def read(self, path: str) -> bytes:
        """An object."""
        return bytes(obstore.get(self._store, path).bytes())

    def put(self, path: str, body: bytes) -> None:
        """Put an object."""
        obstore.put(self._store, path, body)

    def delete(self, path: str) -> None:
        """Delete an object."""
        obstore.delete(self._store, path)

    def copy_from(self, other: "Bucket") -> None:
        """Copy everything from another place."""
        for path in other.paths():
            self.put(path, other.read(path))

    def copy_down(self, folder: Path) -> Path:
        """Copy everything into a folder, as any tool does."""
        for path in self.paths():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(path))
        return folder

    def copy_up(self, folder: Path) -> None:
        """Copy everything in a folder up, as any tool does."""
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                self.put(path.relative_to(folder).as_posix(), path.read_bytes())


@contextlib.contextmanager
def moto() -> Iterator[S3]:
    """A service in a process of its own, which forgets everything at its end."""
    pytest.importorskip("moto", reason="mirrors in buckets were not tested: moto is missing")
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    break
            else:
                raise AssertionError("moto did not start")
            _drain(process)
            yield S3(found.group())
        finally:
            process.kill()


def _drain(process: "subprocess.Popen[str]") -> None:
    """Read on, so that the service never waits for a reader."""

    def read() -> None:
        assert process.stderr is not None
        for _ in process.stderr:
            pass

    threading.Thread(target=read, daemon=True).start()
