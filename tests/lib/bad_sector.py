"""Files that the disk cannot read: a library, loaded before the C library, answers EIO for them."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sendfile.h>
#include <unistd.h>

static int is_bad(int descriptor) {
    const char *names = getenv("BAD_INODES");
    struct stat found;
    char name[64];
    if (!names || fstat(descriptor, &found) || !S_ISREG(found.st_mode)) return 0;
    snprintf(name, sizeof name, ",%lu,", (unsigned long)found.st_ino);
    return strstr(names, name) != NULL;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE(descriptor) if (is_bad(descriptor)) { errno = EIO; return -1; }

ssize_t read(int fd, void *data, size_t count) {
    REFUSE(fd) return REAL(read)(fd, data, count);
}
ssize_t pread(int fd, void *data, size_t count, off_t at) {
    REFUSE(fd) return REAL(pread)(fd, data, count, at);
}
ssize_t pread64(int fd, void *data, size_t count, off64_t at) {
    REFUSE(fd) return REAL(pread64)(fd, data, count, at);
}
ssize_t sendfile(int to, int fd, off_t *at, size_t count) {
    REFUSE(fd) return REAL(sendfile)(to, fd, at, count);
}
ssize_t sendfile64(int to, int fd, off64_t *at, size_t count) {
    REFUSE(fd) return REAL(sendfile64)(to, fd, at, count);
}
ssize_t copy_file_range(int fd, off64_t *at, int to, off64_t *put, size_t count, unsigned flags) {
    REFUSE(fd) return REAL(copy_file_range)(fd, at, to, put, count, flags);
}
"""


def bad_sectors(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    """What a process's environment needs so that it cannot read these files, under any name.

    Args:
        folder: where the library is built.
        paths: of the files, which are there.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not Path("/proc").is_dir():
        pytest.skip("bad sectors were not tested: there is no C compiler, or this is no Linux")
    source, library = folder / "bad_sector.c", folder / "bad_sector.so"
    source.write_text(_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    inodes = ",".join(str(path.stat().st_ino) for path in paths)
    return {"LD_PRELOAD": str(library), "BAD_INODES": f",{inodes},"}
