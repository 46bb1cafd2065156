"""Detect answers that are not the service's: from a proxy, a login page, a bot check."""

import html
import re
from collections.abc import Mapping

from mirror.net.statuses import NETWORK_LOGIN, PROXY_LOGIN
from mirror.text import printable

_TITLE = re.compile(rb"<title[^>]*>([^<]{1,300})", re.IGNORECASE)
_MOST_CHARS = 80


def stranger(status: int, headers: Mapping[str, str]) -> str | None:
    """Who answered in place of the service, and what to do; None if there is no sign of it.

    Args:
        status: of the answer.
        headers: of the answer; their names are in lower case, or it ignores case itself.
    """
    if status == PROXY_LOGIN:
        return "a proxy wants a login: put user and password into HTTPS_PROXY or the like"
    if status == NETWORK_LOGIN:
        return "the network wants a login first (a captive portal)"
    if headers.get("cf-mitigated") == "challenge" or "x-amzn-waf-action" in headers:
        return "a bot check stands before the server: try from another network, or later"
    return None


def page_title(body: bytes) -> str | None:
    """The title of a web page, in quotes, or None where there is none."""
    found = _TITLE.search(body)
    if found is None:
        return None
    title = " ".join(html.unescape(found[1].decode(errors="replace")).split())
    return f'"{printable(title[:_MOST_CHARS])}"' if title else None
