"""Filters, and runs without covers: what they leave out is neither gone nor failed."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunProgram
from tests.lib.effects import replies
from tests.lib.library import KINDS, Library
from tests.lib.mirrored import check_mirror, entry_of, key_of, manifest_of, snapshot, stored_of
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync


@pytest.mark.parametrize(
    "filters",
    [
        {"content_type": ["audio"]},
        {"content_type": ["audio", "image"]},
        {"file_name": "clip1."},
        {"file_name": "CLIP1."},
        {"content_type": ["audio"], "file_name": "nothing-has-this-name"},
        {"since": "2025-06-15T15:06:45Z"},
        {"until": "2025-06-15T15:06:45Z"},
        {"since": "2030-01-01", "until": "2030-12-31"},
    ],
)
def test_filters_never_mark_gone(
    service: Misbehaving,
    library: Library,
    dest: Path,
    items: list[dict[str, Any]],
    filters: dict[str, object],
) -> None:
    """What is outside of a filter, and even what vanished inside, is left as it is: exit 0."""
    before = snapshot(dest)
    for item in (items[0], items[1], items[2]):
        library.delete(item)
    result = run_sync(service, dest, **filters)  # type: ignore[arg-type]
    assert (result.summary.exit_code, result.summary.assets.gone) == (0, 0)
    assert result.summary.assets.listed == result.summary.assets.unchanged
    assert snapshot(dest) == before
    assert service.cdn_requests() == []
    assert run_sync(service, dest).summary.assets.gone == 3


def test_filters_choose_what_is_mirrored(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Only what passes is fetched and listed; the rest comes when the filter goes."""
    for number in range(6):
        library.add(number, KINDS[number % 3], size=100)
    summary = run_sync(service, dest, content_type=["video", "image"]).summary
    assert (summary.exit_code, summary.assets.new, summary.assets.filtered) == (0, 4, 2)
    assert {entry["contentType"] for entry, _ in stored_of(dest)} == {"video", "image"}
    summary = run_sync(service, dest, content_type=["audio"], file_name="clip2").summary
    assert (summary.exit_code, summary.assets.new, summary.assets.listed) == (0, 1, 1)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.new) == (0, 1)
    check_mirror(dest, library)


def test_uploads_of_some_days_are_mirrored(
    service: Misbehaving, library: Library, dest: Path, program_here: RunProgram
) -> None:
    """`--since` and `--until` count by the upload's time; `list` has the same filters."""
    for number in range(6):
        library.add(number, "image", size=100)  # a second apart
    times = {"since": "2025-06-15T15:06:41Z", "until": "2025-06-15T15:06:43Z"}
    summary = run_sync(service, dest, **times).summary  # type: ignore[arg-type]
    assert (summary.exit_code, summary.assets.new, summary.assets.filtered) == (0, 2, 4)
    assert "only uploads since" in program_here("status", "--dest", dest).out
    assert "Not safe" in program_here("status", "--dest", dest).out
    assert run_sync(service, dest, since="2025-06-01", until="2025-07-01").summary.assets.new == 4
    flags = (f"--{name}={time}" for name, time in times.items())
    listed = program_here("list", "--dest", dest, "--columns", "name,updated", *flags).out
    assert listed.splitlines() == [
        "name\tupdated",
        "clip1.png\t2025-06-15T15:06:41Z",
        "clip2.png\t2025-06-15T15:06:42Z",
    ]
    done = program_here("sync", "--dest", dest, "--since", "yesterday")
    assert (done.code, "expected a day such as" in done.err) == (2, True)


def test_a_filter_keeps_failures_of_what_it_leaves_out(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """A failed asset stays on record while a filter hides it."""
    item = library.add(1, "image")
    library.add(2, "audio")
    service.fail(replies(500, Retry_After="0"), "/cdn/image/1")
    assert run_sync(service, dest).summary.exit_code == 3
    assert run_sync(service, dest, content_type=["audio"]).summary.exit_code == 0
    assert set(manifest_of(dest)["failures"]) == {key_of(item)}


def test_covers_that_were_left_out_come_with_the_next_run(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """`--no-covers`, then without it: the covers alone are fetched; then with it: they stay."""
    items = [library.add(number, "video", size=100) for number in range(3)]
    summary = run_sync(service, dest, no_covers=True).summary
    assert (summary.exit_code, summary.files.fetched) == (0, 3)
    assert all(entry_of(dest, item)["cover"] is None for item in items)
    assert run_sync(service, dest, no_covers=True).summary.assets.unchanged == 3
    service.forget()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.files.fetched) == (0, 3)
    assert all(request.path.endswith(".cover") for request in service.cdn_requests())
    check_mirror(dest, library)
    before = snapshot(dest)
    assert run_sync(service, dest, no_covers=True).summary.assets.unchanged == 3
    assert snapshot(dest) == before


# Assets that fail for ever.


def test_an_excluded_asset_is_no_failure(
    service: Misbehaving, library: Library, dest: Path, program_here: RunProgram
) -> None:
    """What cannot be had is acknowledged by its id; all else is mirrored, and counts as safe."""
    library.fill(3)
    lost = library.add(7, "image")
    del library.files["/cdn/image/7"]
    assert run_sync(service, dest).summary.exit_code == 3
    summary = run_sync(service, dest, exclude=[lost["id"]]).summary
    assert (summary.exit_code, summary.assets.filtered, summary.assets.listed) == (0, 1, 3)
    assert manifest_of(dest)["failures"] == {}
    config = dest.parent / "config.toml"
    config.write_text(f'dest = "{dest}"\nexclude = ["{lost["id"]}"]\n')
    shown = program_here("--config", config, "status").out
    assert shown.startswith(f"Safe within its limits (not {lost['id']}):"), shown
    assert program_here("status", "--dest", dest).out.startswith("Not safe")
    assert run_sync(service, dest).summary.exit_code == 3


def test_what_is_mirrored_of_an_excluded_asset_stays(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """It is neither gone nor superseded; and it is gone once Kling lacks it."""
    item, *_ = library.fill(3)
    assert run_sync(service, dest).summary.exit_code == 0
    summary = run_sync(service, dest, exclude=[item["id"]]).summary
    assert (summary.exit_code, summary.assets.unchanged) == (0, 3)
    library.delete(item)
    summary = run_sync(service, dest, exclude=[item["id"]]).summary
    assert (summary.exit_code, summary.assets.gone) == (0, 1)
