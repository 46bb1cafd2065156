"""The API's answers: what is understood, what is reported, and that nothing else ever happens."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mirror.jobs.commit import entry_of
from mirror.models import Asset, Entry
from mirror.net.decode import (
    MalformedAnswerError,
    Page,
    decode_accounts,
    decode_item,
    decode_page,
    error_text,
    owner_of,
)
from tests.lib.example import EXAMPLE

SOME = settings(max_examples=300, deadline=None, database=None)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(
    ("id", "name", "contentType", "resource", "cover", "createTime", "updateTime", "x")
)
plausible = st.sampled_from(
    (
        "1",
        1,
        2**70,
        "1754630473303",
        1754630473303,
        1754630473303.0,
        {"resource": "https://cdn.example/a?b"},
        {"resource": ""},
        {"resource": None},
        {},
        "\ud800",
    )
)
items = st.dictionaries(fields, plausible | json_values, max_size=8)


def page_of(*listed: object) -> bytes:
    """A page that lists these."""
    return json.dumps({"uploadAssetsList": listed}).encode()


def item_json(**more: object) -> dict[str, object]:
    """An item with an id, and what is named."""
    return {"id": "1", **more}


def decoded(body: bytes) -> Page:
    """The page, as the first one of one account."""
    return decode_page(body, page=1, account="me@example.com")


def recorded(asset: Asset) -> Entry:
    """The asset as the manifest keeps it, written and read again."""
    entry = entry_of(asset, None, {})
    return msgspec.json.decode(msgspec.json.encode(entry), type=Entry)


def test_the_documented_answer() -> None:
    """The page's own example: one id and one name, two assets."""
    page = decoded(EXAMPLE.encode())
    assert page.unreadable == []
    video, image = page.assets
    assert (video.id, video.name, video.content_type) == ("1234567890", "abcdef12345.mp4", "video")
    assert (video.create_time_ms, video.update_time_ms) == (1754630473303, 1754630473303)
    assert video.urls == {
        "resource": "https://v15-kling.klingai.com/….mp4",
        "cover": "https://v15-kling.klingai.com/…",
    }
    assert image.urls == {"resource": "https://v15-kling.klingai.com/…"}
    assert (video.key, image.key) == ("1234567890@1754630473303", "1234567890@1754627757354")
    assert video.account == "me@example.com"
    raws = [json.loads(bytes(asset.raw)) for asset in page.assets]
    assert raws == json.loads(EXAMPLE)["uploadAssetsList"]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' {"uploadAssetsList": []} ',
        b'{"uploadAssetsList": null}',
        b'{"uploadAssetsList": [], "total": 0}',
        b'\xef\xbb\xbf{"uploadAssetsList": []}',
    ],
)
def test_an_empty_page(body: bytes) -> None:
    """Every field is optional: no list is an empty list."""
    assert decoded(body).is_empty


@pytest.mark.parametrize(
    "body",
    [
        b'{"uploadAssetsList": [], "error": "busy"}',
        b'{"uploadAssetsList": null, "error": {"code": 5}}',
        b"",
        b" ",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"NaN",
        b"<!DOCTYPE html><html>502 Bad Gateway</html>",
        b'{"error": "Unauthorized", "code": 401}',
        b'{"message": "hello"}',
        b'{"uploadAssetsList": {}}',
        b'{"uploadAssetsList": "none"}',
        b'{"uploadAssetsList": NaN}',
        b'{"uploadAssetsList": []',
        b'{"uploadAssetsList": [{"id": "1", "x": "\\u12"}]}',
        b'{"uploadAssetsList": [{"id": "1", "x": "\\q"}]}',
        b'{"uploadAssetsList": [{"id": "1", "x": "tab\there"}]}',
        b'{"uploadAssetsList": [{"id": "1", "x": tru}]}',
        b'{"uploadAssetsList": [{"id": "1", "x": 01}]}',
        b'{"uploadAssetsList": []} {}',
        b'{"data": {"uploadAssetsList": []}}',
        b'{"total": 1e400}',
        b'{"total": "\xff"}',
        b'{"\xff": 1}',
        b'{"total": %s}' % (b"9" * 5000),
        b'{"uploadAssetsList": null, "total": 1e400}',
        b"\x00\x01\x02",
        b"\xff\xfe\xfd",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: ascii(body[:40]),
)
def test_what_is_no_listing_is_refused(body: bytes) -> None:
    """An answer without a listing never counts as an empty one; the message shows its beginning."""
    with pytest.raises(MalformedAnswerError) as caught:
        decoded(body)
    assert 0 < len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        (b"NaN", None),
        (b"-Infinity", None),
        (b'[1, Infinity, "NaN"]', [1, None, "NaN"]),
        (b"[" * 100_000 + b"]" * 100_000, ...),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ...),
        (b"[" * 500 + b"]" * 500, ...),
        (b"[" * 62 + b"]" * 62, json.loads("[" * 62 + "]" * 62)),
        (b'"\\ud800"', "\ufffd"),
        (b'"\xff"', "\ufffd"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_json_forbids_in_a_field_costs_that_field_alone(odd: bytes, kept: object) -> None:
    """The asset is read, can be recorded, and can be read from the manifest by any program."""
    page = decoded(b'{"uploadAssetsList": [{"id": "1", "x": %s, "name": "a"}, {"id": "2"}]}' % odd)
    assert [(asset.id, asset.name) for asset in page.assets] == [("1", "a"), ("2", None)]
    entry = recorded(page.assets[0])
    found = json.loads(bytes(entry.asset))
    assert found.keys() == {"id", "x", "name"}
    if kept is not ...:
        assert found["x"] == kept


def test_odd_fields_in_one_item_do_not_hide_the_others() -> None:
    """An id that is NaN, and an item that is nothing but brackets, are reported in their place."""
    deep = b"[" * 100_000 + b"]" * 100_000
    page = decoded(b'{"uploadAssetsList": [{"id": NaN}, {"id": "1"}, %s]}' % deep)
    assert [asset.id for asset in page.assets] == ["1"]
    assert [item.position for item in page.unreadable] == [1, 3]


def test_a_web_page_is_called_one() -> None:
    """A proxy's HTML is named as such, on one line."""
    with pytest.raises(MalformedAnswerError, match=r"^a web page: <html> <body>$"):
        decoded(b"<html>\r\n\t<body>")


@pytest.mark.parametrize(
    ("item", "found", "said"),
    [
        (None, None, "null"),
        (7, None, "int"),
        ("text", None, "str"),
        ([], None, "array"),
        ({}, None, "`id`"),
        ({"id": None}, None, "$.id"),
        ({"id": ""}, "", "$.id"),
        ({"id": 1.5}, None, "$.id"),
        ({"id": [1]}, None, "$.id"),
        ({"id": "8", "updateTime": "soon"}, "8", "$.updateTime"),
        ({"id": "8", "updateTime": 1.5}, "8", "$.updateTime"),
        ({"id": "8", "updateTime": True}, "8", "$.updateTime"),
        ({"id": "8", "updateTime": 10**300}, "8", "$.updateTime"),
        ({"id": "8", "updateTime": -(10**300)}, "8", "$.updateTime"),
        ({"id": "8", "createTime": 10**30}, "8", "$.createTime"),
        ({"id": 8, "name": 5}, "8", "$.name"),
        ({"id": "8", "contentType": ["video"]}, "8", "$.contentType"),
        ({"id": "8", "resource": "https://cdn.example/a"}, "8", "$.resource"),
        ({"id": "8", "resource": {"resource": 7}}, "8", "$.resource.resource"),
        ({"id": "8", "cover": []}, "8", "$.cover"),
        ({"id": "8" * 5000, "name": 5}, "8" * 100, "$.name"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_bad_item_does_not_hide_the_others(item: object, found: str | None, said: str) -> None:
    """An item that cannot be understood is reported with its place, its id and its bad field."""
    page = decode_page(page_of(item_json(), item, item_json(id="2")), page=3, account=None)
    assert [asset.id for asset in page.assets] == ["1", "2"]
    (trouble,) = page.unreadable
    assert (trouble.page, trouble.position, trouble.id) == (3, 2, found)
    assert said in trouble.error
    assert json.loads(trouble.raw) == item
    assert not page.is_empty


@pytest.mark.parametrize(
    ("item", "asset_id", "update_time_ms", "create_time_ms"),
    [
        ('{"id": "9007199254740993"}', "9007199254740993", 0, None),
        ('{"id": 9007199254740993}', "9007199254740993", 0, None),
        ('{"id": 123456789012345678901234567890}', "123456789012345678901234567890", 0, None),
        ('{"id": "007"}', "007", 0, None),
        ('{"id": "1", "updateTime": "1754630473303"}', "1", 1754630473303, None),
        ('{"id": "1", "updateTime": 1754630473303.0}', "1", 1754630473303, None),
        ('{"id": "1", "createTime": 5}', "1", 5, 5),
        ('{"id": "1", "createTime": 5, "updateTime": 0}', "1", 0, 5),
        ('{"id": "1", "createTime": 5, "updateTime": null}', "1", 5, 5),
        ('{"id": "1", "createTime": "5", "updateTime": 7}', "1", 7, 5),
        ('{"id": "1", "updateTime": -7}', "1", -7, None),
        ('{"id": "a\\ud800b"}', "a\ufffdb", 0, None),
        ('{"id": "\\ud83c\\udfac"}', "\U0001f3ac", 0, None),
    ],
)
def test_ids_are_text_and_times_are_numbers(
    item: str, asset_id: str, update_time_ms: int, create_time_ms: int | None
) -> None:
    """No digit of an id is lost, and a number as text is understood all the same."""
    asset = decode_item(Raw(item), account=None)
    assert (asset.id, asset.update_time_ms) == (asset_id, update_time_ms)
    assert asset.create_time_ms == create_time_ms


URL = {"resource": "https://cdn.example/a?b"}


@pytest.mark.parametrize("odd", ["soon", 1.5, True, [], {}, 10**30])
@pytest.mark.parametrize("name", ["createTime", "name", "userId"])
def test_an_odd_field_that_nobody_needs_keeps_no_asset_out(name: str, odd: object) -> None:
    """With a URL and an id, the asset is read; the field is recorded as it came."""
    (asset,) = decoded(page_of({"id": 8, "updateTime": "7", "resource": URL, name: odd})).assets
    assert (asset.key, asset.urls) == ("8@7", URL)
    known = {"createTime": asset.create_time_ms, "name": asset.name, "userId": asset.owner}
    assert known.pop(name) in (None, odd)
    assert {*known.values()} == {None}
    assert json.loads(bytes(asset.raw))[name] == odd


@pytest.mark.parametrize(
    ("fields", "is_dated", "is_bare"),
    [
        ({}, False, True),
        ({"updateTime": None}, False, True),
        ({"updateTime": 0}, False, True),
        ({"name": "a.mp4", "contentType": "video", "resource": {"resource": ""}}, False, True),
        ({"resource": URL}, False, False),
        ({"createTime": 5}, False, False),
        ({"createTime": 5, "resource": URL}, False, False),
        ({"updateTime": 5}, True, False),
        ({"updateTime": "5", "resource": URL}, True, False),
    ],
)
def test_what_an_item_says_of_its_version(
    *, fields: dict[str, Any], is_dated: bool, is_bare: bool
) -> None:
    """Without `updateTime` it is not dated; without any time and URL it says nothing at all."""
    (asset,) = decoded(page_of(item_json(**fields))).assets
    assert (asset.is_dated, asset.is_bare) == (is_dated, is_bare)


@pytest.mark.parametrize(
    ("owner", "as_text"),
    [(12345, "12345"), ("12345", "12345"), (None, None), (2**70, str(2**70))],
)
def test_who_owns_an_asset(owner: int | str | None, as_text: str | None) -> None:
    """`userId`, as number or as text; it is read off the record as well."""
    (asset,) = decoded(page_of(item_json(userId=owner))).assets
    assert asset.owner == owner
    assert owner_of(recorded(asset).asset) == as_text


@pytest.mark.parametrize(
    ("files", "urls"),
    [
        ({}, {}),
        ({"resource": None, "cover": None}, {}),
        ({"resource": {}, "cover": {"resource": None}}, {}),
        ({"resource": {"resource": ""}, "cover": {"resource": ""}}, {}),
        ({"resource": {"resource": "u"}}, {"resource": "u"}),
        ({"cover": {"resource": "u", "height": 1}}, {"cover": "u"}),
    ],
)
def test_a_file_without_url_is_no_file(files: dict[str, Any], urls: dict[str, str]) -> None:
    """An empty URL, as images have for their cover, is left out."""
    (asset,) = decoded(page_of(item_json(**files))).assets
    assert asset.urls == urls


def test_a_lone_surrogate_costs_one_character_only() -> None:
    """JSON may hold half a character; it is replaced, and the rest of the page is as it was."""
    page = decoded(
        page_of(item_json(name="a\ud800b.mp4"), item_json(id="2", x="\udfff", name="ok"))
    )
    assert [asset.name for asset in page.assets] == ["a\ufffdb.mp4", "ok"]
    assert json.loads(bytes(recorded(page.assets[1]).asset))["x"] == "\ufffd"


@pytest.mark.parametrize(
    "more",
    [
        b'"x": 1e400',
        b'"x": -1e400',
        b'"x": %s' % (b"9" * 5000),
        b'"x": "\xff"',
        b'"x": {"\xff": 1}',
        b'"x": "\\ud800"',
        b'"\\ud800": 1',
        b'"x": %s' % (b"[" * 300 + b"]" * 300),
        b'"x": %s' % (b"[" * 600 + b"]" * 600),
        b'"x": %s' % (b"[" * 900 + b"]" * 900),
        b'"x": %s' % (b'{"a":' * 900 + b"1" + b"}" * 900),
        b'"x": 1, "x": 2',
        b'"x": "\\ud83c"',
        b'"x": "\\ud83c\\u0041"',
        b'"x": "https:\\/\\/a\\/b?c"',
        b'"updateTime": 99999999999999999999',
    ],
    ids=lambda more: ascii(more[:30]),
)
def test_what_is_understood_can_be_recorded(more: bytes) -> None:
    """An asset that the page gave can be written to the manifest: else it is called unreadable."""
    page = decoded(b'{"uploadAssetsList": [{"id": "1", %s}, {"id": "2"}]}' % more)
    assert len(page.assets) + len(page.unreadable) == 2
    assert page.assets[-1].id == "2"
    for asset in page.assets:
        assert recorded(asset).key == asset.key


@SOME
@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_a_page_or_refused(body: bytes) -> None:
    """Whatever arrives, nothing but a page or a `MalformedAnswerError` comes of it."""
    try:
        page = decoded(body)
    except MalformedAnswerError as error:
        assert str(error)  # noqa: PT017 - both ways are right
    else:
        assert isinstance(page, Page)


@SOME
@given(listed=st.lists(items | json_values, max_size=5))
def test_any_listing_is_read_item_by_item(listed: list[object]) -> None:
    """Every item is either an asset that can be recorded, or reported; none is lost or made up."""
    try:
        page = decoded(page_of(*listed))
    except MalformedAnswerError:
        assert re.search(rb"NaN|Infinity", page_of(*listed))  # no JSON by the standard
        return
    assert len(page.assets) + len(page.unreadable) == len(listed)
    for asset in page.assets:
        assert recorded(asset).key == asset.key


@SOME
@given(data=st.data())
def test_a_damaged_page_is_a_page_or_refused(data: st.DataObject) -> None:
    """The documented answer, cut or with a byte changed, is never more than it was."""
    body = bytearray(EXAMPLE.encode())
    position = data.draw(st.integers(0, len(body) - 1))
    if data.draw(st.booleans()):
        del body[position:]
    else:
        body[position] = data.draw(st.integers(0, 255))
    try:
        page = decoded(bytes(body))
    except MalformedAnswerError:
        return
    assert len(page.assets) + len(page.unreadable) in (0, 2)
    for asset in page.assets:
        assert recorded(asset).key == asset.key


@pytest.mark.parametrize("depth", [100, 300, 490, 500, 900, 940, 960, 980, 2000])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
def test_nesting_of_any_depth_is_survived(depth: int, start: bytes) -> None:
    """Deep nesting ends in a page or in a refusal, in every decoder."""
    deep = b"[" * depth + b"]" * depth
    for body in (
        b'{"uploadAssetsList": [{"id": "1", "x": %s}]}' % deep,
        b'{"uploadAssetsList": [{"id": 1.5, "x": %s}]}' % deep,
        b'{"uploadAssetsList": [{"id": "1", "resource": %s}]}' % deep,
        b'{"uploadAssetsList": null, "x": %s}' % deep,
        b'{"x": %s}' % deep,
        b'{"uploadAssetsList": %s}' % deep,
    ):
        try:
            page = decoded(start + body)
        except MalformedAnswerError:
            continue
        for asset in page.assets:
            assert recorded(asset).key == asset.key
    assert error_text(start + b'{"error": %s}' % deep)[0]
    assert error_text(start + b'{"error": {"message": %s}}' % deep)[0]
    with pytest.raises(MalformedAnswerError):
        decode_accounts(start + b'{"me": %s}' % deep)


@pytest.mark.parametrize(
    ("body", "emails"),
    [
        (b"{}", []),
        (b'{"me@example.com": {"email": "me@example.com", "maxJobs": 5}}', ["me@example.com"]),
        (b'{"b@x": {}, "a@x": {"session": {"userId": 1}}}', ["b@x", "a@x"]),
        (b'\xef\xbb\xbf{"me@x": {}}', ["me@x"]),
    ],
)
def test_accounts_are_the_object_s_keys(body: bytes, emails: list[str]) -> None:
    """The emails, in the order of the answer."""
    assert decode_accounts(body) == emails


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"<html>",
        b'{"error": "Unauthorized"}',
        b'{"me@x": null}',
        b"\xff",
        b"{",
    ],
)
def test_what_lists_no_accounts_is_refused(body: bytes) -> None:
    """An error is never taken for accounts."""
    with pytest.raises(MalformedAnswerError):
        decode_accounts(body)


@pytest.mark.parametrize(
    ("body", "text", "wish"),
    [
        ('{"error": "Unauthorized", "code": 401}', "Unauthorized", None),
        ('{"error": {"code": 1101, "message": "Busy"}}', "Busy", None),
        ('{"error": {"code": 1101}}', "1101", None),
        ('{"message": "Busy"}', "Busy", None),
        (
            '{"error": "Slow", "retryAfter": "2026-01-01T00:00:00Z"}',
            "Slow",
            "2026-01-01T00:00:00Z",
        ),
        ('{"error": {"message": "Slow", "retryAfter": 5}}', "Slow", 5),
        ('{"error": "' + "x" * 1000 + '"}', "x" * 300, None),
        ("<html>Bad gateway</html>", "a web page: <html>Bad gateway</html>", None),
        ("", "an empty body", None),
        ("{}", "this: {}", None),
        ('["x"]', 'this: ["x"]', None),
        ('"x"', 'this: "x"', None),
        ("y" * 200, f"this: {'y' * 80}…", None),
    ],
)
def test_what_an_error_s_body_says(body: str, text: str, wish: object) -> None:
    """The API's flat errors, the upstream's nested ones, and a proxy's page."""
    assert error_text(body.encode()) == (text, wish)


@SOME
@given(
    body=st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {"error": json_values}, optional={"retryAfter": json_values, "message": json_values}
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_error_s_body_has_some_text(body: bytes) -> None:
    """Whatever came, there is something short to show."""
    text, _ = error_text(body)
    assert 0 < len(text) <= 300
    text.encode()


@SOME
@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_accounts_or_refused(body: bytes) -> None:
    """Whatever arrives in place of accounts, it is read or refused."""
    try:
        emails = decode_accounts(body)
    except MalformedAnswerError:
        return
    assert all(isinstance(email, str) for email in emails)
