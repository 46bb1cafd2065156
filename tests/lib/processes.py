"""What tests of stopped and killed processes share."""

from pathlib import Path

import pytest

STOPPED_WITHIN_S = 2.0
BIG = 200_000_000_000
"""Bytes of a sparse file that nobody can hash in a minute."""


def open_files(pid: int) -> set[str]:
    """What a process has open; the test is skipped where nobody can know."""
    found = set()
    folder = Path(f"/proc/{pid}/fd")
    if not folder.exists():
        pytest.skip("stops while a file is hashed were not tested: there is no /proc here")
    for link in folder.iterdir():
        try:
            found.add(link.readlink().as_posix())
        except OSError:
            continue
    return found
