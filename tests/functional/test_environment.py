"""Odd environments: each works, or gets one message of what, where and what to do."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mirror.models import to_json
from tests.conftest import Finished, RunProgram
from tests.lib.library import ACCESS, Library
from tests.lib.misbehaving import Misbehaving
from tests.lib.processes import sync_arguments

resource = pytest.importorskip("resource")
NOT_UTF8 = os.fsdecode(b"m\xff\xfe")
NOBODY = 54321
"""A user id without a name, as OpenShift and `docker run --user` give one."""


def _run(
    environ: Mapping[str, str],
    *arguments: object,
    before: Callable[[], object] | None = None,
    under: tuple[str, ...] = (),
) -> Finished:
    """One run, whose process does this `before` it becomes the program."""
    done = subprocess.run(
        [*under, sys.executable, "-m", "mirror", *map(str, arguments)],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        preexec_fn=before,
    )
    out, err = (text.decode(errors="surrogateescape") for text in (done.stdout, done.stderr))
    assert "Traceback" not in err
    assert "Exception" not in err
    return Finished(done.returncode, out, err)


@pytest.fixture
def as_nobody() -> tuple[str, ...]:
    """A command that starts a program as a user without a name."""
    command = ("unshare", "--user", f"--map-user={NOBODY}", "--")
    if shutil.which(command[0]) is None:
        pytest.skip("users without a name were not tested: no unshare here")
    trial = subprocess.run([*command, "id", "-u"], capture_output=True, check=False)
    if trial.stdout.strip() != str(NOBODY).encode():
        pytest.skip(f"users without a name were not tested: {trial.stderr.decode().strip()}")
    return command


def test_a_user_without_name_and_home(
    environ: dict[str, str],
    service: Misbehaving,
    library: Library,
    tmp_path: Path,
    as_nobody: tuple[str, ...],
) -> None:
    """Without HOME and an entry in passwd all commands work that need no home folder."""
    library.fill(3)
    dest = tmp_path / "mirror"
    homeless = {name: value for name, value in environ.items() if name != "HOME"} | ACCESS
    mirror = ("--dest", dest)
    lines: list[tuple[tuple[object, ...], int, str]] = [
        (sync_arguments(service, dest), 0, ""),
        (("status", *mirror), 0, ""),
        (("verify", *mirror), 0, ""),
        (("config",), 0, ""),
        (("list",), 2, "no mirror folder is set"),
        (("init", *mirror), 2, "this user has no home folder to put the config into"),
        (("init", "--dest", tmp_path / "new", "--config", tmp_path / "x.toml"), 0, ""),
        (("schedule", *mirror), 2, "this user has no home folder"),
        (("status", "--dest", "~/mirror"), 2, "there is no such home folder"),
    ]
    for line, code, said in lines:
        done = _run(homeless, *line, under=as_nobody)
        assert (line, done.code) == (line, code), done.err
        assert said in done.err


@pytest.mark.parametrize("dest", ["$HOME/x", "${HOME}/x", "%USERPROFILE%/x"])
def test_a_variable_in_a_path_is_refused(program: RunProgram, tmp_path: Path, dest: str) -> None:
    """It would become a folder of that name, wherever the program is started."""
    (tmp_path / "config.toml").write_text(f'dest = "{dest}"\n')
    for given in (
        program("sync", "--dest", dest, env=ACCESS),
        program("sync", env={**ACCESS, "KLING_MIRROR_DEST": dest}),
        program("--config", tmp_path / "config.toml", "sync", env=ACCESS),
    ):
        assert given.code == 2
        assert "variables mean nothing here, but ~ is your home folder" in given.err
    assert {path.name for path in tmp_path.iterdir()} == {"config.toml", "home"}


def test_a_mirror_whose_name_is_not_utf8(
    environ: dict[str, str], service: Misbehaving, library: Library, tmp_path: Path
) -> None:
    """Every command works in it; JSON names it with a mark for each byte that it cannot hold."""
    library.fill(3)
    dest = tmp_path / NOT_UTF8
    log, hook = tmp_path / "log", tmp_path / "hook"
    settings = {
        "KLING_MIRROR_GALLERY": "1",
        "KLING_MIRROR_LOG_FILE": str(log),
        "KLING_MIRROR_ON_FINISH": f"cat > {hook}",
        "KLING_MIRROR_API_URL": service.api_url,
    }
    environ |= ACCESS | settings
    shown = f"{tmp_path}/m\ufffd\ufffd"
    done = _run(environ, *sync_arguments(service, dest))
    assert done.code == 0, done.err
    assert done.summary["dest"] == shown
    assert json.loads(hook.read_text())["dest"] == shown
    for line in (
        ("sync", "--min-free", "0"),
        ("status",),
        ("status", "--json"),
        ("list", "--json"),
        ("verify", "--json"),
        ("verify", "--rebuild"),
        ("prune", "--json"),
        ("gallery",),
        ("config",),
        ("import", tmp_path / "home", "--json"),
    ):
        assert _run(environ, *line, "--dest", dest).code == 0, line
    assert len(json.loads((dest / "manifest.json").read_text())["assets"]) == 3
    state = json.loads(_run(environ, "status", "--json", "--dest", dest).out)
    assert (state["dest"], state["is_complete"]) == (shown, True)
    (dest / ".kling-mirror" / "root.json").unlink()
    assert _run(environ, "sync", "--dest", dest).code == 6, "it is remembered, and missing"


@pytest.mark.parametrize("flag", ["--email", "--file-name"])
def test_a_text_that_is_not_utf8_is_refused(
    environ: dict[str, str], tmp_path: Path, flag: str
) -> None:
    """Nothing at Kling can have it."""
    done = _run(environ | ACCESS, "sync", "--dest", tmp_path / "m", flag, NOT_UTF8)
    assert done.code == 2
    assert "kling-mirror: expected Unicode text" in done.err


@pytest.mark.parametrize("limit", [8, 16])
def test_few_open_files(
    environ: dict[str, str], service: Misbehaving, library: Library, dest: Path, limit: int
) -> None:
    """A limit that may not be raised is named, with what to do; what was fetched is true."""
    library.fill(30)

    def before() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    done = _run(environ | ACCESS, *sync_arguments(service, dest), "--jobs", "32", before=before)
    assert done.code in (2, 6)
    assert "ulimit -n" in done.err


def test_a_low_limit_of_open_files_is_raised(
    environ: dict[str, str], service: Misbehaving, library: Library, dest: Path
) -> None:
    """A soft limit, such as macOS has, is no limit."""
    library.fill(60)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def before() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, hard))

    done = _run(environ | ACCESS, *sync_arguments(service, dest), "--jobs", "32", before=before)
    assert done.code == 0, done.err


def test_json_of_what_is_not_unicode() -> None:
    """Other texts beside it are as they are."""
    assert json.loads(to_json({"path": NOT_UTF8, "text": "é\U0001f3ac"})) == {
        "path": "m\ufffd\ufffd",
        "text": "é\U0001f3ac",
    }
