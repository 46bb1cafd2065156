"""Several accounts in one mirror: one subtree each, and no account's trouble is another's."""

import json
from pathlib import Path
from typing import Any

import pytest

from mirror.demo.service import ACCOUNTS_PATH, ASSETS_PATH
from tests.conftest import RunProgram
from tests.lib.effects import HTML, error, replies
from tests.lib.library import ACCESS, EMAIL, OTHER, Library
from tests.lib.mirrored import (
    check_mirror,
    check_output,
    check_sums,
    entry_of,
    manifest_of,
    media_in,
    snapshot,
    stored_of,
)
from tests.lib.misbehaving import Effect, Fault, Misbehaving
from tests.lib.runs import check_one_error, printed_errors, run_sync

BROKEN = "broken@example.com"
REMOVED = "removed@example.com"
CYRILLIC = "вася@пример.рф"


@pytest.fixture
def three(library: Library) -> dict[str, list[dict[str, Any]]]:
    """Three accounts of two assets each."""
    return {
        email: [library.add(first + number, "image", email=email) for number in range(2)]
        for first, email in ((10, BROKEN), (20, EMAIL), (30, REMOVED))
    }


def _of(email: str, effect: Effect) -> Fault:
    """What the API does to one account's listing."""
    return Fault(effect, ASSETS_PATH, when=lambda request: request.query.get("email") == email)


def _states(dest: Path) -> dict[str, set[str]]:
    """The states of each account's entries."""
    states: dict[str, set[str]] = {}
    for entry in manifest_of(dest)["assets"].values():
        states.setdefault(entry["account"], set()).add(entry["state"])
    return states


def test_accounts_that_fail_do_not_stop_the_others(
    sync: RunProgram,
    program: RunProgram,
    service: Misbehaving,
    dest: Path,
    three: dict[str, list[dict[str, Any]]],
) -> None:
    """596 and 404: exit 4, both are named, in the summary as well; the third is mirrored."""
    service.faults = [_of(BROKEN, error(596)), _of(REMOVED, error(404, "Unknown"))]
    done = sync("--all-accounts")
    assert done.code == 4 == done.summary["exit_code"]
    check_output(done.out, done.err)
    assert BROKEN in done.err
    assert REMOVED in done.err
    assert EMAIL not in done.err.replace(str(dest), "")
    assert set(done.summary["accounts"]) == set(three)  # type: ignore[call-overload]
    errors = {found["account"]: found for found in json.loads(done.out)["errors"]}
    assert {email: found["exit_code"] for email, found in errors.items()} == {BROKEN: 4, REMOVED: 4}
    assert "596" in errors[BROKEN]["error"]
    assert "404" in errors[REMOVED]["error"]
    assert _states(dest) == {EMAIL: {"current"}}
    assert {path.partition("/")[0] for path in media_in(dest)} == {EMAIL}
    text = program("status", "--dest", dest).out
    assert text.startswith("Not safe: the last run was refused")
    assert f"for {BROKEN}, {REMOVED})" in text.partition("\n")[0]
    completed = {
        account["account"]: account["last_complete"]
        for account in json.loads(program("status", "--json", "--dest", dest).out)["accounts"]
    }
    assert completed[EMAIL] == done.summary["started"]
    assert completed[BROKEN] is completed[REMOVED] is None


def test_the_summary_counts_the_accounts_that_succeeded(
    program: RunProgram,
    service: Misbehaving,
    dest: Path,
    three: dict[str, list[dict[str, Any]]],
) -> None:
    """The line of a run with news says how many of its accounts went well."""
    assert three
    service.faults = [_of(BROKEN, error(596))]
    done = program(
        "sync", "--all-accounts", "--dest", dest, "--api-url", service.api_url,
        env=ACCESS,
    )  # fmt: skip
    assert done.code == 4
    assert "4 new (from 2 of 3 accounts); 4 files fetched" in done.err


def test_once_all_is_well_each_has_its_subtree(
    program: RunProgram,
    service: Misbehaving,
    library: Library,
    dest: Path,
    three: dict[str, list[dict[str, Any]]],
) -> None:
    """One folder each, one manifest for all; the next run asks for no file and says nothing."""
    arguments = ("sync", "--all-accounts", "--dest", dest, "--api-url", service.api_url)
    env = ACCESS
    assert program(*arguments, env=env).code == 0
    assert {path.partition("/")[0] for path in media_in(dest)} == set(three)
    check_mirror(dest, library)
    service.forget()
    before = snapshot(dest)
    again = program(*arguments, env=env)
    assert (again.code, again.out, again.err) == (0, "", "")
    assert service.cdn_requests() == []
    assert snapshot(dest) == before
    text = program("status", "--dest", dest, "--max-age", "1h").out
    assert text.startswith("Safe: ")
    assert all(email in text for email in three)


@pytest.mark.parametrize("effect", [error(596), error(404), replies(200, b"?"), error(500)])
def test_entries_of_an_account_that_fails_stay_current(
    service: Misbehaving,
    library: Library,
    dest: Path,
    three: dict[str, list[dict[str, Any]]],
    effect: Effect,
) -> None:
    """Nothing of it is marked gone, and what vanished from another account is."""
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    service.faults = [_of(BROKEN, effect)]
    library.delete(three[EMAIL][0], EMAIL)
    library.delete(three[BROKEN][0], BROKEN)
    result = run_sync(service, dest, all_accounts=True, max_attempts=1)
    assert result.summary.exit_code in {4, 7}
    assert [found.account for found in result.summary.errors] == [BROKEN]
    assert BROKEN in printed_errors(result)
    assert _states(dest)[BROKEN] == {"current"}
    assert entry_of(dest, three[EMAIL][0])["state"] == "gone"
    service.faults.clear()
    assert run_sync(service, dest, all_accounts=True).summary.assets.gone == 1
    assert entry_of(dest, three[BROKEN][0])["state"] == "gone"


def test_a_problem_of_all_accounts_is_reported_once(
    service: Misbehaving, dest: Path, three: dict[str, list[dict[str, Any]]]
) -> None:
    """One message that names them; the summary has an error for each."""
    service.fail(error(500), ASSETS_PATH)
    result = run_sync(service, dest, all_accounts=True, max_attempts=1)
    assert result.summary.exit_code == 7
    assert len(result.errors) == 1
    assert all(email in printed_errors(result) for email in three)
    assert {found.account for found in result.summary.errors} == set(three)


def test_an_account_that_vanished_much_does_not_hold_up_the_others(
    service: Misbehaving, library: Library, dest: Path, three: dict[str, list[dict[str, Any]]]
) -> None:
    """Exit 5 for the one, named; the other's gone asset is marked."""
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    library.accounts[BROKEN].clear()
    library.delete(three[EMAIL][0], EMAIL)
    result = run_sync(service, dest, all_accounts=True)
    assert (result.summary.exit_code, result.summary.assets.gone) == (5, 1)
    assert [(found.account, found.exit_code) for found in result.summary.errors] == [(BROKEN, 5)]
    assert _states(dest)[BROKEN] == {"current"}


def test_an_email_outside_ascii(
    service: Misbehaving, library: Library, dest: Path, program: RunProgram
) -> None:
    """It is sent, stored, shown and filtered by as it is."""
    items = [library.add(number, "image", email=CYRILLIC) for number in range(2)]
    library.add(9, "image", email=EMAIL)
    assert run_sync(service, dest, email=[CYRILLIC]).summary.accounts == [CYRILLIC]
    assert entry_of(dest, items[0])["resource"]["path"].startswith(f"{CYRILLIC}/image/")
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    check_mirror(dest, library)
    listed = json.loads(program("list", "--json", "--email", CYRILLIC, "--dest", dest).out)
    assert {entry["id"] for entry in listed} == {item["id"] for item in items}
    assert CYRILLIC in program("status", "--dest", dest).out


def test_emails_with_one_folder_lose_nothing(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """Emails that some file system takes for the same share a folder, and no file a path."""
    emails = ("me@example.com", "ME@example.com", "a/b@example.com", "a_b@example.com")
    for first, email in enumerate(emails):
        item = library.add(first, "image", email=email)
        item["id"], item["name"] = "77", "same.png"
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    check_mirror(dest, library)
    paths = [entry["resource"]["path"] for entry in manifest_of(dest)["assets"].values()]
    assert len({path.casefold() for path in paths}) == len(emails)
    again = run_sync(service, dest, all_accounts=True).summary
    assert (again.exit_code, again.assets.unchanged) == (0, len(emails))


def test_emails_are_taken_in_order_and_once(
    service: Misbehaving, library: Library, dest: Path, three: dict[str, list[dict[str, Any]]]
) -> None:
    """However often and in whatever order they are named, each account is mirrored once."""
    first = run_sync(service, dest, email=[REMOVED, EMAIL, REMOVED, BROKEN]).summary
    assert (first.exit_code, first.accounts) == (0, [REMOVED, EMAIL, BROKEN])
    check_mirror(dest, library)
    again = run_sync(service, dest, email=[*three]).summary
    assert (again.accounts, again.assets.unchanged, again.files.fetched) == ([*three], 6, 0)


def test_status_counts_the_account_that_is_behind(
    service: Misbehaving,
    dest: Path,
    three: dict[str, list[dict[str, Any]]],
    program: RunProgram,
) -> None:
    """Accounts may be mirrored one by one: the mirror is as old as the oldest of them."""
    starts = [run_sync(service, dest, email=[email]).summary.started for email in three]
    log = dest / ".kling-mirror" / "runs.jsonl"
    text = log.read_text()
    log.write_text(text.replace(starts[0], "2025-01-01T00:00:00Z", 1))
    state = json.loads(program("status", "--json", "--dest", dest).out)
    assert state["is_complete"] is True
    assert state["last_complete"] == "2025-01-01T00:00:00Z"
    assert program("status", "--dest", dest, "--max-age", "30d").code == 1
    log.write_text("".join(text.splitlines(keepends=True)[1:]))
    shown = program("status", "--dest", dest).out
    assert shown.startswith(f"Not safe: no run has mirrored all of {next(iter(three))} yet.")
    # Which accounts are wanted is for the settings to say.
    others = {"KLING_MIRROR_EMAIL": ",".join([*three][1:])}
    assert program("status", "--dest", dest, env=others).out.startswith("Safe within its limits (")


def test_all_accounts_are_not_those_that_were_named(
    service: Misbehaving, dest: Path, three: dict[str, list[dict[str, Any]]], program: RunProgram
) -> None:
    """If the settings want all accounts, a run over all of them must have been."""
    assert run_sync(service, dest, email=[EMAIL]).summary.exit_code == 0
    wanted = {"KLING_MIRROR_ALL_ACCOUNTS": "yes"}
    done = program("status", "--dest", dest, "--max-age", "1h", env=wanted)
    assert done.code == 1
    assert done.out.startswith("Not safe: no run has been over all accounts yet.")
    assert set(run_sync(service, dest, all_accounts=True).summary.accounts) == set(three)
    done = program("status", "--dest", dest, "--max-age", "1h", env=wanted)
    assert done.code == 0, done.out


def test_an_account_that_was_removed_does_not_age_the_mirror(
    service: Misbehaving,
    library: Library,
    dest: Path,
    three: dict[str, list[dict[str, Any]]],
    program: RunProgram,
) -> None:
    """A later run over all accounts is complete without it, and its entries stay as they are."""
    assert three
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    log = dest / ".kling-mirror" / "runs.jsonl"
    run = json.loads(log.read_text())
    log.write_text(json.dumps({**run, "started": "2025-01-01T00:00:00Z"}) + "\n")
    del library.accounts[REMOVED]
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    assert _states(dest)[REMOVED] == {"current"}
    done = program("status", "--dest", dest, "--max-age", "1h")
    assert done.code == 0
    assert done.out.startswith("Safe: ")


def test_a_mirror_whose_accounts_have_all_vanished(
    service: Misbehaving, library: Library, dest: Path, program: RunProgram
) -> None:
    """`status` has an answer where nothing is current, whoever the entries belonged to."""
    item = library.add(1, "image")
    assert run_sync(service, dest, email=[EMAIL]).summary.exit_code == 0
    extra = library.add(2, "image")
    assert run_sync(service, dest, email=[EMAIL]).summary.exit_code == 0
    library.delete(item)
    assert run_sync(service, dest, email=[EMAIL]).summary.assets.gone == 1
    library.delete(extra)
    library.add(3, "image", email=BROKEN)
    for asked in ({"email": [BROKEN]}, {"all_accounts": True}):
        assert run_sync(service, dest, **asked).summary.exit_code in {0, 5}
        assert program("status", "--dest", dest).out.startswith(("Safe: ", "Not safe: "))
    del library.accounts[BROKEN]
    run_sync(service, dest)
    assert program("status", "--dest", dest).out.startswith("Not safe: ")


@pytest.fixture
def both(library: Library) -> dict[str, list[dict[str, Any]]]:
    """Two accounts of three assets each."""
    return {
        email: [library.add(first + number, "image", email=email, size=100) for number in range(3)]
        for email, first in ((EMAIL, 0), (OTHER, 10))
    }


def test_several_accounts_lie_side_by_side(
    sync: RunProgram, library: Library, dest: Path, both: dict[str, list[dict[str, Any]]]
) -> None:
    """`--all-accounts`: each under its own folder, with one manifest and one SHA256SUMS for all."""
    done = sync("--all-accounts")
    assert (done.code, done.summary["accounts"]) == (0, [EMAIL, OTHER])
    for email, items in both.items():
        for item in items:
            entry = entry_of(dest, item)
            assert entry["account"] == email
            assert entry["resource"]["path"].startswith(f"{email}/image/")
    check_mirror(dest, library)
    check_sums(dest)
    again = sync("--all-accounts")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out)["listing"] == {
        "assets": 6, "pages": 4, "walks": 2, "proven": True,
    }  # fmt: skip


def test_one_accounts_listing_says_nothing_of_the_other(
    service: Misbehaving,
    library: Library,
    dest: Path,
    both: dict[str, list[dict[str, Any]]],
) -> None:
    """A run with `--email` marks gone in that account alone."""
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    for email in (EMAIL, OTHER):
        library.delete(both[email][0], email)
    summary = run_sync(service, dest, email=[OTHER]).summary
    assert (summary.exit_code, summary.assets.gone, summary.accounts) == (0, 1, [OTHER])
    assert entry_of(dest, both[EMAIL][0])["state"] == "current"
    assert entry_of(dest, both[OTHER][0])["state"] == "gone"
    assert run_sync(service, dest, email=[EMAIL]).summary.assets.gone == 1
    check_mirror(dest, library)


def test_one_account_sits_in_the_root_unless_it_is_named(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """With `--email` the type folders sit under the account's, even if it is the only one."""
    item = library.add(1, "image")
    assert run_sync(service, dest, email=[EMAIL]).summary.exit_code == 0
    assert entry_of(dest, item)["resource"]["path"].startswith(f"{EMAIL}/image/")
    check_mirror(dest, library)


@pytest.mark.parametrize("named", [{"email": [EMAIL]}, {"all_accounts": True}])
def test_entries_without_account_are_adopted(
    service: Misbehaving,
    library: Library,
    dest: Path,
    items: list[dict[str, Any]],
    named: dict[str, object],
) -> None:
    """The account that lists them takes them over, where they are, without a download."""
    before = media_in(dest)
    assert {entry["account"] for entry, _ in stored_of(dest)} == {None}
    summary = run_sync(service, dest, **named).summary  # type: ignore[arg-type]
    assert (summary.exit_code, summary.assets.unchanged, summary.files.fetched) == (0, 12, 0)
    assert service.cdn_requests() == []
    assert {entry["account"] for entry, _ in stored_of(dest)} == {EMAIL}
    assert media_in(dest) == before
    library.delete(items[0])
    new = library.add(50, "image")
    summary = run_sync(service, dest, **named).summary  # type: ignore[arg-type]
    assert (summary.exit_code, summary.assets.gone, summary.assets.new) == (0, 1, 1)
    assert entry_of(dest, new)["account"] == EMAIL
    check_mirror(dest, library)


def test_entries_of_an_account_are_known_without_its_name(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """A mirror that began with `--email` goes on without it: no download, no second copy."""
    items = [library.add(number, "image") for number in range(3)]
    assert run_sync(service, dest, email=[EMAIL]).summary.exit_code == 0
    service.forget()
    library.delete(items[0])
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.unchanged, summary.assets.gone) == (0, 2, 1)
    assert service.cdn_requests() == []
    check_mirror(dest, library)


ROUND = 12


def test_one_broken_account_does_not_stop_the_others(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Exit 4 that names the account; the other one is mirrored."""
    library.add(1, email=EMAIL)
    other = library.add(2, email=OTHER)
    service.fail(error(596), ASSETS_PATH, when=lambda each: each.query.get("email") == EMAIL)
    done = sync("--all-accounts")
    assert done.code == 4
    check_output(done.out, done.err)
    assert EMAIL in done.err
    assert OTHER not in done.err.partition("→")[0]
    assert done.summary["accounts"] == [EMAIL, OTHER]
    assert not done.listing["proven"]
    assert entry_of(dest, other)["account"] == OTHER


@pytest.mark.parametrize(
    ("effect", "code"),
    [
        pytest.param(error(404, "None is configured"), 4, id="404"),
        pytest.param(replies(200, b"{}"), 4, id="none"),
        pytest.param(error(500), 7, id="500"),
        pytest.param(replies(200, HTML), 7, id="html"),
        pytest.param(replies(200, b'["me@example.com"]'), 7, id="array"),
    ],
)
def test_accounts_that_cannot_be_had_end_the_run(
    service: Misbehaving, dest: Path, mirrored: dict[str, str], effect: Effect, code: int
) -> None:
    """`--all-accounts` without a list of accounts is exit 4 or 7, and changes nothing."""
    service.fail(effect, ACCOUNTS_PATH)
    result = run_sync(service, dest, all_accounts=True, max_attempts=1)
    assert result.summary.exit_code == code
    check_one_error(result)
    assert snapshot(dest) == mirrored


def test_the_accounts_are_listed(
    program: RunProgram, service: Misbehaving, three: dict[str, list[dict[str, Any]]]
) -> None:
    """`accounts` prints an email a line, or all of them as one JSON array; it needs no mirror."""
    asked = ("accounts", "--api-url", service.api_url)
    done = program(*asked, env=ACCESS)
    assert (done.code, done.err) == (0, "")
    assert sorted(done.out.splitlines()) == sorted(three)
    assert json.loads(program(*asked, "--json", env=ACCESS).out) == done.out.splitlines()
    assert [request.path for request in service.requests] == [ACCOUNTS_PATH] * 2


@pytest.mark.parametrize(
    ("effect", "code", "what"),
    [
        (error(401, "Unauthorized"), 4, "the token was refused"),
        (replies(200, b"{}"), 4, "the subscription has no Kling account"),
        (error(500), 7, "the API keeps failing"),
        (replies(200, HTML), 7, "a web page"),
    ],
)
def test_accounts_that_cannot_be_listed(
    program: RunProgram, service: Misbehaving, effect: Effect, code: int, what: str
) -> None:
    """The exit codes are those of `sync`; nothing is printed as data."""
    service.fail(effect, ACCOUNTS_PATH)
    arguments = ("accounts", "--json", "--api-url", service.api_url, "--max-attempts", "2")
    done = program(*arguments, env=ACCESS)
    assert (done.code, done.out) == (code, "")
    check_output(done.out, done.err)
    assert what in done.err
    assert program("accounts", "--api-url", service.api_url).code == 2, "there is no token"
