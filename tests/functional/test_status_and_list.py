"""`status` and `list`: what they say of a mirror is true, fits the terminal, and is documented."""

import csv
import datetime as dt
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from wcwidth import wcswidth

from mirror.demo.service import ASSETS_PATH
from mirror.errors import ExitCode
from mirror.jobs.status import status
from mirror.models import (
    AssetCounts,
    Entry,
    Failure,
    FileCounts,
    ListingCounts,
    RunError,
    Scope,
    State,
    Summary,
    to_json,
)
from mirror.report.status_text import in_words
from mirror.storage.root import Root
from tests.conftest import RunProgram
from tests.lib.effects import error, replies, serves, stalls
from tests.lib.library import ACCESS, EMAIL, KINDS, Library, media
from tests.lib.mirrored import manifest_of
from tests.lib.misbehaving import Effect, Misbehaving
from tests.lib.processes import started, sync_arguments, wait_until
from tests.lib.runs import run_sync

NAMES = (
    "日本語の動画ファイルの名前はとても長い.mp4",
    "family 👨‍👩‍👧‍👦 flag 🇩🇪 thumb 👍🏽.mp4",
    "cafe\u0301 e\u0301e\u0301e\u0301.mp4",
    "می‌خواهم.mp4",
    "tab\there\nline\x1b[31mred\u2028.mp4",
    "a" * 140 + ".mp4",
    "back\\slash.mp4",
)


@pytest.fixture
def items(library: Library) -> list[dict[str, Any]]:
    """Nine assets of three types, to be mirrored."""
    return [library.add(number, KINDS[number % 3], size=300) for number in range(9)]


Say = Callable[..., str]
Rows = Callable[..., list[dict[str, str]]]


@pytest.fixture
def run(program_here: RunProgram, dest: Path) -> RunProgram:
    """Runs a command over the mirror in this process."""
    return lambda *arguments, env=None: program_here(*arguments, "--dest", dest, env=env)


@pytest.fixture
def say(run: RunProgram) -> Say:
    """What `status` prints."""

    def said(*arguments: object, code: int = 0, env: Mapping[str, str] | None = None) -> str:
        done = run("status", *arguments, env=env)
        assert done.code == code, done.err
        return done.out

    return said


@pytest.fixture
def rows(run: RunProgram) -> Rows:
    """The lines of `list` off a terminal, by their header."""

    def listed(*arguments: object, env: Mapping[str, str] | None = None) -> list[dict[str, str]]:
        done = run("list", *arguments, env=env)
        assert done.code == 0, done.err
        lines = done.out.split("\n")
        assert lines.pop() == ""
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))

    return listed


def first(text: str) -> str:
    """The first line, which answers «am I safe?»."""
    return text.partition("\n")[0]


def age(dest: Path, **by: float) -> None:
    """Make every run of a mirror older than it is, in the log that `status` reads."""
    log = dest / ".kling-mirror" / "runs.jsonl"
    runs = [json.loads(line) for line in log.read_text().splitlines()]
    for run in runs:
        then = dt.datetime.fromisoformat(run["started"]) - dt.timedelta(**by)
        run["started"] = then.strftime("%Y-%m-%dT%H:%M:%SZ")
    log.write_text("".join(json.dumps(run) + "\n" for run in runs))


# Am I safe?


def test_a_prepared_mirror_is_not_safe(run: RunProgram, say: Say) -> None:
    """Before the first run there is nothing, and `status` says what to do."""
    assert run("init").code == 0
    shown = first(say())
    assert shown.startswith("Not safe: nothing is mirrored yet")
    assert "kling-mirror sync" in shown
    say("--max-age", "26h", code=1)


def test_a_complete_mirror_is_safe(
    service: Misbehaving, dest: Path, items: list[dict[str, Any]], say: Say
) -> None:
    """The first line says so and since when; totals by type, space and runs come below."""
    assert run_sync(service, dest).summary.exit_code == 0
    text = say("--max-age", "26h")
    assert re.match(r"Safe: everything that Kling listed just now \(\d{4}-.*\) is here\.", text)
    assert re.search(r"video +3 assets", text)
    assert re.search(rf"total +{len(items)} assets", text)
    assert f"free in {dest}" in text
    assert re.search(r"exit 0 +9 new \(", text)
    assert "history" not in text
    assert "trash" not in text


def test_an_old_mirror_is_out_of_date(
    service: Misbehaving, dest: Path, items: list[dict[str, Any]], say: Say
) -> None:
    """Without `--max-age` a week counts as old; with it, what it says, and exit 1."""
    assert items
    assert run_sync(service, dest).summary.exit_code == 0
    age(dest, hours=30)
    assert first(say()).startswith("Safe: everything that Kling listed 30 hours ago")
    assert first(say("--max-age", "26h", code=1)).startswith("Out of date: ")
    age(dest, days=10)
    assert first(say()).startswith("Out of date: everything that Kling listed 11 days ago")
    assert first(say("--max-age", "20d")).startswith("Safe: ")


def test_times_are_shown_in_local_time(
    program: RunProgram, service: Misbehaving, dest: Path, items: list[dict[str, Any]], say: Say
) -> None:
    """Local time for people, UTC for programs."""
    assert items
    assert run_sync(service, dest).summary.exit_code == 0
    started = dt.datetime.fromisoformat(json.loads(say("--json"))["last_complete"])
    there = started + dt.timedelta(hours=5, minutes=30)
    text = program("status", "--dest", dest, env={"TZ": "XXX-5:30"}).out
    assert text.count(f"{there:%Y-%m-%d %H:%M}") == 2


@pytest.mark.parametrize(
    ("asked", "env", "limit"),
    [
        ({"content_type": ["video"]}, {"KLING_MIRROR_CONTENT_TYPE": "video"}, "only video"),
        ({"file_name": "clip"}, {"KLING_MIRROR_FILE_NAME": "clip"}, "only names with 'clip'"),
        ({"no_covers": True}, {"KLING_MIRROR_NO_COVERS": "yes"}, "no covers"),
    ],
)
def test_a_limited_run_makes_no_complete_mirror(
    *,
    service: Misbehaving,
    dest: Path,
    items: list[dict[str, Any]],
    say: Say,
    asked: dict[str, Any],
    env: dict[str, str],
    limit: str,
) -> None:
    """It counts only where the settings ask for no more; then the first line names the limit."""
    assert items
    assert run_sync(service, dest, **asked).summary.exit_code == 0
    text = say("--max-age", "26h", code=1)
    assert first(text) == (
        "Not safe: no run has mirrored all of the library yet. Last complete: never."
    )
    assert limit in text
    shown = first(say("--max-age", "26h", env=env))
    assert shown.startswith(f"Safe within its limits ({limit}): everything that Kling listed")


def test_a_limited_run_after_a_whole_one_changes_nothing(
    service: Misbehaving, dest: Path, items: list[dict[str, Any]], say: Say
) -> None:
    """The whole one counts, with its age; the limited one is named, and makes it no younger."""
    assert items
    assert run_sync(service, dest).summary.exit_code == 0
    age(dest, hours=5)
    assert run_sync(service, dest, content_type=["video"]).summary.exit_code == 0
    text = say()
    assert first(text).startswith("Safe: everything that Kling listed 5 hours ago")
    assert "The last run was limited: only video." in text
    say("--max-age", "4h", code=1)


@pytest.mark.parametrize(
    ("effect", "code"), [(error(402), 4), (replies(200, b"{}"), 5), (error(500), 7)]
)
def test_a_run_that_failed_comes_first(
    *,
    service: Misbehaving,
    dest: Path,
    items: list[dict[str, Any]],
    say: Say,
    effect: Effect,
    code: int,
) -> None:
    """The first line says how the last run ended, in words, and when one was complete."""
    assert items
    assert run_sync(service, dest).summary.exit_code == 0
    age(dest, hours=30)
    service.fail(effect, ASSETS_PATH)
    result = run_sync(service, dest, max_attempts=1)
    assert result.summary.exit_code == code
    text = say()
    assert first(text).startswith("Not safe: the last run ")
    assert f"(exit {code})" in first(text)
    assert "Last complete: 30 hours ago (" in first(text)
    assert result.errors[0].what in text
    assert re.search(rf"exit {code} +no change; it ", text)
    # A limited run that goes well does not make up for it.
    service.faults.clear()
    assert run_sync(service, dest, content_type=["video"]).summary.exit_code == 0
    assert first(say()).startswith("Not safe: the last run over all of the library ")
    assert run_sync(service, dest).summary.exit_code == 0
    assert first(say()).startswith("Safe: ")


def test_a_run_that_the_disk_stopped_is_on_record(
    service: Misbehaving, dest: Path, items: list[dict[str, Any]], say: Say
) -> None:
    """Exit 6 is reported as every other; so is a disk with less room than the reserve."""
    assert items
    assert run_sync(service, dest, content_type=["video"]).summary.exit_code == 0
    assert run_sync(service, dest, min_free="900000T").summary.exit_code == 6
    assert first(say()).startswith(
        "Not safe: the last run was stopped by a problem with the disk (exit 6)"
    )
    assert "less than the" not in say()
    assert "less than the 900,000 TB of `min_free`" in say(env={"KLING_MIRROR_MIN_FREE": "900000T"})


def test_a_run_under_way_and_a_run_that_was_killed(
    environ: Mapping[str, str],
    service: Misbehaving,
    library: Library,
    dest: Path,
    say: Say,
) -> None:
    """While it works its process is named; once it is killed, it was cut off."""
    for number in range(6):
        library.add(number, "image", size=300)
    service.fail(stalls(10), "/cdn/image/5")
    with started(environ, *sync_arguments(service, dest)) as running:
        journal = dest / ".kling-mirror" / "journal"
        wait_until(lambda: journal.exists() and journal.stat().st_size)
        text = say()
        assert first(text).startswith("Not safe: no run has come to its end yet")
        assert f"A run is at work: process {running.pid}," in text
        assert json.loads(say("--json"))["at_work"]["pid"] == running.pid
        running.kill()
    assert first(say()).startswith("Not safe: a run was cut off before its end")
    assert json.loads(say("--json"))["at_work"] is None
    service.faults.clear()
    assert run_sync(service, dest).summary.exit_code == 0
    assert first(say()).startswith("Safe: ")


def test_a_spoilt_line_in_the_log_of_runs_costs_that_run_alone(
    service: Misbehaving, dest: Path, items: list[dict[str, Any]], say: Say
) -> None:
    """The next run begins a line of its own."""
    assert items
    assert run_sync(service, dest).summary.exit_code == 0
    log = dest / ".kling-mirror" / "runs.jsonl"
    run = json.loads(log.read_text())
    spoilt: list[object] = [
        {**run, "started": "yesterday"},
        {**run, "started": "2026-01-01T00:00:00"},
        [],
        None,
    ]
    with log.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in spoilt)
        file.write('{"exit_code":7,"dest":"/mi')
    assert run_sync(service, dest).summary.exit_code == 0
    assert [run["assets"]["new"] for run in json.loads(say("--json"))["runs"]] == [0, 9]


def test_a_log_of_an_earlier_version_is_understood(
    service: Misbehaving, dest: Path, items: list[dict[str, Any]], say: Say
) -> None:
    """Runs without `scope` and `errors` count as runs over everything."""
    assert items
    assert run_sync(service, dest).summary.exit_code == 0
    log = dest / ".kling-mirror" / "runs.jsonl"
    run = json.loads(log.read_text())
    del run["scope"], run["errors"]
    log.write_text(json.dumps(run) + "\n" + json.dumps({**run, "exit_code": 99}) + "\n")
    assert "ended in a way that this version does not know (exit 99)" in first(say())
    log.write_text(json.dumps(run) + "\n")
    assert first(say()).startswith("Safe: ")


_ACCOUNTS = st.sampled_from((None, "a@example.com", "b@example.com"))
_SCOPES = st.builds(
    Scope,
    email=st.sampled_from(((), ("a@example.com",), ("b@example.com", "c@example.com"))),
    all_accounts=st.booleans(),
    content_type=st.sampled_from(((), ("video",), ("video", "image"))),
    no_covers=st.booleans(),
)
_RUNS = st.builds(
    Summary,
    exit_code=st.sampled_from((*ExitCode, 99)),
    dest=st.just("/m"),
    accounts=st.lists(st.sampled_from(("a@example.com", "b@example.com")), unique=True),
    listing=st.just(ListingCounts()),
    assets=st.builds(AssetCounts, failed=st.integers(0, 1)),
    files=st.just(FileCounts()),
    failures=st.just([]),
    started=st.sampled_from(("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")),
    scope=_SCOPES,
    errors=st.lists(st.builds(RunError, _ACCOUNTS, st.just(4), st.just("refused")), max_size=2),
)


@settings(max_examples=300, deadline=None, database=None)
@given(
    runs=st.lists(_RUNS, max_size=4),
    wanted=_SCOPES,
    held=st.lists(st.tuples(_ACCOUNTS, st.sampled_from(("current", "gone", "superseded")))),
    failed=st.lists(_ACCOUNTS, max_size=2),
)
def test_whatever_happened_status_has_an_answer(
    tmp_path_factory: pytest.TempPathFactory,
    runs: list[Summary],
    wanted: Scope,
    held: list[tuple[str | None, State]],
    failed: list[str | None],
) -> None:
    """Safe only after a run that was complete, whatever runs and records there are."""
    dest = tmp_path_factory.getbasetemp() / "whatever"
    root = Root(dest)
    (dest / ".kling-mirror" / "partial").mkdir(parents=True, exist_ok=True)
    log = b"".join(to_json(run) + b"\n" for run in runs)
    (dest / ".kling-mirror" / "runs.jsonl").write_bytes(log)
    manifest = root.manifest
    for number, (account, state) in enumerate(held):
        entry = Entry(
            str(number), 1, account, "video", "x", None, state, None, None, None, Raw(b"{}")
        )
        manifest.entries[entry.key] = entry
    for account in failed:
        failure = Failure("f", len(manifest.failures), account, "cover", "no", 1, "?", "?")
        manifest.failures[failure.key] = failure
    found = status(root, wanted=wanted, reserve=0)
    assert found.is_complete == (not found.reasons)
    assert not (found.is_complete and (found.failures or found.last_complete is None))
    if found.is_complete:
        assert runs[-1].exit_code == ExitCode.COMPLETE
    now = dt.datetime(2026, 1, 3, tzinfo=dt.UTC)
    lines = in_words(found, now=now, max_age_s=None, all_failures=False)
    assert lines[0].startswith("Safe" if found.is_complete else "Not safe: ")


# What is here, what is not.


def test_failures_are_grouped_by_reason(
    service: Misbehaving, library: Library, dest: Path, say: Say, rows: Rows
) -> None:
    """The most frequent reason first, a few assets of each, and where to find the others."""
    for number in range(12):
        library.add(number, "image" if number < 8 else "audio")
    service.fail(replies(403), "/cdn/image/*")
    service.fail(serves(b"<html></html>", "text/html"), "/cdn/audio/*")
    for _ in range(2):
        assert run_sync(service, dest).summary.exit_code == 3
    text = say()
    assert first(text) == (
        "Not safe: 12 of 12 assets could not be mirrored yet. Last complete: never."
    )
    assert text.index("8 x resource: the server answered 403") < text.index("4 x resource: ")
    assert "failed in 2 runs, first just now" in text
    assert "    and 5 more" in text
    assert "kling-mirror list --state failed" in text
    ids = {f"{9_100_000_000_000_000_000 + number}" for number in range(12)}
    assert len(ids & set(text.split())) == 6
    assert ids <= set(say("-v").split())
    assert {row["id"] for row in rows("--state", "failed")} == ids
    assert {row["error"].partition(":")[0] for row in rows("--state", "failed")} == {"resource"}
    assert rows() == []


def test_what_exists_only_here_and_what_was_replaced(
    *,
    run: RunProgram,
    service: Misbehaving,
    library: Library,
    dest: Path,
    items: list[dict[str, Any]],
    say: Say,
) -> None:
    """Gone assets are counted as existing only here; history and trash with their sizes."""
    assert run_sync(service, dest).summary.exit_code == 0
    library.delete(items[0])
    library.change(items[1], media("image", "new", 500))
    assert run_sync(service, dest).summary.exit_code == 0
    text = say()
    assert first(text).startswith("Safe: ")
    assert "1 of them exist only here: Kling no longer lists them" in text
    assert "history keeps 1 earlier version in 1 file (300 B)" in text
    state = json.loads(say("--json"))
    assert (state["current"], state["only_here"], state["superseded"]) == (8, 1, 1)
    assert state["history"] == {"files": 1, "bytes": 300}
    [entry] = [it for it in manifest_of(dest)["assets"].values() if it["state"] == "gone"]
    (dest / entry["resource"]["path"]).rename(dest.with_name("away"))
    lost = json.loads(say("--json"))
    assert (lost["only_here"], lost["missing"], lost["accounts"][0]["only_here"]) == (0, 1, 0)
    assert "only here" not in say()
    dest.with_name("away").rename(dest / entry["resource"]["path"])
    assert run("prune").code == 0
    state = json.loads(say("--json"))
    assert (state["current"], state["only_here"], state["superseded"]) == (8, 0, 0)
    assert state["trash"]["files"] == 4, "two files, a cover, and the record"
    assert f"trash has {state['trash']['files']} files" in say()


# The schemas.


def test_json_is_what_the_schema_promises(
    run: RunProgram,
    service: Misbehaving,
    library: Library,
    dest: Path,
    items: list[dict[str, Any]],
) -> None:
    """Real output of a mirror that has everything validates; the schema explains each field."""
    assert run_sync(service, dest).summary.exit_code == 0
    library.delete(items[0])
    library.change(items[1], media("image", "new", 500))
    library.add(20, "image")
    service.fail(replies(403), "/cdn/image/20")
    assert run_sync(service, dest).summary.exit_code == 3
    service.fail(error(402), ASSETS_PATH)
    assert run_sync(service, dest).summary.exit_code == 4
    everything = [f"--state={state}" for state in ("current", "superseded", "gone", "failed")]
    for command, arguments in (("status", []), ("list", everything)):
        schema = json.loads(run(command, "--schema").out)
        jsonschema.Draft202012Validator.check_schema(schema)
        printed = json.loads(run(command, "--json", *arguments).out)
        validator = jsonschema.Draft202012Validator(schema)
        validator.validate(printed)
        assert not validator.is_valid([{**printed[0], "state": "lost"}] if arguments else {})
    for command, name in (("status", "Status"), ("list", "Entry"), ("list", "FailedAsset")):
        properties = json.loads(run(command, "--schema").out)["$defs"][name]["properties"]
        undescribed = {name for name, what in properties.items() if "description" not in what}
        assert undescribed <= {"state"}, "a tag, which its own value explains"


# `list`.


def test_list_filters_as_sync_does(
    service: Misbehaving, library: Library, dest: Path, items: list[dict[str, Any]], rows: Rows
) -> None:
    """Type, keyword in any case, account and state; the settings of sync hide nothing."""
    other = library.add(30, "image", name="Holiday at SEA.png", email="other@example.com")
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0
    library.delete(items[0])
    assert run_sync(service, dest, all_accounts=True).summary.exit_code == 0

    def ids(*arguments: object, env: Mapping[str, str] | None = None) -> set[str]:
        return {row["id"] for row in rows(*arguments, env=env)}

    everything = {item["id"] for item in [*items, other]}
    assert ids() == everything
    assert ids(env={"KLING_MIRROR_CONTENT_TYPE": "video", "KLING_MIRROR_EMAIL": "x"}) == everything
    assert ids("--content-type", "video", "--content-type", "audio") == {
        item["id"] for item in items if item["contentType"] != "image"
    }
    assert ids("--file-name", "holiday AT") == {other["id"]}
    assert ids("--email", "other@example.com") == {other["id"]}
    assert ids("--email", EMAIL, "--content-type", "image") == {items[n]["id"] for n in (1, 4, 7)}
    assert ids("--state", "gone") == {items[0]["id"]}
    assert ids("--state", "current") == everything - {items[0]["id"]}
    assert ids("--state", "superseded") == set()


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("sort", ["date", "duration"])
def test_the_table_fits_the_terminal(
    *,
    environ: Mapping[str, str],
    service: Misbehaving,
    library: Library,
    dest: Path,
    columns: int,
    sort: str,
) -> None:
    """No line is wider, by the cells that its characters take; what is cut keeps both its ends."""
    for number, name in enumerate(NAMES):
        library.add(number, name=name)
    library.add(50, "image")
    service.fail(replies(403), "/cdn/image/50")
    assert run_sync(service, dest).summary.exit_code == 3
    text = on_terminal(
        environ, columns,
        "list", "--dest", dest, "--sort", sort, "--state", "current", "--state", "failed",
    )  # fmt: skip
    lines = text.splitlines()
    assert len(lines) == 1 + len(NAMES) + 1
    assert max(map(wcswidth, lines)) <= columns
    starts = {wcswidth(line[: line.rindex("vid")]) for line in lines if "vid" in line[-80:]}
    assert len(starts) == 1 or columns == 40, "the paths are one below the other"
    assert "\x1b" not in text
    if columns == 200:
        assert all(str(9_100_000_000_000_000_000 + number) in text for number in range(5))
        assert "…" not in text.replace("a" * 20, "")
    elif columns > 40:
        assert re.search(r"vid.*a+…[a0-9-]*5\.mp4$", text, re.MULTILINE)


@pytest.mark.parametrize("columns", [60, 80])
def test_status_is_wrapped_between_words(
    environ: Mapping[str, str],
    service: Misbehaving,
    dest: Path,
    items: list[dict[str, Any]],
    columns: int,
) -> None:
    """On a terminal no word is cut, and off it no line is broken."""
    assert items
    assert run_sync(service, dest).summary.exit_code == 0
    service.fail(replies(200, b"{}"), ASSETS_PATH)
    assert run_sync(service, dest).summary.exit_code == 5
    text = on_terminal(environ, columns, "status", "--dest", dest)
    assert text.startswith("\x1b[31mNot safe\x1b[0m: ")
    lines = re.sub(r"\x1b\[\d+m", "", text).splitlines()
    paths = str(dest), service.api_url
    assert all(len(line) <= columns or any(path in line for path in paths) for line in lines)
    joined = " ".join(line.strip() for line in lines)
    assert "Not safe: the last run could not trust the listing, and marked nothing gone" in joined


def on_terminal(environ: Mapping[str, str], columns: int, *arguments: object) -> str:
    """What the program prints onto a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "mirror", *map(str, arguments)],
        env={**environ, "LANG": "C.UTF-8", "TERM": "xterm"},
        stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            shown += chunk
        assert running.wait() == 0
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("command", ["status", "list", "verify", "prune", "gallery", "sync"])
def test_a_mirror_that_was_moved(
    sync: RunProgram, program_here: RunProgram, items: list[Any], dest: Path, command: str
) -> None:
    """Each command says the same, and names `dest`; nothing is made in its place."""
    assert items
    assert sync().code == 0
    dest.rename(dest.with_name("moved"))
    done = program_here(command, "--dest", dest, env=ACCESS)
    assert (done.code, "set `dest` to its new place" in done.err) == (6, True), done.err
    assert not dest.exists()
