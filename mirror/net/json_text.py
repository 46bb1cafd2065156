"""JSON as text: cut and cleaned without parsing it, so that all else stays as it was written."""

import json
import re
from typing import SupportsBytes

from msgspec import Raw

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(?P<key>(?=\s*:))?', re.DOTALL)
_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_INVALID = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:NaN|Infinity)', re.DOTALL)
_PLAIN_URL = re.compile(rb'("https?://[^"?#]*)[?#][^"]*(?="(?!\s*:))', re.IGNORECASE)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_DEEPEST = 64
"""Levels of nesting that are kept: every reader of JSON gives up at some depth."""


def sanitized(body: bytes) -> bytes:
    """The same JSON without what readers of JSON stumble over.

    Bytes and escapes that are no Unicode become replacement characters; NaN, Infinity and what is
    nested too deeply become null. What is no JSON at all stays so.
    """
    text = _flattened(body.decode("utf-8-sig", errors="replace"))
    return _INVALID.sub(_sanitized_token, text).encode()


def stripped(raw: Raw | SupportsBytes) -> Raw:
    """The item as the manifest keeps it: every field, every http(s) URL cut at its query."""
    data = bytes(raw)
    if data.count(b"[") + data.count(b"{") > _DEEPEST:
        data = sanitized(data)
    if b"\\" not in data and data.isascii():  # nearly always: then a URL is as it reads
        return Raw(_PLAIN_URL.sub(rb"\1", data))
    return Raw(_STRING.sub(_stripped_string, data.decode(errors="replace")).encode())


def without_query(url: str) -> str:
    """The URL without what may be a secret: its query and its fragment."""
    return url.partition("?")[0].partition("#")[0]


def _flattened(text: str) -> str:
    parts: list[str] = []
    level, copied, cut_at = 0, 0, 0
    for found in _BRACKET.finditer(text):
        if found[0] in ("[", "{"):
            level += 1
            if level == _DEEPEST + 1:
                cut_at = found.start()
        elif found[0] in ("]", "}"):
            level -= 1
            if level == _DEEPEST:
                parts += (text[copied:cut_at], "null")
                copied = found.end()
    return "".join((*parts, text[copied:]))


def _sanitized_token(found: re.Match[str]) -> str:
    token = found[0]
    if token[0] != '"':
        return "null"
    text = _text_of(token) if "\\" in token else None
    return token if text is None else json.dumps(text, ensure_ascii=False)


def _stripped_string(found: re.Match[str]) -> str:
    token = found[0]
    if "\\" not in token and token[1:5].lower() != "http":
        return token
    if (text := _text_of(token)) is None:
        return token
    if found["key"] is None and text[:8].lower().startswith(("http://", "https://")):
        text = without_query(text)
    return json.dumps(text, ensure_ascii=False)


def _text_of(token: str) -> str | None:
    """The text of a JSON string, without halves of characters; None where it is no string."""
    try:
        return _LONE_SURROGATE.sub("\ufffd", json.loads(token, strict=False))
    except ValueError:
        return None
