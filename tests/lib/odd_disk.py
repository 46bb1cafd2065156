"""File systems that differ from a usual one: a library, loaded before the C library, plays them."""

import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE(code) { errno = code; return -1; }

static int is_odd(const char *what) {
    const char *all = getenv("ODD_DISK");
    return all && strstr(all, what);
}

/* Whether a path is what this is about: all of the root, or what ODD_ONLY is a part of. */
static int is_meant(const char *path) {
    const char *root = getenv("ODD_ROOT"), *only = getenv("ODD_ONLY");
    return root && !strncmp(path, root, strlen(root)) && (!only || strstr(path, only));
}

static int is_open_meant(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_meant(path);
}

static int is_in_another_folder(const char *from, const char *to) {
    const char *a = strrchr(from, '/'), *b = strrchr(to, '/');
    return !a || !b || a - from != b - to || strncmp(from, to, a - from);
}

/* A path as a file system has it that ignores case, and does not keep it either. */
static const char *folded(const char *path, char *into) {
    const char *root = getenv("ODD_ROOT");
    if (!path || !is_odd("[no case]") || !is_meant(path) || strlen(path) >= PATH_MAX) return path;
    strcpy(into, path);
    for (char *c = into + strlen(root); *c; c++) if (*c >= 'A' && *c <= 'Z') *c += 'a' - 'A';
    return into;
}

#define FOLDING(type, name, parameters, ...) \
    type name parameters { char room[PATH_MAX]; return REAL(name)(__VA_ARGS__); }
FOLDING(int, stat, (const char *path, struct stat *found), folded(path, room), found)
FOLDING(int, lstat, (const char *path, struct stat *found), folded(path, room), found)
FOLDING(int, stat64, (const char *path, struct stat64 *found), folded(path, room), found)
FOLDING(int, lstat64, (const char *path, struct stat64 *found), folded(path, room), found)
FOLDING(int, fstatat64, (int at, const char *path, struct stat64 *found, int flags),
        at, folded(path, room), found, flags)
FOLDING(int, fstatat, (int at, const char *path, struct stat *found, int flags),
        at, folded(path, room), found, flags)
FOLDING(int, access, (const char *path, int mode), folded(path, room), mode)
FOLDING(int, unlink, (const char *path), folded(path, room))
FOLDING(int, mkdir, (const char *path, mode_t mode), folded(path, room), mode)

static mode_t mode_in(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}
#define OPENING(name) int name(const char *path, int flags, ...) { \
    char room[PATH_MAX]; va_list rest; va_start(rest, flags); \
    mode_t mode = mode_in(flags, rest); va_end(rest); \
    return REAL(name)(folded(path, room), flags, mode); }
OPENING(open)
OPENING(open64)

int rename(const char *from, const char *to) {
    struct stat found;
    char one[PATH_MAX], other[PATH_MAX];
    from = folded(from, one), to = folded(to, other);
    if (is_meant(to)) {
        if (is_odd("[exdev]") && is_in_another_folder(from, to)) REFUSE(EXDEV)
        if (is_odd("[rename keeps]") && !lstat(to, &found)) REFUSE(EEXIST)
        if (is_odd("[stale]")) REFUSE(ESTALE)
    }
    return REAL(rename)(from, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    char one[PATH_MAX], other[PATH_MAX];
    from = folded(from, one), to = folded(to, other);
    if (is_meant(to) && is_odd("[exdev]") && is_in_another_folder(from, to)) REFUSE(EXDEV)
    if (is_meant(to) && is_odd("[no links]")) REFUSE(EPERM)
    return REAL(linkat)(a, from, b, to, flags);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
    char room[PATH_MAX];
    if (is_odd("[no times]") && path && is_meant(path)) REFUSE(EPERM)
    return REAL(utimensat)(folder, folded(path, room), times, flags);
}
int futimens(int fd, const struct timespec times[2]) {
    if (is_odd("[no times]") && is_open_meant(fd)) REFUSE(EPERM)
    return REAL(futimens)(fd, times);
}

int chmod(const char *path, mode_t mode) {
    if (is_odd("[no modes]") && is_meant(path)) REFUSE(EPERM)
    return REAL(chmod)(path, mode);
}
int fchmod(int fd, mode_t mode) {
    if (is_odd("[no modes]") && is_open_meant(fd)) REFUSE(EPERM)
    return REAL(fchmod)(fd, mode);
}
int fchmodat(int folder, const char *path, mode_t mode, int flags) {
    if (is_odd("[no modes]") && is_meant(path)) REFUSE(EPERM)
    return REAL(fchmodat)(folder, path, mode, flags);
}

int statvfs(const char *path, struct statvfs *found) {
    int done = REAL(statvfs)(path, found);
    if (!done && is_odd("[no sizes]") && is_meant(path)) memset(found, 0, sizeof *found);
    return done;
}

int flock(int fd, int how) {
    if (is_open_meant(fd)) {
        if (is_odd("[no locks]")) REFUSE(ENOSYS)
        if (is_odd("[locks refused]")) REFUSE(ENOLCK)
        if (is_odd("[locks unsupported]")) REFUSE(EOPNOTSUPP)
        if (is_odd("[local locks]")) return 0;
    }
    return REAL(flock)(fd, how);
}

int fsync(int fd) {
    if (is_odd("[fsync fails]") && is_open_meant(fd)) REFUSE(EIO)
    if (is_odd("[fsync stale]") && is_open_meant(fd)) REFUSE(ESTALE)
    return REAL(fsync)(fd);
}

int uname(struct utsname *found) {
    int done = REAL(uname)(found);
    const char *host = getenv("ODD_HOST");
    if (!done && host) snprintf(found->nodename, sizeof found->nodename, "%s", host);
    return done;
}
"""


def odd_disk(folder: Path, root: Path, *oddities: str, only: str = "") -> dict[str, str]:
    """What a process's environment needs to meet such a file system.

    Args:
        folder: where the library is built.
        root: below which the file system is odd.
        oddities: as the source names them in brackets.
        only: a part of the paths that are meant, if not all are.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not Path("/proc").is_dir():
        pytest.skip("odd file systems were not tested: there is no C compiler, or this is no Linux")
    for oddity in oddities:
        assert f'"[{oddity}]"' in _SOURCE
    source, library = folder / "odd_disk.c", folder / "odd_disk.so"
    if not library.exists():
        source.write_text(_SOURCE)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    odd = {"LD_PRELOAD": str(library), "ODD_ROOT": str(root)}
    odd["ODD_DISK"] = "".join(f"[{oddity}]" for oddity in oddities)
    return odd | ({"ODD_ONLY": only} if only else {})
