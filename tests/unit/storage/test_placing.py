"""Placing: whatever lies in the way keeps a name and a record, and what was promised is kept."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Raw

from mirror.errors import DiskError
from mirror.models import Entry, StoredFile
from mirror.storage.interface import Placement
from mirror.storage.known import KnownRoots
from mirror.storage.placing import Plan
from mirror.storage.root import Root
from tests.lib.mirrored import folder_of

PLACE = "image/a-1.png"
NEW, OLD, STRANGE = b"the new file", b"the old version", b"somebody else's"


def sha256(body: bytes) -> str:
    """Hex."""
    return hashlib.sha256(body).hexdigest()


def go_on() -> None:
    """No stop is asked for."""


def no_warning(text: str) -> None:
    """Nothing is to be reported here, or it is not what the test is about."""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    """An empty mirror, open."""
    known = KnownRoots(tmp_path / "state")
    with Root.prepared(tmp_path / "mirror", known=known) as root:
        yield root


def an_entry(body: bytes, time_ms: int, path: str = PLACE) -> Entry:
    """The entry of asset 1, with these bytes."""
    stored = StoredFile(
        path=path,
        size=len(body),
        sha256=sha256(body),
        etag=None,
        last_modified=None,
        content_type=None,
        url="http://cdn.example/a",
        fetched="2026-01-01T00:00:00Z",
    )
    return Entry(
        "1", time_ms, None, "image", "a.png", None, "current", None, stored, None, Raw(b"{}")
    )


def a_plan(root: Root, body: bytes = NEW, time_ms: int = 2, *older: Entry) -> Plan:
    """To record these bytes, which are complete in the spool."""
    entry = an_entry(body, time_ms)
    partial = root.spool.partial(entry.key, "resource")
    partial.path.write_bytes(body)
    placement = Placement(partial, PLACE, time_ms, len(body), sha256(body))
    return Plan(entry, {"resource": placement}, older)


def carry_out(root: Root, plan: Plan) -> None:
    """All steps, without a crash."""
    root.placer.promise([plan])
    assert root.placer.carry_out([plan], go_on) == []


def check(root: Root, **states: bytes) -> None:
    """See that these are the entries, by state, with their bytes, and that no file is left over."""
    found = {}
    for entry in root.manifest.entries.values():
        (stored,) = entry.files()
        found[entry.state] = body = (folder_of(root) / stored.path).read_bytes()
        assert stored.sha256 == sha256(body)
    assert found == states
    files = {it.path for area in ("tree", "history") for it in root.storage.walk(area)}
    named = {it.path for entry in root.manifest.entries.values() for it in entry.files()}
    assert files == named
    assert root.spool.promises.read() == []
    assert list(root.spool.left()) == []


def test_a_new_file_takes_its_place(root: Root) -> None:
    """Nothing was there: one entry, one file."""
    carry_out(root, a_plan(root))
    check(root, current=NEW)


@pytest.mark.parametrize("body", [NEW, OLD])
def test_an_earlier_version_moves_to_history(root: Root, body: bytes) -> None:
    """It is superseded in one step with the new one's entry; so if its bytes are the same."""
    carry_out(root, a_plan(root, body, 1))
    carry_out(root, a_plan(root, NEW, 2, root.manifest.entries["1@1"]))
    check(root, current=NEW, superseded=body)


def test_a_stranger_in_the_place_is_kept_and_recorded(root: Root) -> None:
    """It has an entry from then on: it is verified, and can be pruned."""
    (folder_of(root) / "image").mkdir()
    (folder_of(root) / PLACE).write_bytes(STRANGE)
    carry_out(root, a_plan(root))
    check(root, current=NEW, superseded=STRANGE)


def test_a_damaged_file_that_is_repaired_is_kept_and_recorded(root: Root) -> None:
    """What it has become is on record, as what it is now."""
    carry_out(root, a_plan(root))
    (folder_of(root) / PLACE).write_bytes(STRANGE)
    carry_out(root, a_plan(root))
    check(root, current=NEW, superseded=STRANGE)


@pytest.mark.parametrize("body", [OLD, STRANGE])
def test_a_version_that_kling_takes_back(root: Root, body: bytes) -> None:
    """The older version is current again; its copy in history goes, or is recorded for itself."""
    carry_out(root, a_plan(root, OLD, 1))
    carry_out(root, a_plan(root, NEW, 2, root.manifest.entries["1@1"]))
    carry_out(root, a_plan(root, body, 1, root.manifest.entries["1@2"]))
    entries = root.manifest.entries
    assert (entries["1@1"].state, entries["1@2"].state) == ("current", "superseded")
    kept = [it.sha256 for entry in entries.values() for it in entry.files()]
    assert sorted(kept) == sorted({sha256(OLD), sha256(NEW), sha256(body)})
    history = [it.path for it in root.storage.walk("history")]
    assert len(history) == len(kept) - 1


def test_a_folder_in_the_way_blocks_its_own_file_alone(root: Root) -> None:
    """The plan is given up: the earlier version is where it was, the bytes stay in the spool."""
    carry_out(root, a_plan(root, OLD, 1))
    old = root.manifest.entries["1@1"]
    partial = a_plan(root).placements["resource"].partial
    (folder_of(root) / "image/b-1.png").mkdir()
    blocked = Placement(partial, "image/b-1.png", 2, len(NEW), sha256(NEW))
    plan = Plan(an_entry(NEW, 2, blocked.path), {"resource": blocked}, (old,))
    root.placer.promise([plan])
    (found,) = root.placer.carry_out([plan], go_on)
    assert (found.plan, found.role) == (plan, "resource")
    (left,) = root.spool.left()
    assert left.note is not None
    assert left.note.complete
    left.partial.discard()
    check(root, current=OLD)
    assert root.manifest.entries == {"1@1": old}


def test_what_was_promised_is_kept_by_the_next_run(root: Root) -> None:
    """Whatever step the first run ended before; and a line reports it."""
    plan = a_plan(root)
    root.placer.promise([plan])
    root.spool.close()
    warned: list[str] = []
    assert root.recover(go_on, warned.append) == 1
    assert warned == ["recorded 1 asset that an interrupted run had fetched"]
    check(root, current=NEW)


def test_a_promise_whose_place_is_blocked_is_not_counted_as_recorded(root: Root) -> None:
    """A folder lies where the file belongs: nothing is recorded, and nothing is reported."""
    plan = a_plan(root)
    root.placer.promise([plan])
    (folder_of(root) / plan.placements["resource"].path / "in the way").mkdir(parents=True)
    assert root.recover(go_on, no_warning) == 0
    assert root.manifest.entries == {}


def test_a_file_that_was_placed_and_not_recorded_is_recorded(root: Root) -> None:
    """The crash came right behind the rename."""
    plan = a_plan(root)
    root.placer.promise([plan])
    root.storage.secure([*plan.placements.values()])(go_on)
    root.placer.place([plan])
    root.recover(go_on, no_warning)
    check(root, current=NEW)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(NEW[:-1]),
        lambda path: path.write_bytes(bytes(len(NEW))),
    ],
)
def test_a_promise_whose_bytes_are_gone_is_dropped(
    root: Root, spoil: Callable[[Path], object]
) -> None:
    """A power cut may take them; nothing is recorded then."""
    plan = a_plan(root)
    root.placer.promise([plan])
    spoil(plan.placements["resource"].partial.path)
    assert root.recover(go_on, no_warning) == 0
    assert root.manifest.entries == {}
    assert root.spool.promises.read() == []


def test_a_promise_that_was_kept_long_ago_changes_nothing(root: Root) -> None:
    """A power cut may bring it back: the newer record stands."""
    plan = a_plan(root)
    carry_out(root, plan)
    now = root.manifest.entries["1@2"]
    root.placer.promise([plan])
    assert root.recover(go_on, no_warning) == 0
    assert root.manifest.entries == {"1@2": now}


def test_a_file_that_changed_on_its_way_is_not_recorded(root: Root) -> None:
    """Another machine, whose lock this one does not see, wrote into it."""
    plan = a_plan(root)
    path = plan.placements["resource"].partial.path
    wait = root.storage.secure([*plan.placements.values()])
    path.unlink()
    path.write_bytes(STRANGE[: len(NEW)])
    wait(go_on)
    with pytest.raises(DiskError, match="somebody else"):
        root.placer.place([plan])
    assert root.manifest.entries == {}


def test_what_lies_in_history_unrecorded_gets_an_entry(root: Root) -> None:
    """An earlier version of this program left it so."""
    carry_out(root, a_plan(root))
    kept = root.storage.keep(PLACE, "replaced-5")
    (folder_of(root) / kept).unlink()
    (folder_of(root) / kept).write_bytes(STRANGE)
    root.recovery.sweep()
    check(root, current=NEW, superseded=STRANGE)
    root.recovery.sweep()
    assert len(root.manifest.entries) == 2
