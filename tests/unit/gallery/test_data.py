"""What the page knows: entries as rows, whatever the API said of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from mirror.gallery import data
from mirror.models import Entry
from tests.lib.small_mirror import Mirror, small_mirror


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """The small mirror, of the test's own."""
    return small_mirror(tmp_path / "mirror")


@pytest.mark.parametrize(
    "shown",
    [
        b"null",
        b'"text"',
        b'{"resource":[],"favored":[]}',
        b'{"resource":{"width":"wide","height":true,"duration":-1}}',
        b'{"resource":{"width":1e400,"duration":' + b"9" * 5000 + b"}}",
        b'{"x":"\\ud800","\\udfff":{}}',
        b'{"x":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"__proto__":"x","constructor":1,"x":"' + b"y" * 100_000 + b'"}',
    ],
    ids=["null", "text", "lists", "wrong types", "too large", "surrogates", "deep", "long"],
)
def test_whatever_the_api_said_can_be_shown(mirror: Mirror, shown: bytes) -> None:
    """A field of a wrong type is none; it breaks neither the page nor the other assets."""
    entry = mirror.add(50, "sunset.jpg", "image/50.jpg")
    entry = replace(entry, asset=Raw(shown))
    script = data.script([*mirror.manifest.entries.values(), entry], mirror="My mirror").decode()
    found = json.loads(script[script.index("{") : script.rindex(";")])
    at = {field: place for place, field in enumerate(found["fields"])}
    row = next(row for row in found["rows"] if row[0] == entry.id)
    assert [row[at[field]] for field in ("favored", "duration", "width", "height")] == [0, 0, 0, 0]
    assert len(json.dumps(found)) < 40_000


def rows_of(*entries: Entry) -> list[dict[str, Any]]:
    """The rows that the script holds, by their fields."""
    text = data.script(list(entries), mirror="My mirror").decode()
    found = json.loads(text[text.index("{") : text.rindex(";")])
    assert (found["format"], found["mirror"]) == (data.FORMAT, "My mirror")
    return [
        {**dict(zip(found["fields"], row, strict=True)), "more": dict(found["more"][row[-1]])}
        for row in found["rows"]
    ]


def test_a_row_says_what_the_manifest_says(mirror: Mirror) -> None:
    """Paths, sizes and hashes of both files; the video's shape; what else Kling said, as text."""
    entry = mirror.manifest.entries["9100000000000000001@1750000001000"]
    [row] = rows_of(entry)
    assert entry.resource is not None
    assert entry.cover is not None
    assert (row["path"], row["size"], row["sha"]) == (
        entry.resource.path,
        entry.resource.size,
        entry.resource.sha256,
    )
    assert (row["cover"], row["coverSha"]) == (entry.cover.path, entry.cover.sha256)
    assert row["total"] == entry.resource.size + entry.cover.size
    assert (row["kind"], row["duration"], row["width"], row["height"]) == ("video", 3000, 320, 180)
    assert row["more"] == {"userId": "31415926"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [("x/a.PNG", "image"), ("x/a.mov", "video"), ("x/a.opus", "audio"), ("x/a.bin", "")],
)
def test_a_file_is_shown_by_its_suffix(mirror: Mirror, path: str, kind: str) -> None:
    """What a browser cannot show is a link."""
    [row] = rows_of(mirror.add(60, "bell.wav", path))
    assert row["kind"] == kind


def test_numbers_that_javascript_would_round_are_text(mirror: Mirror) -> None:
    """So is no other number."""
    [row] = rows_of(mirror.add(61, "bell.wav", "audio/61.wav", updated=2**60 + 1))
    assert row["updated"] == str(2**60 + 1)
    assert row["created"] == 1750000061000


def test_the_order_is_by_id_and_time(mirror: Mirror) -> None:
    """Whatever order the manifest has, so that the same entries give the same bytes."""
    entries = list(mirror.manifest.entries.values())
    script = data.script(entries, mirror="m")
    assert data.script(entries[::-1], mirror="m") == script
    assert script.startswith(data.MARK)
