"""Windows and macOS, as far as Linux can show: what is imported, encodings, the wheel."""

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mirror.storage.layout import safe_component
from tests.conftest import RunProgram

PACKAGE = Path(__file__).parents[2] / "mirror"

_AS_ON_WINDOWS = """
import importlib, os, pkgutil, signal, socket, sys, types
from pathlib import Path

import mirror


def work(dest):
    import mirror.cli

    for found in pkgutil.walk_packages(mirror.__path__, "mirror."):
        importlib.import_module(found.name)
    for arguments in (
        ("demo", "--dest", dest),
        ("demo", "--dest", dest),
        ("status", "--dest", dest, "--max-age", "1h"),
        ("list", "--dest", dest),
        ("verify", "--dest", dest),
        ("verify", "--rebuild", "--dest", dest),
        ("prune", "--dest", dest, "--empty-trash"),
        ("gallery", "--dest", dest),
        ("--config", dest / "config.toml", "init", "--dest", dest),
        ("--config", dest / "config.toml", "config"),
        ("completion", "fish"),
        ("man",),
    ):
        code = mirror.cli.main([*map(str, arguments)])
        assert code == 0, (arguments, code)


def without(module, names):
    kept = types.ModuleType(module.__name__)
    kept.__dict__.update({{name: it for name, it in vars(module).items() if name not in names}})
    return kept


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {MODULES!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


work(Path(sys.argv[1]) / "as it is")  # which loads every library, that knows its system by itself
for name in [name for name in sys.modules if name.partition(".")[0] == "mirror"]:
    del sys.modules[name]
for name in {MODULES!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
sys.modules["os"] = without(os, {OS!r})
sys.modules["signal"] = without(signal, {SIGNAL!r})
sys.modules["socket"] = without(socket, {SOCKET!r})
import mirror

work(Path(sys.argv[1]) / "without")
"""
"""Runs every command, and then once more where our modules find only what Windows has, too."""

ONLY_POSIX = {
    # "Availability: Unix" or "not Windows" in the standard library's documentation
    "MODULES": (
        *("crypt", "fcntl", "grp", "nis", "ossaudiodev", "pty", "pwd", "readline", "resource"),
        *("spwd", "syslog", "termios", "tty"),
    ),
    "OS": (
        *("O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "O_SYNC", "O_DSYNC", "O_NOATIME"),
        *("geteuid", "getuid", "getegid", "getgid", "getgroups", "getpgid", "getpgrp", "getsid"),
        *("setuid", "setgid", "setsid", "setpgid", "fchmod", "fchown", "lchown", "chown"),
        *("chroot", "mkfifo", "mknod", "nice", "fork", "forkpty", "wait", "wait3", "wait4"),
        *("statvfs", "fstatvfs", "sync", "fdatasync", "posix_fallocate", "posix_fadvise"),
        *("pread", "pwrite", "preadv", "pwritev", "readv", "writev", "sendfile", "lockf"),
        *("getloadavg", "sched_getaffinity", "uname", "confstr", "sysconf", "ttyname", "tcgetpgrp"),
        *("copy_file_range", "memfd_create", "getxattr", "setxattr", "listxattr", "killpg"),
    ),
    "SIGNAL": (
        *("SIGHUP", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGCHLD"),
        *("SIGCONT", "SIGSTOP", "SIGTSTP", "SIGWINCH", "alarm", "setitimer", "pause", "sigwait"),
        *("pthread_kill", "pthread_sigmask", "siginterrupt"),
    ),
    "SOCKET": ("AF_UNIX", "SO_REUSEPORT", "sendmsg"),
}


def test_it_works_without_what_only_posix_has(environ: Mapping[str, str], dest: Path) -> None:
    """Every module loads, and every command works, where Windows' Python lacks a thing."""
    script = _AS_ON_WINDOWS.format(**ONLY_POSIX)
    done = subprocess.run(
        [sys.executable, "-c", script, dest],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (dest / "without/gallery/index.html").exists()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_only_posix_names_have_a_fallback(path: Path) -> None:
    """A module asks by `hasattr` or `getattr` for what only POSIX has, or tries to import it.

    The run above cannot see what stands in a branch that it does not take.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tried = {
        id(node)
        for attempt in ast.walk(tree)
        if isinstance(attempt, ast.Try)
        for node in ast.walk(attempt)
    }
    asked_for = {
        node.args[1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "hasattr"
        and isinstance(node.args[1], ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            only = set(ONLY_POSIX.get(node.value.id.upper(), ())) - asked_for
            assert node.attr not in only, f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Import) and id(node) not in tried:
            for alias in node.names:
                is_only = alias.name in ONLY_POSIX["MODULES"]
                assert not is_only or path.name == "terminal.py", f"{path.name}:{node.lineno}"


def test_every_text_has_an_encoding(program: RunProgram, dest: Path) -> None:
    """No file is read or written in the system's own encoding, which is not UTF-8 on Windows."""
    env = {"PYTHONWARNDEFAULTENCODING": "1", "PYTHONWARNINGS": "error::EncodingWarning"}
    config = ("--config", dest / "config.toml")
    for arguments in (
        ("demo", "--dest", dest),
        (*config, "init", "--dest", dest),
        (*config, "config"),
        (*config, "status"),
        (*config, "verify"),
        (*config, "gallery"),
    ):
        done = program(*arguments, env=env)
        assert done.code == 0, done.err


def test_a_terminal_without_unicode_is_served(program: RunProgram, tmp_path: Path) -> None:
    """Where stdout cannot show a letter, it is escaped; files are UTF-8 all the same."""
    env = {"PYTHONIOENCODING": "ascii"}
    dest = tmp_path / "\u1f3ac\u00fc"
    for arguments in (("demo",), ("list",), ("status",), ("verify",), ("gallery",)):
        done = program(*arguments, "--dest", dest, env=env)
        assert done.code == 0, done.err
        assert (done.out + done.err).isascii()
    assert [path for path in dest.rglob("*") if not path.name.isascii()]


def test_a_locale_that_cannot_name_files_is_refused(program: RunProgram, dest: Path) -> None:
    """In an 8-bit locale names would be lost: exit 2 says what to set, and nothing is written."""
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = program("demo", "--dest", dest, env=env)
    assert (done.code, dest.exists()) == (2, False)
    assert "PYTHONUTF8=1" in done.err
    assert program("demo", "--dest", dest, env={**env, "PYTHONUTF8": "1"}).code == 0


def test_the_package_is_pure_python_under_plain_names() -> None:
    """Nothing is compiled, and every file can be unpacked on every system."""
    names = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if "__pycache__" not in path.parts
    ]
    assert not [name for name in names if name.endswith((".so", ".pyd", ".c", ".pyx"))]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(safe_component(part) == part for name in names for part in name.split("/"))
