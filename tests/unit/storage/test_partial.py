"""Partial files: nothing is continued but what its note vouches for."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.storage.partial import Note, Partial

SOME = settings(max_examples=200, deadline=None, database=None)
URL = "https://cdn.example/a.mp4"
BODY = bytes(range(256)) * 20


def a_note(body: bytes = BODY, *, url: str = URL, complete: bool = False) -> Note:
    """What a transfer notes of these bytes."""
    return Note(
        url=url,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        etag='"e"',
        last_modified="Sun, 06 Nov 1994 08:49:37 GMT",
        content_type="video/mp4",
        complete=complete,
    )


def written(partial: Partial, body: bytes, *, at: int = 0) -> None:
    """Bytes in the file, as a transfer writes them."""
    descriptor = partial.open(at)
    try:
        assert os.write(descriptor, body) == len(body)
    finally:
        os.close(descriptor)


@pytest.fixture
def partial(tmp_path: Path) -> Partial:
    """A partial file that does not exist yet."""
    return Partial(tmp_path / "0123456789abcdef.resource")


@pytest.fixture(scope="module")
def make_partial() -> Iterator[Callable[[], Partial]]:
    """Makes partial files, for what Hypothesis tries."""
    with tempfile.TemporaryDirectory() as folder:
        yield lambda: Partial(Path(tempfile.mkdtemp(dir=folder)) / "file")


@pytest.mark.parametrize("complete", [False, True])
def test_what_the_note_vouches_for_is_continued(*, complete: bool, partial: Partial) -> None:
    """The bytes so far, their hash to go on with, and their head."""
    written(partial, BODY)
    partial.save(a_note(complete=complete))
    assert partial.has_note()
    found = partial.resume(URL, head_bytes=64)
    assert found is not None
    assert found.note == a_note(complete=complete)
    assert found.head == BODY[:64]
    found.hasher.update(b"more")
    assert found.hasher.hexdigest() == hashlib.sha256(BODY + b"more").hexdigest()


def test_bytes_beyond_the_note_are_dropped(partial: Partial) -> None:
    """What came after the last note is fetched again, and nothing of it stays."""
    written(partial, BODY + b"unvouched")
    partial.save(a_note())
    found = partial.resume(URL, head_bytes=64)
    assert found is not None
    written(partial, b"!", at=found.note.size)
    assert partial.path.read_bytes() == BODY + b"!"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        BODY[:-1],
        BODY[1:],
        b"\0" * len(BODY),
        BODY[:2560] + b"\xff" + BODY[2561:],
        BODY[:-1] + b"\0" * 100,
    ],
    ids=["empty", "truncated", "shifted", "zeros", "one byte", "lost tail"],
)
def test_changed_bytes_are_not_continued(body: bytes, partial: Partial) -> None:
    """A file that lost or changed bytes, as a power cut may do, is found out."""
    written(partial, BODY)
    partial.save(a_note())
    partial.path.write_bytes(body)
    assert partial.resume(URL, head_bytes=64) is None


def test_another_url_s_bytes_are_not_continued(partial: Partial) -> None:
    """Bytes of one URL are never spliced with another's."""
    written(partial, BODY)
    partial.save(a_note())
    assert partial.resume("https://cdn.example/b.mp4", head_bytes=64) is None


def test_without_file_or_note_nothing_is_continued(partial: Partial) -> None:
    """A file that is not there, or that nothing is known of, is no error."""
    assert partial.resume(URL, head_bytes=64) is None
    assert not partial.has_note()
    written(partial, BODY)
    assert partial.resume(URL, head_bytes=64) is None
    partial.save(a_note())
    partial.path.unlink()
    assert partial.resume(URL, head_bytes=64) is None


def test_starting_over_drops_the_note(partial: Partial) -> None:
    """New bytes are never taken for those that an old note describes."""
    written(partial, BODY)
    partial.save(a_note())
    written(partial, b"new")
    assert not partial.has_note()
    assert partial.path.read_bytes() == b"new"


def test_a_note_is_replaced_whole(partial: Partial) -> None:
    """The latest note counts, and no other file is left."""
    written(partial, BODY)
    partial.save(a_note(BODY[:10]))
    partial.save(a_note())
    found = partial.resume(URL, head_bytes=64)
    assert found is not None
    assert found.note.size == len(BODY)
    assert len(list(partial.path.parent.iterdir())) == 2


def test_forgetting_and_discarding(partial: Partial) -> None:
    """The note can go alone, or with the file; either may be gone already."""
    written(partial, BODY)
    partial.save(a_note())
    partial.forget()
    assert (partial.has_note(), partial.path.exists()) == (False, True)
    partial.save(a_note())
    partial.discard()
    assert list(partial.path.parent.iterdir()) == []
    partial.forget()
    partial.discard()


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to], ids=["symbolic", "hard"])
def test_starting_over_writes_through_no_link(
    link: Callable[[Path, Path], None], partial: Partial, tmp_path: Path
) -> None:
    """A second name of a file in the tree, or a way out of it, is replaced and not written into."""
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    link(partial.path, other)
    written(partial, b"new")
    assert (partial.path.read_bytes(), other.read_bytes()) == (b"new", b"precious")
    assert not partial.path.is_symlink()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="nothing to refuse links with")
def test_going_on_follows_no_link(partial: Partial, tmp_path: Path) -> None:
    """A link in place of a partial file is not continued."""
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    partial.path.symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        partial.open(4)
    assert other.read_bytes() == b"precious"


@SOME
@given(body=st.binary(max_size=200), vouched=st.integers(0, 200), now=st.binary(max_size=200))
def test_only_vouched_bytes_are_ever_continued(
    make_partial: Callable[[], Partial], body: bytes, vouched: int, now: bytes
) -> None:
    """Whatever the file holds now, it is continued only where it begins as the note says."""
    partial = make_partial()
    partial.save(a_note(body[:vouched]))
    partial.path.write_bytes(now)
    found = partial.resume(URL, head_bytes=64)
    assert (found is not None) == now.startswith(body[:vouched])


@SOME
@given(data=st.data())
def test_a_damaged_note_is_no_note(
    make_partial: Callable[[], Partial], data: st.DataObject
) -> None:
    """Whatever became of the note, nothing is raised, and nothing unvouched is continued."""
    note = bytearray(msgspec.json.encode(a_note()))
    position = data.draw(st.integers(0, len(note) - 1))
    end = data.draw(st.sampled_from((position, position + 1, len(note))))
    note[position:end] = data.draw(st.binary(max_size=4))
    partial = make_partial()
    partial.path.write_bytes(BODY)
    partial.path.with_name("file.json").write_bytes(note)
    found = partial.resume(URL, head_bytes=64)
    if found is not None:
        assert found.note.url == URL
        assert 0 <= found.note.size <= len(BODY)
        assert found.note.sha256 == hashlib.sha256(BODY[: found.note.size]).hexdigest()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 200,
        b"{}",
        b"null",
        b"[" * 100_000,
        msgspec.json.encode(a_note()).replace(b"video/mp4", b"video/\xff"),
        msgspec.json.encode(a_note()).replace(b'"size":5120', b'"size":-1'),
        msgspec.json.encode(a_note()).replace(b'"size":5120', b'"size":1e30'),
        msgspec.json.encode(a_note()).replace(b'"size":5120', b'"size":9120'),
        msgspec.json.encode(a_note()).replace(b'"size":5120', b'"size":' + b"9" * 30),
        msgspec.json.encode(a_note())[:-1],
    ],
    ids=lambda data: ascii(data[-40:]),
)
def test_a_note_that_is_none(data: bytes, partial: Partial) -> None:
    """A note that is torn, rubbish, or vouches for more than there is starts the file over."""
    written(partial, BODY)
    partial.save(a_note())
    partial.path.with_name(f"{partial.path.name}.json").write_bytes(data)
    assert partial.resume(URL, head_bytes=64) is None
