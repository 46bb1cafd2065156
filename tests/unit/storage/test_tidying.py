"""Tidying the spool: beginnings go, whole files go only where the mirror has their bytes."""

import hashlib
from pathlib import Path

import pytest

from mirror.models import FileFacts, Role
from mirror.storage.partial import Note
from mirror.storage.root import Root
from tests.lib.mirrored import folder_of
from tests.lib.small_mirror import Mirror

STRANGER = b"bytes that nobody recorded"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A mirror of one image, `image/1.png`."""
    mirror = Mirror(tmp_path / "mirror")
    mirror.add(1, "embers.png", "image/1.png")
    (mirror.dest / ".kling-mirror" / "partial").mkdir()
    return mirror.root


def put(root: Root, key: str, body: bytes, *, noted: bool | None, role: Role = "resource") -> Path:
    """A partial file; `noted` says whether it is complete, None that nothing is known of it."""
    partial = root.spool.partial(key, role)
    partial.path.write_bytes(body)
    if noted is not None:
        digest = hashlib.sha256(body).hexdigest()
        facts = FileFacts(
            size=len(body),
            sha256=digest,
            etag=None,
            last_modified=None,
            content_type=None,
            url="http://cdn.example/a",
        )
        partial.save(Note.of(facts, complete=noted))
    return partial.path


def key_of(root: Root) -> str:
    """The key of the one asset."""
    (key,) = root.manifest.entries
    return key


@pytest.mark.parametrize(
    ("is_known", "noted", "stays"),
    [
        (True, False, False),
        (True, True, True),
        (True, None, False),
        (False, False, False),
        (False, True, True),
        (False, None, False),
    ],
)
def test_bytes_that_nobody_recorded(
    root: Root, *, is_known: bool, noted: bool | None, stays: bool
) -> None:
    """What is whole stays, whoever knows its asset; a beginning goes."""
    path = put(root, key_of(root) if is_known else "9@9", STRANGER, noted=noted)
    root.tidy_spool()
    assert path.exists() is stays
    assert Path(f"{path}.json").exists() is (stays and noted is not None)


@pytest.mark.parametrize("noted", [True, None])
@pytest.mark.parametrize("is_rotten", [True, False])
def test_bytes_that_are_recorded(root: Root, *, noted: bool | None, is_rotten: bool) -> None:
    """They go where the mirror has them; where its file has rotted, they are what is left."""
    recorded = folder_of(root) / "image/1.png"
    path = put(root, key_of(root), recorded.read_bytes(), noted=noted)
    if is_rotten:
        recorded.write_bytes(bytes(recorded.stat().st_size))
    root.tidy_spool()
    assert path.exists() is is_rotten


def test_an_empty_file_and_a_copy_go(root: Root) -> None:
    """The one has no bytes, the other's are where they were copied from."""
    path = put(root, "9@9", b"", noted=None)
    copy = root.spool.partial("9@9", "resource", is_copy=True)
    copy.path.write_bytes(STRANGER)
    root.tidy_spool()
    assert not path.exists()
    assert not copy.path.exists()
