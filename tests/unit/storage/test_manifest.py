"""The manifest and its journal: whatever is cut off, flipped or edited, it never lies."""

import hashlib
import json
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mirror.errors import ExitCode, ManifestError
from mirror.models import Entry, Failure, State, StoredFile, TwinEntry, TwinFailure, key_of
from mirror.storage.journal import Change, DropEntry, DropFailure, PutEntry, PutFailure
from mirror.storage.local import LocalFolder
from mirror.storage.manifest import BACKUP_NAME, NAME, SUMS_NAME, Manifest

SOME = settings(max_examples=80, deadline=None, database=None)


def an_entry(
    number: int,
    *,
    state: State = "current",
    asset: bytes = b'{"id": "1"}',
    paths: Sequence[str] = (),
) -> Entry:
    """An entry, distinguished by its number; its files hold their own path."""
    files = [a_file(path) for path in paths]
    return Entry(
        id=str(9_007_199_254_740_993 + number),
        update_time_ms=number,
        account=None,
        content_type="video",
        name=f"\u00e9 {number}\n.mp4",
        create_time_ms=None,
        state=state,
        gone_since=None,
        resource=files[0] if files else None,
        cover=files[1] if len(files) > 1 else None,
        asset=Raw(asset),
    )


def a_file(path: str) -> StoredFile:
    """A file that holds its own path."""
    return StoredFile(
        path=path,
        size=len(path.encode()),
        sha256=hashlib.sha256(path.encode()).hexdigest(),
        etag='"e"',
        last_modified=None,
        content_type=None,
        url="https://cdn.example/x",
        fetched="2026-01-01T00:00:00Z",
    )


def a_failure(number: int, error: str = "the server answered 500") -> Failure:
    """A failure of the entry of that number."""
    entry = an_entry(number)
    return Failure(entry.id, entry.update_time_ms, None, "cover", error, 1, "then", "now")


CHANGES: tuple[Change, ...] = (
    PutEntry(an_entry(1)),
    PutFailure(a_failure(2)),
    PutEntry(an_entry(3)),
    PutEntry(an_entry(2)),
    PutFailure(a_failure(1)),
    DropEntry(an_entry(3).key),
    PutEntry(an_entry(1, state="gone")),
    PutFailure(a_failure(3)),
    DropFailure(an_entry(3).key),
)


class Root:
    """A mirror's root as far as the manifest goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.journal = folder / ".kling-mirror" / "journal"
        self.journal.parent.mkdir(parents=True)
        self.storage = LocalFolder(folder)
        self.new().begin()

    def new(self) -> Manifest:
        """A manifest that has not been loaded."""
        return Manifest(self.storage)

    def load(self) -> Manifest:
        """The manifest as a new run finds it."""
        manifest = self.new()
        manifest.load()
        manifest.entries.check()
        return manifest

    def record(self, *changes: Change, compact: bool = False) -> Manifest:
        """Load, record, and let go, as a run does."""
        manifest = self.load()
        try:
            manifest.record(changes)
            if compact:
                manifest.compact()
        finally:
            self.storage.close()
        return manifest

    def bytes(self) -> dict[str, bytes]:
        """Every file of the root."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """An empty mirror."""
    return Root(tmp_path / "mirror")


@pytest.fixture(scope="module")
def make_root() -> Iterator[Callable[[], Root]]:
    """Makes empty mirrors, for what Hypothesis tries."""
    with tempfile.TemporaryDirectory() as folder:
        yield lambda: Root(Path(tempfile.mkdtemp(dir=folder)) / "mirror")


def contents(manifest: Manifest) -> object:
    """All that a manifest says."""
    return json.loads(msgspec.json.encode([dict(manifest.entries), manifest.failures]))


def recorded_one_by_one(root: Root, changes: Sequence[Change]) -> list[object]:
    """Record the changes; what the manifest said before the first, and after each."""
    manifest = root.load()
    states = [contents(manifest)]
    for change in changes:
        manifest.record([change])
        states.append(contents(manifest))
    root.storage.close()
    return states


# Round trips.


def test_what_is_recorded_is_loaded(root: Root) -> None:
    """A run that ends after any change leaves exactly that to the next one."""
    for number in range(1, len(CHANGES) + 1):
        manifest = root.record(CHANGES[number - 1])
        assert contents(root.load()) == contents(manifest)
    assert set(root.load().entries) == {an_entry(1).key, an_entry(2).key}
    assert root.load().failures == {}


@pytest.mark.parametrize("compact", [False, True])
def test_assets_that_share_id_and_time_are_both_kept(root: Root, *, compact: bool) -> None:
    """The second has the key that names its type, in the document and in the journal."""
    first = an_entry(1)
    second = TwinEntry(**{**msgspec.structs.asdict(first), "content_type": "image"})
    failed = a_failure(2)
    also_failed = TwinFailure(**{**msgspec.structs.asdict(failed), "content_type": "image"})
    root.record(*map(PutEntry, (first, second)), compact=compact)
    root.record(*map(PutFailure, (failed, also_failed)), compact=compact)
    manifest = root.load()
    assert manifest.entries == {first.key: first, f"{first.key}@image": second}
    assert manifest.failures == {failed.key: failed, f"{failed.key}@image": also_failed}
    assert [*manifest.entries] == [entry.key for entry in manifest.entries.values()]
    gone = msgspec.structs.replace(manifest.entries[second.key], state="gone")
    assert root.record(PutEntry(gone)).entries == {first.key: first, second.key: gone}
    assert root.load().entries == {first.key: first, second.key: gone}


def test_an_id_with_the_sign_between_id_and_time(root: Root) -> None:
    """An id that looks like a key is an id."""
    entry = msgspec.structs.replace(an_entry(1), id="7@1")
    root.record(PutEntry(entry), compact=True)
    assert root.load().entries == {f"7@1@{entry.update_time_ms}": entry}


@pytest.mark.parametrize("cut", range(len(CHANGES) + 1))
def test_compacting_changes_nothing(cut: int, root: Root) -> None:
    """Document and journal say the same however the changes are split between them."""
    root.record(*CHANGES[:cut], compact=True)
    assert root.journal.read_bytes() == b""
    assert root.load().is_compact
    manifest = root.record(*CHANGES[cut:])
    assert manifest.is_compact == (cut == len(CHANGES))
    assert contents(root.load()) == contents(manifest)
    root.record(compact=True)
    assert contents(root.load()) == contents(manifest)


def test_the_contract_s_document(root: Root) -> None:
    """The document has the contract's names, and the API's object as it came."""
    entry = an_entry(1, paths=["video/a.mp4"], asset=b'{"id": 12345678901234567890, "new": [1]}')
    root.record(PutEntry(entry), PutFailure(a_failure(2)), compact=True)
    document = json.loads(root.path.read_bytes())
    assert set(document) == {"format", "version", "written", "assets", "failures"}
    assert (document["format"], document["version"]) == ("kling-mirror", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["written"])
    assert document["assets"] == {
        "9007199254740994@1": {
            "id": "9007199254740994",
            "updateTime": 1,
            "account": None,
            "contentType": "video",
            "name": "\u00e9 1\n.mp4",
            "createTime": None,
            "state": "current",
            "gone_since": None,
            "resource": {
                "path": "video/a.mp4",
                "size": 11,
                "sha256": hashlib.sha256(b"video/a.mp4").hexdigest(),
                "etag": '"e"',
                "last_modified": None,
                "content_type": None,
                "url": "https://cdn.example/x",
                "fetched": "2026-01-01T00:00:00Z",
            },
            "cover": None,
            "asset": {"id": 12345678901234567890, "new": [1]},
        }
    }
    assert document["failures"] == {
        "9007199254740995@2": {
            "id": "9007199254740995",
            "updateTime": 2,
            "account": None,
            "role": "cover",
            "error": "the server answered 500",
            "attempts": 1,
            "first": "then",
            "last": "now",
            "name": None,
            "contentType": None,
        }
    }


def test_recording_nothing_writes_nothing(root: Root) -> None:
    """A run without changes touches no file."""
    before = root.bytes()
    root.record()
    assert root.bytes() == before


def test_a_success_settles_the_failure(root: Root) -> None:
    """An asset that is mirrored has no failure any more, in memory and on disk."""
    manifest = root.record(PutFailure(a_failure(1)), PutEntry(an_entry(1)))
    assert manifest.failures == root.load().failures == {}


# Crashes.


def test_a_journal_cut_anywhere_is_a_prefix(root: Root) -> None:
    """After a cut at any byte, what was recorded whole is loaded, and nothing else."""
    states = recorded_one_by_one(root, CHANGES)
    journal = root.journal.read_bytes()
    for length in range(len(journal) + 1):
        root.journal.write_bytes(journal[:length])
        assert contents(root.load()) == states[journal[:length].count(b"\n")]


def test_a_run_goes_on_after_any_cut(root: Root) -> None:
    """What is recorded behind a torn line is not lost to it."""
    states = recorded_one_by_one(root, CHANGES)
    journal = root.journal.read_bytes()
    for length in range(0, len(journal), 97):
        root.journal.write_bytes(journal[:length])
        manifest = root.record(PutEntry(an_entry(7)))
        assert contents(root.load()) == contents(manifest)
        entries = contents(manifest)[0]  # type: ignore[index]
        del entries[an_entry(7).key]
        assert [entries, contents(manifest)[1]] == states[journal[:length].count(b"\n")]  # type: ignore[index]


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_a_journal_with_any_byte_flipped_is_a_prefix(flip: int, root: Root) -> None:
    """What comes before the first damaged line is loaded, and nothing of it or behind it."""
    states = recorded_one_by_one(root, CHANGES)
    journal = root.journal.read_bytes()
    for position in range(len(journal)):
        damaged = bytearray(journal)
        damaged[position] ^= flip
        root.journal.write_bytes(damaged)
        assert contents(root.load()) == states[journal[:position].count(b"\n")]


@pytest.mark.parametrize(
    "tail", [b"\0" * 4096, b"\xff" * 10, b"\n", b"\n\n\n", b" \n", b"00000000 \n"]
)
def test_what_no_run_wrote_is_not_believed(tail: bytes, root: Root) -> None:
    """Zeros that a file system left behind the last line, and other rubbish, change nothing."""
    manifest = root.record(*CHANGES)
    with root.journal.open("ab") as journal:
        journal.write(tail)
    assert contents(root.load()) == contents(manifest)
    again = root.record(PutEntry(an_entry(8)))
    assert contents(root.load()) == contents(again)


def test_a_journal_played_over_its_own_document_changes_nothing(root: Root) -> None:
    """A crash between replacing the document and emptying the journal is harmless."""
    manifest = root.record(*CHANGES)
    journal = root.journal.read_bytes()
    root.record(compact=True)
    root.journal.write_bytes(journal)
    assert contents(root.load()) == contents(manifest)


some_changes = st.lists(
    st.integers(1, 3).flatmap(
        lambda number: st.sampled_from(
            (
                PutEntry(an_entry(number)),
                PutEntry(an_entry(number, state="gone")),
                PutFailure(a_failure(number)),
                PutFailure(a_failure(number, "other")),
                DropEntry(an_entry(number).key),
                DropFailure(an_entry(number).key),
            )
        )
    ),
    max_size=12,
)


@SOME
@given(before=some_changes, changes=some_changes)
def test_any_journal_may_be_played_twice(
    make_root: Callable[[], Root], before: list[Change], changes: list[Change]
) -> None:
    """Whatever was recorded, playing the journal over a document that has it changes nothing."""
    root = make_root()
    root.record(*before, compact=True)
    manifest = root.record(*changes)
    journal = root.journal.read_bytes() if root.journal.exists() else b""
    root.record(compact=True)
    root.journal.write_bytes(journal)
    assert contents(root.load()) == contents(manifest)


def test_a_damaged_line_is_kept_aside(root: Root) -> None:
    """What is cut off a damaged journal is kept beside it, from the bad line on."""
    recorded_one_by_one(root, CHANGES)
    lines = root.journal.read_bytes().splitlines(keepends=True)
    lines[3] = b"X" + lines[3][1:]
    root.journal.write_bytes(b"".join(lines))
    root.record(PutEntry(an_entry(9)))
    (kept,) = root.journal.parent.glob("journal.damaged-*")
    assert kept.read_bytes() == b"".join(lines[3:])
    assert root.journal.read_bytes().startswith(b"".join(lines[:3]))


def test_a_damaged_line_before_a_torn_one_is_kept_aside(root: Root) -> None:
    """A whole line that went bad had been promised: it is kept, though the next one is torn."""
    recorded_one_by_one(root, CHANGES)
    lines = root.journal.read_bytes().splitlines(keepends=True)
    tail = b"X" + lines[-2][1:] + lines[-1][:20]
    root.journal.write_bytes(b"".join(lines[:-2]) + tail)
    root.record(PutEntry(an_entry(9)))
    (kept,) = root.journal.parent.glob("journal.damaged-*")
    assert kept.read_bytes() == tail


def test_a_torn_line_alone_is_not_worth_keeping(root: Root) -> None:
    """The line that was being written when the power went had not been promised."""
    recorded_one_by_one(root, CHANGES)
    root.journal.write_bytes(root.journal.read_bytes()[:-5])
    root.record(PutEntry(an_entry(9)))
    assert not list(root.journal.parent.glob("journal.damaged-*"))


def test_a_journal_that_cannot_be_written_changes_nothing(root: Root) -> None:
    """What is not on disk is not true in memory either."""
    root.journal.mkdir()
    manifest = root.new()
    with pytest.raises(OSError, match="directory"):
        manifest.record(CHANGES)
    assert contents(manifest) == [{}, {}]


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="nothing to refuse links with")
def test_a_link_in_place_of_the_journal_is_not_followed(root: Root, tmp_path: Path) -> None:
    """Nothing is written through a link that leads out of the mirror."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious\n")
    root.journal.symlink_to(outside)
    with pytest.raises(OSError, match="symbolic links"):
        root.record(*CHANGES)
    assert outside.read_bytes() == b"precious\n"


# Documents from elsewhere.


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("indent", [0, 2, 8])
def test_a_pretty_printed_manifest_is_as_good(indent: int, line_end: str, root: Root) -> None:
    """A manifest that went through an editor loads, and its entries can be recorded again."""
    asset = b'{"id": "1", "resource": {"resource": "https://cdn.example/a"}, "tags": [1, 2]}'
    root.record(*CHANGES, PutEntry(an_entry(1, asset=asset)), compact=True)
    plain = contents(root.load())
    text = json.dumps(json.loads(root.path.read_bytes()), indent=indent)
    root.path.write_bytes(text.replace("\n", line_end).encode())
    manifest = root.load()
    assert contents(manifest) == plain
    gone = [
        msgspec.structs.replace(entry, state="gone", gone_since="now")
        for entry in manifest.entries.values()
    ]
    again = root.record(*map(PutEntry, gone))
    assert {entry.state for entry in root.load().entries.values()} == {"gone"}
    assert contents(root.load()) == contents(again)
    root.record(compact=True)
    assert contents(root.load()) == contents(again)


def test_unknown_fields_are_no_damage(root: Root) -> None:
    """A later release may add fields without a new version."""
    root.record(*CHANGES, compact=True)
    plain = contents(root.load())
    document = json.loads(root.path.read_bytes())
    document["comment"] = [1]
    for entry in document["assets"].values():
        entry["rating"] = 5
    root.path.write_text(json.dumps(document))
    assert contents(root.load()) == plain


@pytest.mark.parametrize("version", [2, 10**30])
@pytest.mark.parametrize("body", ['"assets": {}, "failures": {}', '"items": []'])
def test_a_newer_manifest_is_refused(version: int, body: str, root: Root) -> None:
    """A later format is not read, not rewritten, and the error says to update."""
    root.record(*CHANGES)
    root.path.write_text(f'{{"format": "kling-mirror", "version": {version}, {body}}}')
    before = root.bytes()
    with pytest.raises(ManifestError) as caught:
        root.load()
    assert caught.value.exit_code is ExitCode.MANIFEST
    assert caught.value.is_newer
    assert "update kling-mirror" in caught.value.hint
    assert root.bytes() == before


def _edited(**changed: object) -> bytes:
    document = {"format": "kling-mirror", "version": 1, "written": "", "assets": {}, "failures": {}}
    document |= changed
    left = {name: value for name, value in document.items() if value is not ...}
    return json.dumps(left).encode()


ENTRY = json.loads(msgspec.json.encode(an_entry(1)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"\0" * 100,
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b"\xff\xfe",
        _edited()[:-1],
        _edited()[:20],
        _edited() + b"}",
        _edited() * 2,
        _edited(format="other"),
        _edited(format=...),
        _edited(version=0),
        _edited(version=-1),
        _edited(version="1"),
        _edited(version=1.5),
        _edited(version=None),
        _edited(version=...),
        _edited(assets=...),
        _edited(assets=None),
        _edited(assets=[]),
        _edited(failures=...),
        _edited(failures=[]),
        _edited(written=5),
        _edited(assets={"a": {}}),
        _edited(assets={"a": ENTRY | {"state": "lost"}}),
        _edited(assets={"a": ENTRY | {"updateTime": "1"}}),
        _edited(assets={"a": ENTRY | {"resource": {"path": "x"}}}),
        _edited(failures={"a": {"id": "1"}}),
        _edited(assets={"a": ENTRY}).replace(b'"current"', b'"curr\xff"'),
        _edited(assets={"a": ENTRY}).replace(b"9007199254740994", b"90071992547\xff0994"),
        b'{"format": "kling-mirror", "version": 1, "assets": ' + b"[" * 100_000,
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"format": "kling-mirror", "version": %s}' % (b"9" * 5000),
    ],
    ids=lambda data: ascii(data[:60]),
)
def test_a_damaged_manifest_is_refused(data: bytes, root: Root) -> None:
    """A document that is no manifest is an error that says what to do; no file is touched."""
    root.record(*CHANGES, compact=True)
    root.record(PutEntry(an_entry(4)), compact=True)
    root.record(PutEntry(an_entry(5)))
    root.path.write_bytes(data)
    before = root.bytes()
    assert {NAME, BACKUP_NAME, SUMS_NAME, ".kling-mirror/journal"} <= set(before)
    with pytest.raises(ManifestError) as caught:
        root.load()
    assert caught.value.exit_code is ExitCode.MANIFEST
    assert not caught.value.is_newer
    assert caught.value.where == str(root.path)
    assert "kling-mirror verify --rebuild" in caught.value.hint
    assert root.bytes() == before


def test_a_manifest_cut_anywhere_is_refused(root: Root) -> None:
    """No part of the document is taken for the whole."""
    root.record(*CHANGES, compact=True)
    data = root.path.read_bytes()
    for length in range(len(data) - len(b"\n")):
        root.path.write_bytes(data[:length])
        with pytest.raises(ManifestError):
            root.load()


def test_a_missing_manifest_is_noticed(root: Root) -> None:
    """A mirror that lost its manifest is not taken for an empty one."""
    root.record(*CHANGES, compact=True)
    root.path.unlink()
    with pytest.raises(ManifestError) as caught:
        root.load()
    assert caught.value.exit_code is ExitCode.MANIFEST
    assert caught.value.hint
    assert not root.path.exists()


def test_beginning_again_is_no_loss(root: Root) -> None:
    """`begin` writes an empty manifest only where there is none, and none is missing."""
    root.record(*CHANGES, compact=True)
    before = root.bytes()
    root.new().begin()
    assert root.bytes() == before
    root.path.unlink()
    root.new().begin()
    assert not root.path.exists()


def test_the_backup_is_the_manifest_before(root: Root) -> None:
    """Compacting keeps the document that it replaces, as it was."""
    root.record(PutEntry(an_entry(1)), compact=True)
    before = root.path.read_bytes()
    root.record(PutEntry(an_entry(2)), compact=True)
    assert (root.folder / BACKUP_NAME).read_bytes() == before
    assert root.path.read_bytes() != before
    backup = root.new()
    backup.load(BACKUP_NAME)
    assert set(backup.entries) == {an_entry(1).key}


def test_compacting_leaves_no_other_file(root: Root) -> None:
    """Nothing temporary is left beside the manifest."""
    root.record(*CHANGES, compact=True)
    names = {NAME, BACKUP_NAME, SUMS_NAME, ".kling-mirror/journal"}
    assert set(root.bytes()) == names


# SHA256SUMS.


def test_the_sums_are_sha256sum_s(root: Root) -> None:
    """Every file of every entry has its line, once, sorted; each is true."""
    entries = [
        an_entry(1, paths=["video/b 1.mp4", "video/b 1.cover.jpg"]),
        an_entry(2, paths=["image/\u00e9.png"], state="gone"),
        an_entry(3, paths=[".kling-mirror/history/video/a@1.mp4"], state="superseded"),
        an_entry(4, paths=["image/\u00e9.png"]),
        an_entry(5),
    ]
    root.record(*map(PutEntry, entries), compact=True)
    lines = (root.folder / SUMS_NAME).read_bytes().decode().splitlines(keepends=True)
    found = [re.fullmatch(r"([0-9a-f]{64})  (.+)\n", line) for line in lines]
    sums = {match[2]: match[1] for match in found if match}
    assert list(sums) == sorted({file.path for entry in entries for file in entry.files()})
    assert len(sums) == len(lines) == 4
    for path, digest in sums.items():
        assert hashlib.sha256(path.encode()).hexdigest() == digest


def test_the_sums_of_an_empty_mirror(root: Root) -> None:
    """A mirror without files has an empty list, not none."""
    root.record(compact=True)
    assert (root.folder / SUMS_NAME).read_bytes() == b""


# Anything at all.


def a_line(data: bytes) -> bytes:
    """A journal line whose checksum is right, whatever it says."""
    return b"%08x %s\n" % (zlib.crc32(data), data)


journals = st.lists(
    st.binary(max_size=60)
    | st.binary(max_size=60).map(a_line)
    | st.sampled_from(
        [
            a_line(b'{"op": "drop", "key": "\xff"}'),
            a_line(b'{"op": "drop", "key": "\\ud800"}'),
            a_line(b'{"op": "drop", "key": 5}'),
            a_line(b'{"op": "entry", "entry": {}}'),
            a_line(b'{"op": "drop", "x": %s, "key": ""}' % (b"[" * 5000 + b"]" * 5000)),
            a_line(b'{"op": "drop", "key": "9007199254740994@1"}'),
            *map(a_line, map(msgspec.json.encode, CHANGES)),
        ]
    ),
    max_size=8,
).map(b"".join)


def test_a_line_of_a_newer_version_is_refused(root: Root) -> None:
    """What a newer version recorded is not passed over, nor cut off: it may be the truth."""
    root.record(*CHANGES)
    with root.journal.open("ab") as journal:
        journal.write(a_line(b'{"op": "sealed", "key": "1@1"}'))
    before = root.bytes()
    with pytest.raises(ManifestError, match="newer version") as caught:
        root.load()
    assert caught.value.is_newer
    assert root.bytes() == before


@SOME
@given(data=journals)
def test_any_journal_is_loaded(make_root: Callable[[], Root], data: bytes) -> None:
    """Whatever stands in the journal, its good beginning is loaded, and a run can go on."""
    root = make_root()
    root.record(*CHANGES, compact=True)
    root.journal.write_bytes(data)
    manifest = root.load()
    for key, entry in manifest.entries.items():
        assert key == key_of(entry.id, entry.update_time_ms)
    again = root.record(PutEntry(an_entry(9)))
    assert contents(root.load()) == contents(again)


@SOME
@given(data=st.data())
def test_any_manifest_is_loaded_or_refused(
    make_root: Callable[[], Root], data: st.DataObject
) -> None:
    """Whatever became of the document, nothing but a `ManifestError` comes of it."""
    root = make_root()
    root.record(*CHANGES, compact=True)
    document = bytearray(root.path.read_bytes())
    position = data.draw(st.integers(0, len(document) - 1))
    end = data.draw(st.sampled_from((position, position + 1, len(document))))
    document[position:end] = data.draw(
        st.binary(max_size=8) | st.sampled_from((b'"', b"{", b"}", b"\xff", b"\\ud800", b"1e400"))
    )
    root.path.write_bytes(document)
    try:
        manifest = root.load()
    except ManifestError as error:
        assert error.hint  # noqa: PT017 - both ways are right
    else:
        assert len(manifest.entries) <= 3
    assert root.path.read_bytes() == document
