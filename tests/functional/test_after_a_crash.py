"""What a run says of assets that an interrupted run had fetched."""

import re
from pathlib import Path

import pytest

from tests.conftest import RunProgram
from tests.lib.crash_host import Host
from tests.lib.library import Library
from tests.lib.misbehaving import Misbehaving


def test_what_an_interrupted_run_fetched_is_reported(
    crash_host: Host, sync_to: RunProgram, service: Misbehaving, library: Library, tmp_path: Path
) -> None:
    """An asset that is placed and not yet recorded is recorded by the next run, which says so."""
    library.fill(3)
    steps = crash_host.run("sync", tmp_path / "straight")["steps"]
    stop_at = next(at for at in range(steps.index("rename"), len(steps)) if steps[at] == "append")
    for at in range(stop_at, len(steps)):
        dest = tmp_path / f"crashed-{at}"
        crash_host.run("sync", dest, stop_at=at)
        done = sync_to(service, dest)
        assert done.code == 0
        if found := re.search(r"recorded (\d+) assets? that an interrupted run", done.err):
            assert 0 < int(found[1]) <= 3
            assert sync_to(service, dest).err == ""
            return
    pytest.fail("no step of a run left anything to the next one")
