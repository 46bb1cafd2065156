"""File systems that a test mounts; it is skipped where nobody may."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(kind: str, folder: Path, options: str) -> Iterator[None]:
    """A file system of a kind, over a folder."""
    done = subprocess.run(
        ["mount", "-t", kind, "-o", options, kind, folder],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a mount was not tested: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)  # noqa: S607


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder, of which nothing can be written."""
    done = subprocess.run(
        ["mount", "--bind", folder, folder],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a read-only mirror was not tested: {done.stderr.decode().strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)  # noqa: S607
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)  # noqa: S607
