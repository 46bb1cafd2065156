"""The values that travel through a run: their keys, and their names in JSON."""

import json

import msgspec
import pytest
from msgspec import Raw

from mirror.models import Entry, FailedFile, Failure, FileFacts, Role, StoredFile, key_of

FACTS = FileFacts(
    size=7,
    sha256="a" * 64,
    etag='"1"',
    last_modified=None,
    content_type="video/mp4",
    url="https://cdn.example/a",
)
STORED = StoredFile.of(FACTS, path="video/a-1.mp4", fetched="2026-01-01T00:00:00Z")
ENTRY = Entry(
    id="9007199254740993",
    update_time_ms=1754630473303,
    account=None,
    content_type="video",
    name="a.mp4",
    create_time_ms=None,
    state="current",
    gone_since=None,
    resource=STORED,
    cover=None,
    asset=Raw(b'{"unknown":[1]}'),
)


def test_all_that_has_a_key_has_the_same_one() -> None:
    """An entry and a failure of one asset are joined by it."""
    failure = Failure(ENTRY.id, ENTRY.update_time_ms, None, "cover", "why", 1, "then", "now")
    keys = {ENTRY.key, failure.key, key_of(ENTRY.id, ENTRY.update_time_ms)}
    assert keys == {"9007199254740993@1754630473303"}


def test_facts_become_a_stored_file() -> None:
    """Nothing of what is known of the bytes is left behind."""
    assert {name: getattr(STORED, name) for name in FACTS.__struct_fields__} == {
        name: getattr(FACTS, name) for name in FACTS.__struct_fields__
    }
    assert FileFacts.of(STORED) == FACTS


@pytest.mark.parametrize(("role", "has"), [("resource", [True, False]), ("cover", [False, True])])
def test_files_are_found_by_their_role(role: Role, has: list[bool]) -> None:
    """Each where it is; what an entry has no file for is None."""
    resource, cover = (STORED if there else None for there in has)
    entry = msgspec.structs.replace(ENTRY, resource=resource, cover=cover)
    assert entry.file(role) is STORED
    assert entry.files() == (STORED,)


def test_an_entry_has_the_contract_s_names() -> None:
    """In JSON, and the API's own object within it, byte for byte."""
    text = msgspec.json.encode(ENTRY)
    assert list(json.loads(text)) == [
        "id", "updateTime", "account", "contentType", "name", "createTime", "state", "gone_since",
        "resource", "cover", "asset",
    ]  # fmt: skip
    assert set(json.loads(text)["resource"]) == {
        "path", "size", "sha256", "etag", "last_modified", "content_type", "url", "fetched",
    }  # fmt: skip
    assert b'"asset":{"unknown":[1]}' in text
    assert msgspec.json.decode(text, type=Entry) == ENTRY


def test_a_failed_file_has_the_contract_s_names() -> None:
    """One line of the summary's `failures`."""
    line = msgspec.to_builtins(FailedFile(None, None, "resource", "why"))
    assert line == {"id": None, "updateTime": None, "role": "resource", "error": "why"}
