"""Output that goes nowhere: the exit code stays the run's own, and nobody sees a traceback."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.conftest import RunProgram
from tests.lib.effects import error
from tests.lib.library import ACCESS, Library
from tests.lib.misbehaving import Misbehaving
from tests.lib.processes import sync_arguments

FULL = Path("/dev/full")
NOWHERE = [
    (way, streams)
    for streams in ("stdout", "stderr", "both")
    for way in ("full", "closed", "no reader")
    if way == "closed" or streams != "both"
]


@pytest.fixture
def commands(
    service: Misbehaving, library: Library, dest: Path, program: RunProgram, tmp_path: Path
) -> dict[tuple[str, ...], int]:
    """Command lines of every command, each with its exit code where the output is read."""
    library.fill(3)
    library.add(9, "video")
    service.fail(error(404), "/cdn/video/9")
    sync = tuple(map(str, sync_arguments(service, dest)))
    (tmp_path / "files").mkdir()
    mirror = ("--dest", str(dest))
    api = ("--api-url", service.api_url)
    lines = [
        (*sync, "--max-attempts", "1"),
        ("import", str(tmp_path / "files"), *mirror, *api, "--dry-run", "-vv"),
        ("demo", "--dest", str(tmp_path / "demo")),
        ("status", *mirror),
        ("status", *mirror, "--max-age", "1s", "--json"),
        ("list", *mirror),
        ("verify", *mirror, "-v"),
        ("prune", *mirror, "--dry-run"),
        ("gallery", *mirror),
        ("accounts", *api, "--json"),
        ("schedule", *mirror),
        ("config", *mirror),
        ("man",),
        ("init", "--dest", str(tmp_path / "new"), "--config", str(tmp_path / "x" / "y")),
        ("--help",),
        ("sync", "--jbos"),
        ("status", "--dest", str(tmp_path / "nowhere")),
    ]
    codes = {}
    for line in lines:
        done = program(*line, env=ACCESS)
        assert "Traceback" not in done.err
        codes[line] = done.code
        if line == lines[0]:
            rotten = next(dest.glob("video/*.mp4"))
            rotten.write_bytes(bytes(rotten.stat().st_size))
    assert {codes[line] for line in lines} == {0, 1, 2, 3}
    return codes


def _run(
    line: tuple[str, ...], environ: Mapping[str, str], way: str, streams: str
) -> tuple[int, str]:
    """One run, whose `streams` go nowhere in this `way`; its exit code, and what was read."""
    words = [sys.executable, "-m", "mirror", *line]
    nowhere: dict[str, int] = {}
    names = ("stdout", "stderr") if streams == "both" else (streams,)
    if way == "closed":
        closing = " ".join({"stdout": ">&-", "stderr": "2>&-"}[name] for name in names)
        words = ["sh", "-c", f'exec "$@" {closing}', "sh", *words]
    else:
        nowhere = dict.fromkeys(names, _nowhere(way))
    with subprocess.Popen(
        words,
        env={**environ, **ACCESS},
        stdin=subprocess.DEVNULL,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **nowhere},  # type: ignore[call-overload]
    ) as process:
        out, err = process.communicate(timeout=60)
    for descriptor in set(nowhere.values()):
        os.close(descriptor)
    return process.returncode, ((out or b"") + (err or b"")).decode()


def _nowhere(way: str) -> int:
    if way == "full":
        return os.open(FULL, os.O_WRONLY)
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "nowhere",
    [
        pytest.param((("closed", "both"),), id="closed"),
        pytest.param(NOWHERE, id="in every way", marks=pytest.mark.soak),
    ],
)
def test_the_exit_code_is_the_run_s_own(
    commands: dict[tuple[str, ...], int],
    environ: Mapping[str, str],
    tmp_path: Path,
    nowhere: Sequence[tuple[str, str]],
) -> None:
    """Whatever becomes of stdout and stderr, every command ends as it ends where they are read."""
    for (line, code), (way, streams) in itertools.product(commands.items(), nowhere):
        (tmp_path / "x" / "y").unlink(missing_ok=True)
        ended, shown = _run(line, environ, way, streams)
        assert (line, way, streams, ended) == (line, way, streams, code), shown
        assert "Traceback" not in shown
        assert "Exception" not in shown


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_a_full_disk_for_the_output_is_reported(
    environ: Mapping[str, str], items: object, dest: Path
) -> None:
    """Data that was lost on a full disk is a line on stderr; a reader that left wants none."""
    assert items
    line = ("list", "--dest", str(dest))
    code, shown = _run(line, environ, "full", "stdout")
    assert (code, shown) == (
        0,
        "kling-mirror: not all of the output could be written: No space left on device\n",
    )
    assert _run(line, environ, "no reader", "stdout") == (0, "")
    assert _run(line, environ, "closed", "stdout") == (0, "")


@pytest.fixture
def slow_reader(environ: Mapping[str, str], dest: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`list` into a pipe that does not block, as node and ssh hand it over."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with subprocess.Popen(
        [sys.executable, "-m", "mirror", "list", "--json", "--dest", str(dest)],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writing)
        process.stdout = os.fdopen(reading, "rb")
        yield process
        process.kill()


def test_a_pipe_that_does_not_block_gets_all_of_it(
    library: Library, sync: RunProgram, request: pytest.FixtureRequest
) -> None:
    """More than a pipe holds is waited for, not lost."""
    library.fill(150, size=10)
    assert sync().code == 0
    process = request.getfixturevalue("slow_reader")
    assert process.stdout.read(1) == b"["
    rest, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    assert len(rest) > 1 << 16
    assert rest.count(b'"updateTime"') >= 150
