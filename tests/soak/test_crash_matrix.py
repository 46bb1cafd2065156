"""A crash right before every durable step: the manifest never lies, and the next run mends."""

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import KlingService
from tests.lib.crash_host import CRASHED
from tests.lib.invariant import Served, check_invariant, check_nothing_lost, sha256_of
from tests.lib.library import EMAIL, Library, media


class Host:
    """The process that runs syncs and lets them crash."""

    def __init__(self, environ: Mapping[str, str], state: Path) -> None:
        self._state = state
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.lib.crash_host"],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def sync(self, service: KlingService, dest: Path, *, stop_at: int | None = None) -> Any:  # noqa: ANN401
        """Run once; the answer has the exit code, and the steps unless it crashed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"dest": str(dest), "api_url": service.api_url, "stop_at": stop_at}
        self.process.stdin.write(json.dumps({**order, "state": str(self._state)}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture
def host(environ: Mapping[str, str], tmp_path: Path) -> Iterator[Host]:
    """A running host; it ends with the test."""
    running = Host(environ, tmp_path / "state")
    with running.process as process:
        try:
            yield running
        finally:
            process.kill()


def _outcome(dest: Path) -> dict[str, Any]:
    """What a mirror holds in the end: states and hashes by key."""
    manifest = json.loads((dest / "manifest.json").read_text())
    return {
        key: (
            entry["state"],
            *(entry[role] and entry[role]["sha256"] for role in ("resource", "cover")),
        )
        for key, entry in manifest["assets"].items()
    }


def _crash_everywhere(
    host: Host, service: KlingService, base: Path, tmp_path: Path, served: Served
) -> set[str]:
    """Crash before each step of a run over a copy of `base`; returns the steps' names."""
    before = dict(check_invariant(base)) if base.exists() else {}
    straight = tmp_path / "straight"
    if base.exists():
        shutil.copytree(base, straight)
    whole = host.sync(service, straight)
    assert whole["code"] == 0
    wanted = _outcome(straight)
    for at in itertools.count():
        dest = tmp_path / f"crash{at}"
        if base.exists():
            shutil.copytree(base, dest)
        crashed = host.sync(service, dest, stop_at=at)["code"]
        if crashed == 0:  # it had no step left to die at
            break
        assert crashed == CRASHED
        check_nothing_lost(before, check_invariant(dest, served))
        assert host.sync(service, dest)["code"] == 0
        check_nothing_lost(before, check_invariant(dest, served))
        assert _outcome(dest) == wanted, f"after a crash at step {at}"
        assert not list((dest / ".kling-mirror" / "partial").iterdir())
        for line in (dest / "SHA256SUMS").read_text().splitlines():
            digest, _, path = line.partition("  ")
            assert sha256_of(dest / path) == digest
        shutil.rmtree(dest)
    assert at > len(whole["steps"]) / 2  # how assets fall into batches differs from run to run
    return set(whole["steps"])


def test_a_crash_at_every_step_of_a_first_run(
    host: Host, service: KlingService, library: Library, tmp_path: Path
) -> None:
    """Whatever step a first run dies at, the next one completes it."""
    library.add(0, "video")
    served = Served()
    served.note(library)
    steps = _crash_everywhere(host, service, tmp_path / "none", tmp_path, served)
    assert steps >= {"write", "fsync", "rename", "fsync folder", "append", "truncate"}


def test_a_crash_at_every_step_of_a_run_with_changes(
    host: Host, service: KlingService, library: Library, tmp_path: Path
) -> None:
    """New, changed, renamed, deleted and damaged assets: no step loses what was promised before."""
    for number, kind in enumerate(("video", "image", "audio", "audio")):
        library.add(number, kind)
    served = Served()
    served.note(library)
    base = tmp_path / "base"
    assert host.sync(service, base)["code"] == 0
    changed, renamed, same, deleted = library.accounts[EMAIL][:4]
    library.change(changed, media("video", "changed"))
    library.change(renamed, media("image", "renamed"))
    renamed["name"] = "another.png"
    library.change(same, None)
    library.delete(deleted)
    library.add(6, "video")
    served.note(library)
    steps = _crash_everywhere(host, service, base, tmp_path, served)
    assert steps >= {"link", "unlink"}
