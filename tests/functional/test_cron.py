"""A night in cron: no environment to speak of, a config file, and mail only where there is news."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.demo.service import KlingService
from tests.conftest import Finished
from tests.lib.invariant import check_invariant
from tests.lib.library import TOKEN, Library

RunCron = Callable[..., Finished]


@pytest.fixture
def configure(home: Path, service: KlingService, dest: Path) -> Callable[..., Path]:
    """Writes `~/.config/kling-mirror/config.toml`, with the token in it."""

    def write(*, mode: int = 0o600, dest: Path = dest) -> Path:
        config = home / ".config" / "kling-mirror" / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        lines = {"dest": str(dest), "api_url": service.api_url, "token": TOKEN}
        text = "".join(
            f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in lines.items()
        )
        config.write_text(text, encoding="utf-8")
        config.chmod(mode)
        return config

    return write


@pytest.fixture
def cron(home: Path) -> RunCron:
    """Runs the program as cron does: `env -i`, and not a setting more."""
    root = Path(__file__).parents[2]

    def run(*arguments: object, umask: int = -1, **environ: str) -> Finished:
        pairs = {"PATH": "/usr/bin:/bin", "HOME": str(home), **environ}
        done = subprocess.run(
            [
                "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in pairs.items()),
                sys.executable, "-m", "mirror", *map(str, arguments),
            ],
            cwd=root,  # where the package lies, if it is not installed
            umask=umask,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def test_a_night_without_news_says_nothing(
    library: Library, configure: Callable[..., Path], cron: RunCron, dest: Path
) -> None:
    """The first run prints one line, the second none on either stream: cron sends no mail."""
    for number in range(6):
        library.add(number, ("video", "image", "audio")[number % 3])
    configure()
    first = cron("sync")
    assert (first.code, first.out) == (0, ""), first.err
    (line,) = first.err.splitlines()
    assert "6 new" in line
    assert str(dest) in line
    assert line.isprintable()
    assert len(check_invariant(dest)) == 6
    for _ in range(2):
        second = cron("sync")
        assert (second.code, second.out, second.err) == (0, "", "")


def test_the_same_failures_are_one_line(
    library: Library, configure: Callable[..., Path], cron: RunCron
) -> None:
    """A page of failures is news once; a file that fails anew is news again."""
    items = [library.add(number, "image") for number in range(9)]
    for number in range(5):
        del library.files[f"/cdn/image/{number}"]
    configure()
    first = cron("sync", KLING_MIRROR_MAX_ATTEMPTS="1")
    assert (first.code, len(first.err.splitlines())) == (3, 6)
    second = cron("sync", KLING_MIRROR_MAX_ATTEMPTS="1")
    assert (second.code, len(second.err.splitlines())) == (3, 1)
    assert "5 failed" in second.err
    assert "the same files failed in the last run" in second.err
    assert items[0]["id"] in cron("status", "-v").out
    library.add(20, "image")
    del library.files["/cdn/image/20"]
    third = cron("sync", KLING_MIRROR_MAX_ATTEMPTS="1")
    assert (third.code, len(third.err.splitlines())) == (3, 7)


def test_a_night_with_news_says_it_in_one_line(
    library: Library, configure: Callable[..., Path], cron: RunCron
) -> None:
    """A deletion and a change are news, each once."""
    items = [library.add(number, "image") for number in range(6)]
    configure()
    assert cron("sync").code == 0
    library.delete(items[0])
    library.change(items[1])
    news = cron("sync")
    assert (news.code, news.out) == (0, "")
    (line,) = news.err.splitlines()
    assert "1 changed" in line
    assert "1 gone" in line
    assert cron("sync") == Finished(0, "", "")


def test_a_config_that_others_may_read(
    library: Library, configure: Callable[..., Path], cron: RunCron
) -> None:
    """A token that others may read is warned of, on stderr, with the remedy and not the token."""
    library.add(1)
    config = configure(mode=0o644)
    done = cron("sync")
    assert (done.code, done.out) == (0, "")
    assert "chmod 600" in done.err
    assert str(config) in done.err
    assert TOKEN not in done.err
    config.chmod(0o600)
    assert cron("sync") == Finished(0, "", "")


def test_an_error_is_reported_and_recorded(
    library: Library, configure: Callable[..., Path], cron: RunCron, service: KlingService
) -> None:
    """A refused token costs at most three lines, shows no token, and `status` reports it."""
    library.add(1)
    configure()
    assert cron("sync").code == 0
    service.token = "user:1-other"  # noqa: S105 - opens nothing
    refused = cron("sync")
    assert (refused.code, refused.out) == (4, "")
    assert len(refused.err.splitlines()) <= 3
    assert TOKEN not in refused.err
    assert "exit 4" in cron("status").out


@pytest.mark.parametrize("umask", [0o077, 0o022, 0])
def test_the_umask_is_respected(
    library: Library, configure: Callable[..., Path], cron: RunCron, dest: Path, umask: int
) -> None:
    """Files are 0644 less umask, every single one, and no folder is more open than its umask."""
    item = library.add(1)
    configure()
    assert cron("sync", umask=umask).code == 0
    library.change(item, library.files["/cdn/video/1"].body + b"more")
    assert cron("sync", umask=umask).code == 0
    assert list((dest / ".kling-mirror" / "history").rglob("*.mp4"))
    wrong = {}
    for path in dest.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        allowed = (0o777 if path.is_dir() else 0o644) & ~umask
        if mode & ~allowed or (path.is_file() and mode != allowed):
            wrong[str(path.relative_to(dest))] = oct(mode)
    assert not wrong


@pytest.mark.parametrize("locale", [{"LANG": "C"}, {"LC_ALL": "POSIX"}])
def test_a_cyrillic_path_without_a_locale(
    library: Library,
    configure: Callable[..., Path],
    cron: RunCron,
    tmp_path: Path,
    locale: dict[str, str],
) -> None:
    """A path and a name outside ASCII are mirrored as they are, whatever the locale."""
    dest = tmp_path / "Зеркало Kling"
    library.add(1, "image", name="Закат над морем.png")
    configure(dest=dest)
    first = cron("sync", **locale)
    assert (first.code, first.out) == (0, ""), first.err
    (entry,) = check_invariant(dest).values()
    assert entry.resource is not None
    assert entry.resource.path.startswith("image/Закат над морем-")
    assert os.fsencode(dest / entry.resource.path).decode() == str(dest / entry.resource.path)
    assert cron("sync", "--dest", dest, **locale) == Finished(0, "", "")
    listed = cron("list", "--json", **locale)
    assert json.loads(listed.out)[0]["name"] == "Закат над морем.png"
    assert cron("status", **locale).code == 0
