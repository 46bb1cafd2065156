"""Promises: what is written down is read again, until it is settled."""

from pathlib import Path

import pytest
from msgspec import Raw

from mirror.models import Entry, TwinEntry
from mirror.storage.durable import Disk
from mirror.storage.promises import Promise, Promises


def a_promise(number: int, entry: type[Entry] = Entry) -> Promise:
    """A promise of an asset with one file."""
    made = entry(
        str(number), 1, None, "video", "a.mp4", None, "current", None, None, None, Raw(b"{}")
    )
    is_twin = entry is TwinEntry
    return Promise(made, {"resource": f"partial{number}"}, ["0@0"], is_twin=is_twin)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where promises are written down."""
    return tmp_path / "promised"


def test_what_is_open_is_read_again(path: Path) -> None:
    """The last word on each asset, with the key of a twin, until it is settled."""
    promises = Promises(path, Disk())
    assert promises.read() == []
    promises.add([a_promise(1), a_promise(2), a_promise(3, TwinEntry)])
    promises.add([Promise(a_promise(1).entry, {}, [])])
    promises.sync()
    promises.settle({"2@1": ["partial2"]})
    found = {promise.entry.key: promise for promise in Promises(path, Disk()).read()}
    assert found["1@1"].partials == {}
    assert found["3@1@video"] == a_promise(3, TwinEntry)


def test_the_file_is_emptied_once_all_is_settled(path: Path) -> None:
    """What this run read is settled like what it wrote."""
    Promises(path, Disk()).add([a_promise(1)])
    again = Promises(path, Disk())
    again.read()
    again.add([a_promise(2)])
    again.settle({"1@1": ["partial1"]})
    assert path.stat().st_size
    again.settle({"2@1": ["partial2"]})
    assert path.read_bytes() == b""


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_torn_line_is_no_promise(path: Path, cut: int) -> None:
    """A crash in the middle of writing leaves those before it."""
    promises = Promises(path, Disk())
    promises.add([a_promise(1)])
    first = path.stat().st_size
    promises.add([a_promise(2)])
    path.write_bytes(path.read_bytes()[: first + cut])
    again = Promises(path, Disk())
    assert again.read() == [a_promise(1)]
    again.add([a_promise(3)])
    assert Promises(path, Disk()).read()[0] == a_promise(1)


def test_a_promise_of_more_outlives_the_settling_of_less(path: Path) -> None:
    """A resource is recorded while its cover comes in, and is promised along with it."""
    promises = Promises(path, Disk())
    promises.add([a_promise(1)])
    more = Promise(a_promise(1).entry, {"resource": "partial1", "cover": "cover1"}, [])
    promises.add([more])
    promises.settle({"1@1": ["partial1"]})
    assert Promises(path, Disk()).read() == [more]
    promises.settle({"1@1": ["partial1", "cover1"]})
    assert path.read_bytes() == b""
