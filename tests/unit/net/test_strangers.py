"""Who answered in place of the service."""

import pytest

from mirror.net.strangers import page_title, stranger


@pytest.mark.parametrize(
    ("status", "headers", "named"),
    [
        (407, {}, "proxy"),
        (511, {}, "captive portal"),
        (403, {"cf-mitigated": "challenge"}, "bot check"),
        (202, {"x-amzn-waf-action": "challenge"}, "bot check"),
    ],
)
def test_strangers_give_themselves_away(status: int, headers: dict[str, str], named: str) -> None:
    """By statuses that are theirs alone, and by headers that they add."""
    assert named in (stranger(status, headers) or "")


@pytest.mark.parametrize("status", [200, 401, 403, 404, 429, 503, 596])
def test_the_service_is_no_stranger(status: int) -> None:
    """A refusal alone says nothing of who refused."""
    assert stranger(status, {"server": "nginx"}) is None


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (b"<html><head><title>Just a moment...</title>", '"Just a moment..."'),
        (b"<TITLE lang=en>\n  Caf&eacute;\n WLAN </TITLE>", '"Caf\u00e9 WLAN"'),
        ("<title>\u767b\u5f55</title>".encode(), '"\u767b\u5f55"'),
        (b"<title>\x1b[2J\xff</title>", '"\\x1b[2J\ufffd"'),
        (b"<title>" + b"long " * 500, f'"{("long " * 16)}"'),
        (b"<title></title>", None),
        (b"<title> </title>", None),
        (b'{"error": "no page"}', None),
        (b"", None),
    ],
    ids=ascii,
)
def test_a_page_is_known_by_its_title(body: bytes, title: str | None) -> None:
    """One line of it, and nothing that a terminal would obey."""
    assert page_title(body) == title
