"""`prune --empty-trash`: what is deleted for good, and what is asked first."""

import datetime as dt
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunProgram
from tests.lib.library import KINDS, Library, media
from tests.lib.mirrored import PRIVATE, check_mirror, check_records, manifest_of
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync
from tests.lib.terminal import CTRL_C, CTRL_D, Terminal

QUESTION = "Delete them for good"


@pytest.fixture
def prune(program: RunProgram, dest: Path) -> Callable[..., dict[str, Any]]:
    """Runs `prune --json`, off a terminal."""

    def run(*arguments: str) -> dict[str, Any]:
        done = program("prune", "--json", "--dest", dest, *arguments)
        assert (done.code, done.err) == (0, "")
        return dict(done.summary)

    return run


@pytest.fixture
def past(service: Misbehaving, library: Library, dest: Path) -> list[dict[str, Any]]:
    """Of six assets two are gone and one is superseded; four files of theirs."""
    items = [library.add(number, KINDS[number % 3]) for number in range(6)]
    assert run_sync(service, dest).summary.exit_code == 0
    library.delete(items[0])
    library.delete(items[1])
    library.change(items[2], media("audio", "new"))
    assert run_sync(service, dest).summary.exit_code == 0
    return items


def in_trash(dest: Path) -> set[str]:
    """The files of assets that are in the trash, by name."""
    return {
        path.name
        for path in (dest / PRIVATE / "trash").rglob("*")
        if path.is_file() and path.name != "entries.jsonl"
    }


def parts(dest: Path) -> list[Path]:
    """The parts of the trash, one for each `prune`."""
    return sorted((dest / PRIVATE / "trash").iterdir())


def make_older(part: Path, days: int) -> Path:
    """Have a part of the trash come from a `prune` of so many days ago."""
    then = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    return part.rename(part.with_name(then.strftime("%Y-%m-%dT%H%M%SZ")))


def test_only_what_was_there_before_is_deleted(
    prune: Callable[..., dict[str, Any]], past: list[Any], dest: Path, library: Library
) -> None:
    """What this very command moves to the trash stays there until the next one."""
    assert past
    first = prune("--empty-trash")
    assert (len(first["files"]), first["emptied"]) == (4, 0)
    assert len(in_trash(dest)) == 4
    second = prune("--empty-trash")
    assert (second["files"], second["emptied"]) == ([], 4)
    assert second["emptied_bytes"] == first["bytes"]
    assert parts(dest) == []
    check_mirror(dest, library)


def test_older_than_spares_the_younger(
    prune: Callable[..., dict[str, Any]],
    service: Misbehaving,
    library: Library,
    past: list[Any],
    *,
    dest: Path,
) -> None:
    """A part of the trash has the age of its `prune`; one whose age is unknown stays, too."""
    prune()
    make_older(parts(dest)[0], 40)
    library.delete(past[3])
    assert run_sync(service, dest).summary.exit_code == 0
    prune()
    make_older(parts(dest)[1], 20)
    strange = dest / PRIVATE / "trash" / "mine"
    strange.mkdir()
    (strange / "x").write_bytes(b"x")
    assert prune("--empty-trash", "--older-than", "50d", "--dry-run")["emptied"] == 0
    assert prune("--empty-trash", "--older-than", "30d", "--dry-run")["emptied"] == 4
    assert prune("--empty-trash", "--older-than", "30d")["emptied"] == 4
    assert len(parts(dest)) == 2
    assert prune("--empty-trash")["emptied"] > 0
    assert parts(dest) == []


def test_older_than_alone_is_an_error(program: RunProgram, past: list[Any], dest: Path) -> None:
    """It says what of the trash is deleted, and nothing without `--empty-trash`."""
    assert past
    done = program("prune", "--older-than", "30d", "--dest", dest)
    assert done.code == 2
    assert "--empty-trash" in done.err
    assert not (dest / PRIVATE / "trash").exists()


def test_a_file_that_was_copied_back_stays(
    prune: Callable[..., dict[str, Any]], past: list[Any], dest: Path
) -> None:
    """Its owner took it out of the trash: another `prune` does not put it there again."""
    assert past
    gone = [entry for entry in manifest_of(dest)["assets"].values() if entry["state"] == "gone"]
    prune()
    [part] = parts(dest)
    back = [dest / entry["resource"]["path"] for entry in gone]
    for path in back:
        shutil.copy2(part / path.relative_to(dest), path)
    for arguments in ((), ("--empty-trash",), ("--empty-trash",)):
        prune(*arguments)
        assert all(path.is_file() for path in back)
    assert parts(dest) == []
    check_records(dest)


@pytest.fixture
def at_terminal(environ: Mapping[str, str], tmp_path: Path, dest: Path) -> Callable[..., Terminal]:
    """Starts `prune` at a terminal."""

    def start(*arguments: str) -> Terminal:
        command = [sys.executable, "-m", "mirror", "prune", "--dest", dest, *arguments]
        return Terminal(command, env=environ, cwd=tmp_path)

    return start


def test_a_person_is_asked_first(
    prune: Callable[..., dict[str, Any]],
    at_terminal: Callable[..., Terminal],
    past: list[Any],
    dest: Path,
) -> None:
    """It names how many assets exist nowhere else; what is not confirmed is not deleted."""
    assert past
    prune()
    for answer in ("n", "", "no", CTRL_D):
        with at_terminal("--empty-trash") as terminal:
            terminal.expect("4 files")
            terminal.expect("3 assets in it exist nowhere else")
            terminal.answer(QUESTION, answer) if answer != CTRL_D else terminal.type(CTRL_D)
            assert terminal.end() == 0
        assert len(in_trash(dest)) == 4
    with at_terminal("--empty-trash") as terminal:
        terminal.expect(QUESTION)
        terminal.type(CTRL_C)
        assert terminal.end() == 130
    assert len(in_trash(dest)) == 4
    with at_terminal("--empty-trash") as terminal:
        terminal.answer(QUESTION, "y")
        assert terminal.end() == 0
    assert parts(dest) == []


def test_what_is_elsewhere_too_is_not_counted(
    prune: Callable[..., dict[str, Any]],
    at_terminal: Callable[..., Terminal],
    service: Misbehaving,
    library: Library,
    past: list[Any],
    *,
    dest: Path,
) -> None:
    """An asset that came back to Kling, and is mirrored again, is no reason to keep its copy."""
    prune()
    library.add(0, KINDS[0])
    library.add(1, KINDS[1])
    library.change(past[2], media("audio", 2))
    assert run_sync(service, dest).summary.exit_code == 0
    prune()
    with at_terminal("--empty-trash") as terminal:
        terminal.expect("1 asset in it exists nowhere else")
        terminal.answer(QUESTION, "n")
        assert terminal.end() == 0


def test_nobody_is_asked_needlessly(
    at_terminal: Callable[..., Terminal],
    past: list[Any],
    dest: Path,
) -> None:
    """Not with `--yes`, not for a dry run, not for an empty trash."""
    assert past
    for arguments in (
        ("--empty-trash",),
        ("--empty-trash", "--dry-run"),
        ("--empty-trash", "--yes"),
    ):
        with at_terminal(*arguments) as terminal:
            assert terminal.end() == 0
            assert QUESTION not in terminal.seen
    assert parts(dest) == []


def test_what_nobody_recorded_in_history_can_be_pruned(
    prune: Callable[..., dict[str, Any]],
    service: Misbehaving,
    library: Library,
    dest: Path,
) -> None:
    """A damaged file that was replaced lies in history without an entry, but not for ever."""
    item = library.add(1, "image")
    assert run_sync(service, dest).summary.exit_code == 0
    path = dest / "image" / "clip1-9100000000000000001.png"
    path.write_bytes(b"cut")
    assert run_sync(service, dest).summary.assets.repaired == 1
    kept = [path for path in (dest / PRIVATE / "history").rglob("*") if path.is_file()]
    shown = prune("--dry-run")
    assert len(shown["files"]) == len(kept)
    assert prune()["files"] == shown["files"]
    assert not [path for path in (dest / PRIVATE / "history").rglob("*") if path.is_file()]
    assert b"cut" in {path.read_bytes() for path in (dest / PRIVATE / "trash").rglob("*.png")}
    assert item["id"] in json.dumps(manifest_of(dest))
    check_mirror(dest, library)
