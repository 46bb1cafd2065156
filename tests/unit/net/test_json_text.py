"""JSON that is cut and cleaned as text: what changes, and that nothing else does."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mirror.net.json_text import sanitized, stripped, without_query

SOME = settings(max_examples=300, deadline=None, database=None)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ('{"a": [1, 2.50, null, "x"]}', '{"a": [1, 2.50, null, "x"]}'),
        ('{"a": NaN, "b": [-Infinity, Infinity]}', '{"a": null, "b": [null, null]}'),
        ('{"NaN": "NaN, [ { Infinity"}', '{"NaN": "NaN, [ { Infinity"}'),
        ('"\\ud800"', '"\ufffd"'),
        ('"\\ud83c\\udfac"', '"\U0001f3ac"'),
        ('"a\\/b \\" [c"', '"a/b \\" [c"'),
        ('"\\u12"', '"\\u12"'),
        ("[" * 64 + "]" * 64, "[" * 64 + "]" * 64),
        ("[" * 65 + "]" * 65, "[" * 64 + "null" + "]" * 64),
        ("[" * 64 + '1, {"]": [2]}, 3' + "]" * 64, "[" * 64 + "1, null, 3" + "]" * 64),
        ("[" * 70, "[" * 70),
        ("]]]", "]]]"),
        ("no JSON", "no JSON"),
    ],
    ids=lambda text: text[:20],
)
def test_mending(text: str, becomes: str) -> None:
    """Only what readers stumble over changes; what is no JSON stays so."""
    assert sanitized(text.encode()) == becomes.encode()


@pytest.mark.parametrize(
    ("body", "becomes"),
    [(b'\xef\xbb\xbf{"a": 1}', '{"a": 1}'), (b'"\xff"', '"\ufffd"')],
)
def test_mending_what_is_no_text(body: bytes, becomes: str) -> None:
    """A mark at the beginning goes, bytes that are no Unicode are replaced."""
    assert sanitized(body) == becomes.encode()


@SOME
@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_mending_changes_no_sound_json(value: object) -> None:
    """Whatever it holds; and once more changes nothing."""
    once = sanitized(json.dumps(value).encode())
    assert json.loads(once) == value
    assert sanitized(once) == once


@pytest.mark.parametrize("depth", [10, 62, 63, 64, 1000, 100_000])
def test_what_is_kept_can_be_read_anywhere(depth: int) -> None:
    """Deep nesting is cut, so that no reader of the manifest gives up."""
    raw = Raw(b'{"id": "1", "x": ' + b'[{"y": ' * depth + b"1" + b"}]" * depth + b"}")
    assert json.loads(bytes(stripped(raw)))["id"] == "1"


def test_the_manifest_keeps_every_field() -> None:
    """Unknown fields, long numbers and all; only URLs lose their query and fragment."""
    kept = stripped(
        Raw(
            b'{"id": 123456789012345678901234567890, "new": {"deep": [1, 2.5, null, true]},'
            b' "url": "https://cdn.example/a.mp4?sign=secret#t=1",'
            b' "list": ["HTTP://cdn.example/b?secret", "https://cdn.example/c#secret"],'
            b' "text": "why? see https://cdn.example/d?e", "ftp": "ftp://cdn.example/f?g",'
            b' "extraInfo": "{}", "emoji": "\\ud83c\\udfac", "https://key?": ""}'
        )
    )
    assert b"secret" not in bytes(kept)
    assert json.loads(bytes(kept)) == {
        "id": 123456789012345678901234567890,
        "new": {"deep": [1, 2.5, None, True]},
        "url": "https://cdn.example/a.mp4",
        "list": ["HTTP://cdn.example/b", "https://cdn.example/c"],
        "text": "why? see https://cdn.example/d?e",
        "ftp": "ftp://cdn.example/f?g",
        "extraInfo": "{}",
        "emoji": "\U0001f3ac",
        "https://key?": "",
    }


urls = st.builds(
    "{}{}".format,
    st.sampled_from(
        ("https://", "http://", "HTTPS://", "https:/", "ftp://", "https://a/", " http://")
    ),
    st.text(alphabet='a?#/"\\\u00e9\n: ', max_size=12),
)
urls_anywhere = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | urls,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | urls, inner, max_size=4)
    ),
    max_leaves=12,
)


def _cut(value: object) -> object:
    """The value as it is to be kept."""
    if isinstance(value, dict):
        return {name: _cut(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_cut(inner) for inner in value]
    if isinstance(value, str) and re.match(r"https?://", value, re.IGNORECASE):
        return re.split(r"[?#]", value, maxsplit=1)[0]
    return value


@SOME
@given(value=urls_anywhere, ascii_only=st.booleans(), indent=st.sampled_from((None, 1)))
def test_stripping_cuts_urls_and_nothing_else(
    *, value: object, ascii_only: bool, indent: int | None
) -> None:
    """However the JSON is written, only values that are URLs change; once more changes nothing."""
    text = json.dumps({"x": value}, ensure_ascii=ascii_only, indent=indent)
    once = stripped(Raw(text))
    assert json.loads(bytes(once)) == {"x": _cut(value)}
    assert bytes(stripped(once)) == bytes(once)


@pytest.mark.parametrize(
    ("url", "cut"),
    [
        ("https://a/b?c", "https://a/b"),
        ("https://a/b#c?d", "https://a/b"),
        ("https://a/b?c#d", "https://a/b"),
        ("https://a/b", "https://a/b"),
        ("?c", ""),
        ("", ""),
    ],
)
def test_a_url_is_cut_at_its_query(url: str, cut: str) -> None:
    """Neither query nor fragment is left."""
    assert without_query(url) == cut
