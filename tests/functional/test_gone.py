"""An asset that Kling no longer lists, or lists again."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunProgram
from tests.lib.library import EMAIL, Library, media
from tests.lib.mirrored import (
    check_mirror,
    check_output,
    check_sums,
    entry_of,
    key_of,
    manifest_of,
    media_in,
    snapshot,
    states_of,
)
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync


def test_a_deleted_asset_is_gone_and_its_files_stay(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Marked with the time, once; no byte is touched, and the next runs have no news of it."""
    item = items[0]
    before = media_in(dest)
    library.delete(item)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.gone, summary.assets.unchanged) == (0, 1, 11)
    assert entry_of(dest, item)["state"] == "gone"
    assert entry_of(dest, item)["gone_since"] >= summary.started
    assert media_in(dest) == before
    check_mirror(dest, library)
    check_sums(dest)
    after = snapshot(dest)
    result = run_sync(service, dest)
    assert (result.summary.assets.gone, result.summary.listing.walks) == (0, 1)
    assert not result.has_news
    assert snapshot(dest) == after


def test_an_asset_that_comes_back_is_current_without_a_download(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Its files are here: only the record changes."""
    item = items[1]
    library.accounts[EMAIL].remove(item)
    assert run_sync(service, dest).summary.assets.gone == 1
    library.accounts[EMAIL].append(item)
    service.forget()
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.unchanged, summary.files.fetched) == (0, 12, 0)
    assert service.cdn_requests() == []
    assert (entry_of(dest, item)["state"], entry_of(dest, item)["gone_since"]) == ("current", None)
    check_mirror(dest, library)


def test_an_asset_that_comes_back_changed_is_new(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """What was gone stays as it was; the new version lies beside it, or in its place."""
    item, body = items[1], library.files["/cdn/image/1"].body
    old_key = key_of(item)
    library.accounts[EMAIL].remove(item)
    assert run_sync(service, dest).summary.assets.gone == 1
    library.accounts[EMAIL].append(item)
    library.change(item, media("image", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    old = manifest_of(dest)["assets"][old_key]
    assert old["state"] in {"gone", "superseded"}
    assert (dest / old["resource"]["path"]).read_bytes() == body
    check_mirror(dest, library)
    check_sums(dest)


def test_what_is_gone_and_lost_here_too_comes_back_whole(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """A gone asset whose file was deleted here is fetched when Kling lists it again."""
    item = items[1]
    library.accounts[EMAIL].remove(item)
    assert run_sync(service, dest).summary.assets.gone == 1
    (dest / entry_of(dest, item)["resource"]["path"]).unlink()
    assert run_sync(service, dest).summary.exit_code == 0
    library.accounts[EMAIL].append(item)
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.files.fetched) == (0, 1)
    check_mirror(dest, library)


@pytest.mark.parametrize(
    ("size", "deleted", "max_gone", "code"),
    [
        (12, 5, None, 0),
        (12, 6, None, 5),
        (60, 6, None, 0),
        (60, 7, None, 5),
        (12, 6, "6", 0),
        (12, 6, "5", 5),
        (12, 6, "50%", 0),
        (12, 6, "49%", 5),
        (12, 1, "0", 5),
        (12, 0, "0", 0),
        (12, 11, "100%", 0),
    ],
)
def test_too_much_vanishing_at_once_is_not_believed(  # noqa: PLR0917 - fixtures, by name
    service: Misbehaving,
    library: Library,
    dest: Path,
    size: int,
    deleted: int,
    max_gone: str | None,
    code: int,
) -> None:
    """More than `--max-gone`, by default the larger of 5 and 10 %, marks nothing: exit 5."""
    items = [library.add(number, "image", size=50) for number in range(size)]
    assert run_sync(service, dest).summary.exit_code == 0
    before = snapshot(dest)
    for item in items[:deleted]:
        library.delete(item)
    result = run_sync(service, dest, max_gone=max_gone)
    assert (result.summary.exit_code, result.summary.listing.proven) == (code, True)
    assert result.summary.assets.gone == (0 if code else deleted)
    if code:
        assert f"--max-gone {deleted}" in result.errors[0].hint
        assert snapshot(dest) == before
        assert run_sync(service, dest, max_gone=str(deleted)).summary.exit_code == 0
    assert list(states_of(dest).values()).count("gone") == deleted


def test_a_run_that_believes_nothing_still_mirrors_what_is_new(
    sync: RunProgram, library: Library, dest: Path, items: list[dict[str, Any]]
) -> None:
    """Exit 5 with its three lines; new assets are mirrored all the same."""
    for item in items[:8]:
        library.delete(item)
    new = library.add(50)
    done = sync()
    assert done.code == 5
    check_output(done.out, done.err)
    assert "8 of 12 assets vanished" in done.err
    assert entry_of(dest, new)["state"] == "current"
    assert "gone" not in states_of(dest).values()
