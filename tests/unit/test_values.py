"""How a value is read: each form that a person would try, and what is refused with what words."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror import values

KIND = values.OneOf("auto", "always", "never")
KINDS = values.SomeOf("video", "image", "audio")
FEW = values.whole(1, 64)
LARGE = int("f" * 5000, 16)
"""A number of more digits than Python is willing to write."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-01-31", "2026-01-31"),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (dt.datetime(2026, 1, 31, 18, 0, tzinfo=dt.UTC), "2026-01-31T18:00:00+00:00"),
        ("2026-01-31T18:00Z", "2026-01-31T18:00Z"),
    ],
)
def test_a_day_or_a_time(value: object, text: str) -> None:
    """As TOML has it, too; a day ends where the next one begins, a time at once."""
    assert values.day_or_time(value) == text
    length_ms = values.end_ms(text) - values.first_ms(text)
    assert length_ms == (86_400_000 if "T" not in text else 0)


@pytest.mark.parametrize("value", ["", "soon", "2026-13-01", "31.1.2026", 5, None, "2026-02-30"])
def test_what_is_no_day(value: object) -> None:
    """The error shows how one is written."""
    with pytest.raises(ValueError, match="2026-01-31T18:00"):
        values.day_or_time(value)


@pytest.mark.parametrize(
    ("read", "written", "value"),
    [
        (values.text, " holiday ", "holiday"),
        (values.path, "a/b", Path("a/b")),
        (values.path, Path("/a"), Path("/a")),
        (values.path, "~", Path.home()),
        (values.texts, "a@x, b@x,,a@x ", ("a@x", "b@x")),
        (values.texts, ["a@x", " b@x", "", "a@x"], ("a@x", "b@x")),
        (values.texts, [], ()),
        (KINDS, ["video", "audio"], ("video", "audio")),
        (KINDS, "image", ("image",)),
        (KIND, "never", "never"),
        (FEW, "3", 3),
        (FEW, 64, 64),
        (values.seconds, 0.5, 0.5),
        (values.seconds, "7", 7.0),
        (values.share_or_count, 0, "0"),
        (values.share_or_count, " 10% ", "10%"),
        (values.switch, True, True),
        (values.switch, "on", True),
        (values.switch, "OFF", False),
        (values.switch, "", False),
        (values.size_or_none, 0, None),
        (values.size_or_none, 5000, 5000),
        (values.url, "http://127.0.0.1:8080/v1/kling/", "http://127.0.0.1:8080/v1/kling"),
        (values.url, "https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_what_a_person_writes_is_understood(
    read: Callable[[object], Any], written: object, value: object
) -> None:
    """As text, as the environment and the flags have it, and as TOML has it."""
    assert read(written) == value


@pytest.mark.parametrize(
    ("read", "written", "said"),
    [
        (values.text, 5, "text"),
        (values.text, " ", "not empty"),
        (values.path, "~nobody-of-this-name/x", "no such home folder"),
        (values.path, "a\0b", "NUL"),
        (values.url, "useapi.net", "https://"),
        (values.url, "ftp://useapi.net", "https://"),
        (values.url, "https://", "https://"),
        (values.url, "https:///v1", "https://"),
        (values.url, "https://[::1", "https://"),
        (values.url, "https://useapi.net:port", "https://"),
        (values.url, "https://useapi.net:99999999", "https://"),
        (values.url, "https://useapi.net:0", "https://"),
        (values.url, "https://use api.net", "https://"),
        (values.texts, 5, "list of texts"),
        (values.texts, [1], "list of texts"),
        (values.texts, {"a": 1}, "list of texts"),
        (KINDS, ["gif"], "video, image or audio"),
        (KINDS, "Video", "video, image or audio"),
        (KIND, "yes", "auto, always or never"),
        (KIND, [], "auto, always or never"),
        (values.switch, "maybe", "true or false"),
        (values.switch, 1, "true or false"),
        (FEW, 0, "whole number from 1 to 64"),
        (FEW, 65, "from 1 to 64"),
        (FEW, 2.5, "whole number"),
        (FEW, True, "whole number"),
        (FEW, "many", "whole number"),
        (FEW, [4], "whole number"),
        (FEW, float("inf"), "whole number"),
        (FEW, LARGE, "whole number"),
        (values.seconds, 0, "above 0"),
        (values.seconds, -1, "above 0"),
        (values.seconds, float("nan"), "above 0"),
        (values.seconds, float("inf"), "above 0"),
        (values.seconds, True, "above 0"),
        (values.seconds, "5 min", "above 0"),
        (values.seconds, LARGE, "above 0"),
        (values.share_or_count, -1, "10%"),
        (values.share_or_count, 10.5, "10%"),
        (values.share_or_count, "%", "10%"),
        (values.share_or_count, "\u0665", "10%"),
        (values.share_or_count, True, "10%"),
        (values.share_or_count, LARGE, "10%"),
        (values.size, LARGE, "500K"),
    ],
    ids=lambda value: "thousands of digits" if value is LARGE else None,
)
def test_what_cannot_be_meant_is_refused(
    read: Callable[[object], Any], written: object, said: str
) -> None:
    """The error says what was expected."""
    with pytest.raises(ValueError, match="expected ") as caught:
        read(written)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        (0, 0),
        ("0", 0),
        ("0M", 0),
        (1500, 1500),
        ("1500", 1500),
        ("500K", 500_000),
        ("500k", 500_000),
        ("5M", 5_000_000),
        ("5MB", 5_000_000),
        (" 5 mb ", 5_000_000),
        ("1.5G", 1_500_000_000),
        ("2T", 2_000_000_000_000),
        ("7B", 7),
        (1.5, 1),
    ],
)
def test_sizes(text: object, size_bytes: int) -> None:
    """Bytes, or a number with a decimal unit."""
    assert values.size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M",
        "B",
        "-1",
        "-1M",
        "5X",
        "5 M 3",
        "nan",
        "inf",
        "1e400",
        "1,5G",
        True,
        None,
        [],
        10**18,
    ],
)
def test_what_is_no_size(text: object) -> None:
    """What is no size is refused with examples of some."""
    with pytest.raises(ValueError, match=r"such as 500K, 5M or 1\.5G"):
        values.size(text)


@pytest.mark.parametrize(
    ("value", "toml"),
    [
        (None, '""'),
        (True, "true"),
        (300.0, "300"),
        (0.5, "0.5"),
        (("a", "四"), '["a", "四"]'),
        (Path("/a b"), '"/a b"'),
        ('"\x7f\\', '"\\"\\u007f\\\\"'),
    ],
)
def test_a_value_is_written_as_toml(value: object, toml: str) -> None:
    """What TOML reads back as the same."""
    assert values.to_toml(value) == toml
