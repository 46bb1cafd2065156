"""What a file's name and time say of its asset, where no manifest says it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from mirror.jobs.naming import read_name
from mirror.models import Asset
from mirror.storage.layout import choose_paths, history_path

ID = "9100000000000000001"
TIME_MS = 1_750_000_001_000


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (f"video/clip-{ID}.mp4", (ID, TIME_MS, None, "video", "clip.mp4", "current", "resource")),
        (
            f"video/clip-{ID}.cover.jpg",
            (ID, TIME_MS, None, "video", "clip.jpg", "current", "cover"),
        ),
        (f"image/{ID}.png", (ID, TIME_MS, None, "image", f"{ID}.png", "current", "resource")),
        (f"other/x-{ID}.bin", (ID, TIME_MS, None, None, "x.bin", "current", "resource")),
        (
            f"me@example.com/audio/a-b-{ID}.wav",
            (ID, TIME_MS, "me@example.com", "audio", "a-b.wav", "current", "resource"),
        ),
        (
            f"image/x-{ID}-{TIME_MS}.png",
            (ID, TIME_MS, None, "image", "x.png", "current", "resource"),
        ),
        (
            f".kling-mirror/history/image/x-{ID}@1234.png",
            (ID, 1234, None, "image", "x.png", "superseded", "resource"),
        ),
        (
            f".kling-mirror/history/image/x-{ID}.cover@1234-2.jpg",
            (ID, 1234, None, "image", "x.jpg", "superseded", "cover"),
        ),
        (f".kling-mirror/history/image/x-{ID}@replaced-1234.png", None),
        (f".kling-mirror/history/image/x-{ID}.png", None),
        (f"x-{ID}.png", None),
        ("video/holiday.mp4", None),
        ("video/holiday-12345.mp4", None),
        ("notes.txt", None),
    ],
)
def test_names_are_read(path: str, named: tuple[object, ...] | None) -> None:
    """Id, time, account, type, name, state and role; None for what is none of our names."""
    found = read_name(path, TIME_MS)
    if found is None:
        assert named is None
        return
    entry, role = found
    assert named == (
        entry.id,
        entry.update_time_ms,
        entry.account,
        entry.content_type,
        entry.name,
        entry.state,
        role,
    )
    assert entry.files() == ()


@given(
    name=st.text(max_size=40) | st.none(),
    kind=st.sampled_from(("video", "image", "audio")),
    tails=st.integers(0, 3),
    is_old=st.booleans(),
)
def test_each_path_of_ours_is_read_back(
    *, name: str | None, kind: str, tails: int, is_old: bool
) -> None:
    """Whatever an asset is called, and whatever was in its way: its paths give its id and time."""
    asset = Asset(f"{ID}@{TIME_MS}", ID, TIME_MS, None, name, kind, {}, None, Raw(b"{}"))
    taken: list[str] = []

    def is_free(path: str) -> bool:
        taken.append(path)
        return ".cover." in path or len(taken) > tails

    paths = choose_paths(
        asset, {"resource": ".mp4", "cover": ".jpg"}, is_free=is_free, by_account=False
    )
    for role, path in paths.items():
        lies = history_path(path, str(TIME_MS)) if is_old else path
        found = read_name(lies, 0 if is_old else TIME_MS)
        assert found is not None
        assert (found[0].id, found[0].update_time_ms, found[1]) == (ID, TIME_MS, role)
