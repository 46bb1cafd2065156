"""Whose assets a listing speaks of: an account is who owns it, not how it is asked for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import ASSETS_PATH
from tests.conftest import RunProgram
from tests.lib.effects import replies, without
from tests.lib.library import EMAIL, OTHER, Library
from tests.lib.mirrored import check_mirror, entry_of, key_of, manifest_of, media_in, states_of
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync

RENAMED = "renamed@example.com"


@pytest.fixture
def others(tmp_path: Path) -> Iterator[tuple[Misbehaving, Library]]:
    """Another subscription, with one account of its own."""
    assert tmp_path
    library = Library(accounts={OTHER: []})
    with library.service(Misbehaving) as running:
        yield running, library


def _rename(library: Library, new: str = RENAMED) -> None:
    """Add the account again under another address."""
    library.accounts[new] = library.accounts.pop(EMAIL)


def test_the_account_behind_a_token_is_another(
    service: Misbehaving, library: Library, dest: Path, others: tuple[Misbehaving, Library]
) -> None:
    """Its listing says nothing of the assets that are here; its own assets are mirrored beside."""
    items = library.fill(5)
    assert run_sync(service, dest).summary.exit_code == 0
    other_service, other_library = others
    for number in range(20, 23):
        other_library.add(number, "image", email=OTHER)
    summary = run_sync(other_service, dest, max_gone="100%").summary
    assert (summary.exit_code, summary.assets.new, summary.assets.gone) == (0, 3, 0)
    assert set(states_of(dest).values()) == {"current"}
    summary = run_sync(other_service, dest).summary
    assert (summary.assets.unchanged, summary.listing.walks) == (3, 1)
    assert entry_of(dest, items[0])["state"] == "current"


def test_two_subscriptions_in_one_mirror(
    service: Misbehaving, library: Library, dest: Path, others: tuple[Misbehaving, Library]
) -> None:
    """Each marks its own assets gone, and counts its own for `--max-gone`, in whatever order."""
    other_service, other_library = others
    mine = [library.add(number, "image", size=50) for number in range(60)]
    theirs = [other_library.add(number, "image", email=OTHER) for number in range(100, 105)]
    for running in (service, other_service, service, other_service):
        assert run_sync(running, dest).summary.assets.gone == 0
    assert set(states_of(dest).values()) == {"current"}
    for item in mine[:6]:
        library.delete(item)
    assert run_sync(service, dest).summary.assets.gone == 6
    for item in theirs[:3]:
        other_library.delete(item, OTHER)
    summary = run_sync(other_service, dest, max_gone="59%").summary
    assert (summary.exit_code, summary.assets.gone) == (5, 0)
    assert run_sync(other_service, dest, max_gone="60%").summary.assets.gone == 3
    assert sorted(states_of(dest).values()) == ["current"] * 56 + ["gone"] * 9


def test_a_night_without_user_ids(
    service: Misbehaving, library: Library, dest: Path, others: tuple[Misbehaving, Library]
) -> None:
    """Who owns what is listed is on record: another's assets are not missed even then."""
    other_service, other_library = others
    library.fill(3)
    for number in range(100, 160):
        other_library.add(number, "image", email=OTHER, size=50)
    for running in (service, other_service):
        assert run_sync(running, dest).summary.exit_code == 0
    other_service.fail(without("userId"), ASSETS_PATH)
    for _ in range(2):
        summary = run_sync(other_service, dest).summary
        assert (summary.exit_code, summary.assets.unchanged, summary.assets.gone) == (0, 60, 0)
    assert set(states_of(dest).values()) == {"current"}


def test_an_account_without_known_owners_loses_nothing(
    service: Misbehaving, library: Library, dest: Path, others: tuple[Misbehaving, Library]
) -> None:
    """Without any `userId`, five of five that vanish are no proof of anything: exit 5."""
    library.fill(5)
    service.fail(without("userId"), ASSETS_PATH)
    assert run_sync(service, dest).summary.exit_code == 0
    other_service, other_library = others
    other_service.fail(without("userId"), ASSETS_PATH)
    other_library.add(20, "image", email=OTHER)
    summary = run_sync(other_service, dest, max_gone="100%").summary
    assert (summary.exit_code, summary.assets.gone) == (5, 0)
    assert set(states_of(dest).values()) == {"current"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, {"email": [EMAIL]}, id="email added"),
        pytest.param({}, {"all_accounts": True}, id="all accounts"),
        pytest.param({"email": [EMAIL]}, {}, id="email left out"),
        pytest.param({"email": [EMAIL]}, {"email": [RENAMED]}, id="another address"),
        pytest.param({}, {"email": [RENAMED]}, id="a first address"),
        pytest.param({"email": [EMAIL]}, {"all_accounts": True}, id="all under another"),
    ],
)
@pytest.mark.parametrize("user_ids", ["given", "missing"])
def test_one_account_under_another_address_goes_on(  # noqa: PLR0917 - fixtures, by name
    service: Misbehaving,
    library: Library,
    dest: Path,
    before: dict[str, Any],
    after: dict[str, Any],
    user_ids: str,
) -> None:
    """No download, no second copy; what is deleted is gone, and `--max-gone` holds."""
    items = library.fill(12)
    if user_ids == "missing":
        service.fail(without("userId"), ASSETS_PATH)
    assert run_sync(service, dest, **before).summary.exit_code == 0
    files = media_in(dest)
    if RENAMED in after.get("email", ()) or (before and "all_accounts" in after):
        _rename(library)
    email = next(iter(library.accounts))
    service.forget()
    for item in items[:8]:
        library.accounts[email].remove(item)
    for _ in range(2):  # not in the first run, and not once the others are known by the new address
        summary = run_sync(service, dest, **after).summary
        assert (summary.exit_code, summary.assets.unchanged, summary.assets.gone) == (5, 4, 0)
    summary = run_sync(service, dest, max_gone="8", **after).summary
    assert (summary.exit_code, summary.assets.gone) == (0, 8)
    assert service.cdn_requests() == []
    assert media_in(dest) == files
    again = run_sync(service, dest, **after).summary
    assert (again.exit_code, again.listing.walks, again.assets.gone) == (0, 1, 0)


def test_one_deletion_and_another_address_at_once(
    service: Misbehaving, library: Library, dest: Path, program: RunProgram
) -> None:
    """Gone at once; and every entry has the present address."""
    items = library.fill(12)
    assert run_sync(service, dest, email=[EMAIL]).summary.exit_code == 0
    _rename(library)
    library.delete(items[0], RENAMED)
    summary = run_sync(service, dest, email=[RENAMED]).summary
    assert (summary.exit_code, summary.assets.gone) == (0, 1)
    assert {entry["account"] for entry in manifest_of(dest)["assets"].values()} == {RENAMED}
    check_mirror(dest, library)
    state = json.loads(program("status", "--json", "--dest", dest).out)
    assert (state["is_complete"], [found["account"] for found in state["accounts"]]) == (
        True,
        [RENAMED],
    )


def test_an_address_that_changes_while_a_filter_is_on(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """What the filter hides, and what is missing that night, moves to the new address as well."""
    items = library.fill(12)
    broken = library.add(20, "audio")
    service.fail(replies(500, Retry_After="0"), "/cdn/audio/20")
    assert run_sync(service, dest, email=[EMAIL]).summary.exit_code == 3
    _rename(library)
    library.delete(items[0], RENAMED)
    asked: dict[str, Any] = {"email": [RENAMED], "content_type": ["image"]}
    assert run_sync(service, dest, **asked).summary.exit_code == 0
    manifest = manifest_of(dest)
    assert {entry["account"] for entry in manifest["assets"].values()} == {RENAMED}
    assert manifest["failures"][key_of(broken)]["account"] == RENAMED
    library.delete(broken, RENAMED)
    summary = run_sync(service, dest, email=[RENAMED]).summary
    assert (summary.exit_code, summary.assets.gone) == (0, 1)
    assert manifest_of(dest)["failures"] == {}


@pytest.mark.parametrize("asked", [{}, {"email": [EMAIL]}])
def test_an_empty_listing_of_an_account_that_was_known_otherwise(
    service: Misbehaving, library: Library, dest: Path, asked: dict[str, Any]
) -> None:
    """`--email` added or left out: an empty listing over a mirror is not believed."""
    items = library.fill(3)
    known: dict[str, Any] = {} if asked else {"email": [EMAIL]}
    assert run_sync(service, dest, **known).summary.exit_code == 0
    for item in items:
        library.delete(item)
    assert run_sync(service, dest, max_gone="100%", **asked).summary.exit_code == 5
    assert set(states_of(dest).values()) == {"current"}


def test_an_account_without_uploads_says_nothing_of_the_others(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Of two accounts one is empty: exit 0, and a deletion of the other's is its own."""
    items = library.fill(3)
    assert run_sync(service, dest).summary.exit_code == 0
    library.accounts[OTHER] = []
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    library.delete(items[0])
    summary = run_sync(service, dest, all_accounts=True).summary
    assert (summary.exit_code, summary.assets.gone) == (0, 1)
    assert states_of(dest)[key_of(items[0])] == "gone"
