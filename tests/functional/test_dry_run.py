"""`--dry-run`: it says what a run would do, and writes nothing."""

import json
from pathlib import Path
from typing import Any

from tests.conftest import RunProgram
from tests.lib.library import Library, media
from tests.lib.mirrored import check_mirror, check_output, entry_of, snapshot
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import Notes, run_sync


def test_a_dry_run_before_the_first_run_writes_nothing(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path, home: Path
) -> None:
    """It lists and reports, asks the CDN for nothing, and makes no folder at all."""
    item = library.add(1)
    done = sync("--dry-run")
    assert done.code == 0
    check_output("", done.err)
    assert item["id"] in done.err
    assert json.loads(done.out)["assets"] == {
        "listed": 1, "new": 1, "changed": 0, "unchanged": 0,
        "repaired": 0, "failed": 0, "filtered": 0, "gone": 0,
    }  # fmt: skip
    assert service.cdn_requests() == []
    assert not dest.exists()
    assert list(home.iterdir()) == []


def test_a_dry_run_predicts_what_a_run_does(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """The same counts, from a mirror that is left as it is to the last byte."""
    library.add(50)
    library.change(items[1], media("image", "new"))
    library.delete(items[2])
    (dest / entry_of(dest, items[3])["cover"]["path"]).unlink()
    before = snapshot(dest), (dest / ".kling-mirror/runs.jsonl").read_bytes()
    notes = Notes()
    planned = run_sync(service, dest, notes=notes, dry_run=True).summary
    assert planned.exit_code == 0
    assert (snapshot(dest), (dest / ".kling-mirror/runs.jsonl").read_bytes()) == before
    assert service.cdn_requests() == []
    assert len(notes.plans) == 3
    real = run_sync(service, dest).summary
    assert planned.assets == real.assets
    assert (real.assets.new, real.assets.changed, real.assets.repaired) == (1, 1, 1)
    assert (real.assets.gone, real.assets.unchanged) == (1, 9)
    check_mirror(dest, library)


def test_a_dry_run_warns_of_what_a_run_would_not_believe(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Too much vanished: exit 5 in a dry run as well, and nothing is written."""
    for item in items[:8]:
        library.delete(item)
    before = snapshot(dest)
    assert run_sync(service, dest, dry_run=True).summary.exit_code == 5
    assert snapshot(dest) == before
