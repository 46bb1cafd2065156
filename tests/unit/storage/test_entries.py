"""The entries of a manifest: what goes in comes out, and their text is the document's."""

import json

import pytest
from msgspec import Raw, structs

from mirror.errors import ExitCode, ManifestError
from mirror.models import Entry, TwinEntry, to_json
from mirror.storage.entries import Entries
from tests.unit.storage.test_manifest import an_entry


def test_what_goes_in_comes_out() -> None:
    """Entries behave like a dictionary, in the order in which they came."""
    entries = Entries()
    first, second = an_entry(1, paths=["a", "b"]), an_entry(2)
    entries.update({first.key: first, second.key: second})
    entries[first.key] = gone = structs.replace(first, state="gone")
    assert entries == {first.key: gone, second.key: second}
    assert [*entries.values()] == [gone, second]
    assert second.key in entries
    del entries[second.key]
    assert second.key not in entries
    assert entries.get(second.key) is None
    with pytest.raises(KeyError):
        entries[second.key]


def test_a_twin_is_known_by_its_key() -> None:
    """Its text is that of any entry."""
    entry = an_entry(1)
    key = f"{entry.key}@video"
    entries = Entries()
    entries[key] = TwinEntry(**structs.asdict(entry))
    assert type(entries[key]) is TwinEntry
    entries[entry.key] = entry
    assert type(entries[entry.key]) is Entry


def test_each_entry_has_a_line() -> None:
    """However the document was laid out by hand; fields of a newer version stay."""
    entries = Entries()
    entry = an_entry(1)
    entries[entry.key] = entry
    [line] = entries.lines()
    laid_out = json.dumps(json.loads(b"{%s}" % line)[entry.key] | {"new": 1}, indent=1)
    again = Entries({entry.key: Raw(laid_out.replace("\n", "\r\n"))})
    [line] = again.lines()
    assert not {b"\n", b"\r"} & {line[at : at + 1] for at in range(len(line))}
    assert json.loads(b"{%s}" % line)[entry.key]["new"] == 1


@pytest.mark.parametrize("text", ["null", "{}", "[", '{"id": 1}', "\udcff"], ids=ascii)
def test_a_damaged_entry_is_named(text: str) -> None:
    """The error says which, where, and what to do."""
    entries = Entries({"1@2": Raw(text.encode(errors="surrogateescape"))}, where="/m/manifest.json")
    with pytest.raises(ManifestError, match="1@2") as caught:
        entries.check()
    assert caught.value.exit_code is ExitCode.MANIFEST
    assert caught.value.where == "/m/manifest.json"
    assert "verify --rebuild" in caught.value.hint


def test_what_another_thread_records_is_seen() -> None:
    """A run lists in one thread and records in another, which may be in between at any moment."""
    first = an_entry(1)
    newer = structs.replace(first, name="newer")

    class Texts(dict[str, Raw]):
        """The texts; right after the first look at one, somebody records the entry anew."""

        is_calm = False

        def __getitem__(self, key: str) -> Raw:
            text = super().__getitem__(key)
            if not self.is_calm:
                self.is_calm = True
                entries[key] = newer
            return text

    entries = Entries(Texts({first.key: Raw(to_json(first))}))
    assert entries[first.key] == first
    assert entries[first.key] == newer
