"""What a run says of assets that an interrupted run had fetched."""

import re
from pathlib import Path

import pytest

from tests.conftest import RunProgram
from tests.lib.crash_host import Host
from tests.lib.library import ACCESS, Library
from tests.lib.misbehaving import Misbehaving


@pytest.fixture
def interrupted(crash_host: Host, library: Library, tmp_path: Path) -> Path:
    """A mirror whose first run ended when some files were placed, and no entry was recorded."""
    library.fill(3)
    steps = crash_host.run("sync", tmp_path / "straight")["steps"]
    first = next(at for at in range(steps.index("rename"), len(steps)) if steps[at] == "append")
    for at in range(first, len(steps)):
        dest = tmp_path / f"crashed-{at}"
        crash_host.run("sync", dest, stop_at=at)
        if [*dest.glob("*/clip*")] and (dest / ".kling-mirror/promised").stat().st_size:
            return dest
    pytest.fail("no step of a run left anything to the next one")


@pytest.mark.parametrize(
    "words",
    [
        ("sync",),
        ("import", "files"),
        ("prune",),
        ("verify", "--repair"),
        ("verify", "--rebuild"),
    ],
    ids=" ".join,
)
def test_what_an_interrupted_run_fetched_is_reported(
    interrupted: Path,
    program: RunProgram,
    service: Misbehaving,
    tmp_path: Path,
    words: tuple[str, ...],
) -> None:
    """An asset that is placed and not yet recorded is recorded by the next command, once."""
    (tmp_path / "files").mkdir()
    api = ("--api-url", service.api_url) if words[0] in ("sync", "import") else ()
    line = (*words, "--dest", interrupted, *api)
    done = program(*line, env=ACCESS)
    found = re.search(r"recorded (\d+) assets? that an interrupted run", done.err)
    assert found is not None, done.err
    assert 0 < int(found[1]) <= 3
    assert "interrupted" not in program(*line, env=ACCESS).err
