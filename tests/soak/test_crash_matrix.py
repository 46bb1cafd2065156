"""A crash right before every durable step: the manifest never lies, and the next run repairs."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.lib.crash_host import Host
from tests.lib.invariant import Served, Witness, check_invariant
from tests.lib.library import EMAIL, Library, media
from tests.lib.mirrored import PRIVATE, check_records, manifest_of


def _outcome(dest: Path) -> dict[str, Any]:
    """What a mirror holds in the end: states and hashes by key."""
    return {
        key: (
            entry["state"],
            *(entry[role] and entry[role]["sha256"] for role in ("resource", "cover")),
        )
        for key, entry in manifest_of(dest)["assets"].items()
    }


def _crash_everywhere(host: Host, base: Path, tmp_path: Path, served: Served) -> set[str]:
    """Crash before each step of a run over a copy of `base`; returns the steps' names."""
    before = check_invariant(base) if base.exists() else {}
    straight = tmp_path / "straight"
    if base.exists():
        shutil.copytree(base, straight)
    whole = host.run("sync", straight)
    assert whole["code"] == 0
    wanted = _outcome(straight)
    crashes = 0
    for dest in host.crash_everywhere("sync", base, tmp_path):
        crashes += 1
        witness = Witness(dest, served)
        witness.entries = dict(before)
        witness.look()
        assert host.run("sync", dest)["code"] == 0
        witness.look(is_settled=True)
        assert _outcome(dest) == wanted, f"after a crash in {dest.name}"
        assert not list((dest / PRIVATE / "partial").iterdir())
        check_records(dest)
    assert crashes > len(whole["steps"]) / 2  # how assets fall into batches differs between runs
    return set(whole["steps"])


@pytest.mark.soak
def test_a_crash_at_every_step_of_a_first_run(
    crash_host: Host, library: Library, tmp_path: Path
) -> None:
    """Whatever step a first run dies at, the next one completes it."""
    library.add(0, "video")
    served = Served()
    served.note(library)
    steps = _crash_everywhere(crash_host, tmp_path / "none", tmp_path, served)
    assert steps >= {"write", "fsync", "rename", "fsync folder", "append", "truncate"}


@pytest.mark.soak
def test_a_crash_at_every_step_of_a_run_with_changes(
    crash_host: Host, library: Library, tmp_path: Path
) -> None:
    """New, changed, renamed, deleted and damaged assets: no step loses what was promised before."""
    for number, kind in enumerate(("video", "image", "audio", "audio")):
        library.add(number, kind)
    served = Served()
    served.note(library)
    base = tmp_path / "base"
    assert crash_host.run("sync", base)["code"] == 0
    changed, renamed, same, deleted = library.accounts[EMAIL][:4]
    library.change(changed, media("video", "changed"))
    library.change(renamed, media("image", "renamed"))
    renamed["name"] = "another.png"
    library.change(same, None)
    library.delete(deleted)
    library.add(6, "video")
    served.note(library)
    steps = _crash_everywhere(crash_host, base, tmp_path, served)
    assert steps >= {"link", "unlink"}
