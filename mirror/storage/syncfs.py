"""`syncfs(2)`: one call makes all files of a batch durable, where a file system honours it.

Python's standard library does not have it. Linux reports write errors by it since 5.8 (man 2
syncfs); FUSE and network file systems do not flush by it, so that only those are trusted of which
it is known: ext4, XFS, Btrfs and F2FS.
"""

import ctypes
import os
import platform
import sys
from functools import cache

_MAGIC = frozenset((0xEF53, 0x58465342, 0x9123683E, 0xF2F52010))
"""The `f_type` of the file systems that are trusted: statfs(2), and `linux/magic.h`."""
_ERRORS_SINCE = (5, 8)
_STATFS_BYTES = 512
"""More than any `struct statfs` has; its first word is `f_type`."""


def is_honoured(descriptor: int) -> bool:
    """Whether `syncfs` of this open folder does what fsync of each of its files would do."""
    libc = _libc()
    if libc is None:
        return False
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.fstatfs(descriptor, buffer) != 0:
        return False
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF in _MAGIC


def syncfs(descriptor: int) -> None:
    """Make all that was written to the file system of this open folder durable.

    Raises:
        OSError: it could not write something.
    """
    libc = _libc()
    if libc is None or libc.syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@cache
def _libc() -> ctypes.CDLL | None:
    """The C library, if it has `syncfs` and the kernel reports errors by it."""
    if sys.platform != "linux" or _kernel() < _ERRORS_SINCE:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    return libc if hasattr(libc, "syncfs") and hasattr(libc, "fstatfs") else None


def _kernel() -> tuple[int, ...]:
    numbers = platform.release().partition("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdecimal())
