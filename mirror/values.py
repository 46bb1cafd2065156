"""How a setting's value is read, from text or TOML, and written as TOML again.

A parser takes text, or what TOML has, and returns the value. It raises a ValueError that says what
was expected.
"""

import contextlib
import datetime as dt
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mirror.places import BucketUrl, Place

_VARIABLE = re.compile(r"\$\w|\$\{\w+\}|%\w+%")
"""A path that begins with it was written for a shell."""
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_WHOLE = 100
_DAY_LENGTH = len("2026-01-31")
_SWITCH = {"1": True, "true": True, "yes": True, "on": True}
_SWITCH |= {"0": False, "false": False, "no": False, "off": False, "": False}


def short(value: object) -> str:
    """A value as text; "" for a number of thousands of digits, which Python refuses to write."""
    try:
        return str(value).strip()
    except ValueError:
        return ""


def text(value: object) -> str:
    """Read a text that is not empty."""
    return _unicode(_not_empty(value))


def _not_empty(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a text that is not empty")
    return value.strip()


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("expected Unicode text") from None
    return text


def path(value: object) -> Path:
    """Read a path, of any bytes; `~` is a home folder."""
    name = _not_empty(os.fspath(value) if isinstance(value, os.PathLike) else value)
    if "\0" in name:
        raise ValueError("expected a path, which cannot hold a NUL character")
    if _VARIABLE.match(name):
        raise ValueError("expected a path; variables mean nothing here, but ~ is your home folder")
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise ValueError("expected a path; there is no such home folder") from None


def place(value: object) -> Place:
    """Read where a mirror is: a path, or the URL of a bucket."""
    if isinstance(value, BucketUrl):
        return value
    bucket = BucketUrl.parse(value.strip()) if isinstance(value, str) else None
    return bucket if bucket is not None else path(value)


def texts(value: object) -> tuple[str, ...]:
    """Read a list, or texts between commas."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise ValueError("expected a list of texts")
    return tuple(dict.fromkeys(_unicode(item.strip()) for item in items if item.strip()))


def switch(value: object) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _SWITCH:
        return _SWITCH[value.strip().lower()]
    raise ValueError("expected true or false")


class OneOf:
    """Read one of a few words.

    Attributes:
        choices: the words.
    """

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def __call__(self, value: object) -> Any:  # noqa: ANN401 - SomeOf reads several
        """Read it."""
        if value not in self.choices:
            raise self._error()
        return str(value)

    def _error(self) -> ValueError:
        *others, last = self.choices
        return ValueError(f"expected {', '.join(others)} or {last}")


class SomeOf(OneOf):
    """Read a list of a few words."""

    def __call__(self, value: object) -> tuple[str, ...]:
        """Read it."""
        words = texts(value)
        if not set(words) <= set(self.choices):
            raise self._error()
        return words


def whole(least: int, most: int) -> Callable[[object], int]:
    """Read a whole number within these bounds."""

    def parse(value: object) -> int:
        try:
            number = msgspec.convert(value, int, strict=False)
        except msgspec.ValidationError:
            number = least - 1
        if isinstance(value, bool) or not least <= number <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return number

    return parse


def seconds(value: object) -> float:
    """Read a number of seconds."""
    try:
        number = msgspec.convert(value, float, strict=False)
    except msgspec.ValidationError:
        number = 0.0
    if isinstance(value, bool) or not 0 < number < float("inf"):
        raise ValueError("expected a number of seconds above 0")
    return number


def size(value: object) -> int:
    """Read bytes, a number with a unit: `5M` is 5,000,000."""
    amount = short(value).lower().removesuffix("b").removesuffix("i")
    unit = amount[-1:] if amount[-1:] in "kmgt" else ""
    try:
        number = float(amount.removesuffix(unit)) * _UNITS[unit]
    except ValueError:
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < 10**18:
        raise ValueError("expected a size such as 500K, 5M or 1.5G")
    return int(number)


def size_or_none(value: object) -> int | None:
    """Read a size; 0 means none."""
    return size(value) or None


def share_or_count(value: object) -> str:
    """Read a number, or a share in percent."""
    amount = short(value)
    number = amount.removesuffix("%")
    if isinstance(value, bool) or not (number.isascii() and number.isdigit()):
        raise ValueError("expected a number such as 20, or a share such as 10%")
    if amount != number and int(number) > _WHOLE:
        raise ValueError("expected a share of at most 100%")
    return amount


def day_or_time(value: object) -> str:
    """Read a day, or a time; without a zone, it is one of this machine's."""
    text = value.isoformat() if isinstance(value, dt.date) else short(value)
    try:
        first_ms(text)
        end_ms(text)
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            "expected a day such as 2026-01-31, or a time such as 2026-01-31T18:00"
        ) from None
    return text


def first_ms(text: str) -> int:
    """The beginning of a day, or a time; epoch milliseconds."""
    return round(dt.datetime.fromisoformat(text).timestamp() * 1000)


def end_ms(text: str) -> int:
    """The end of a day, or a time; epoch milliseconds."""
    time = dt.datetime.fromisoformat(text)
    if len(text) <= _DAY_LENGTH:
        time += dt.timedelta(days=1)
    return round(time.timestamp() * 1000)


def url(value: object) -> str:
    """Read an http(s) URL; without a slash at its end."""
    address = text(value).rstrip("/")
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
        is_clean = address.isprintable() and not any(map(str.isspace, address))
        if parts.scheme in ("http", "https") and parts.hostname and is_clean and parts.port != 0:
            return address
    raise ValueError("expected a URL that begins with https:// or http://")


def to_toml(value: object) -> str:
    """Write a value as TOML, which is JSON but for one character."""
    import json  # noqa: PLC0415 - most commands write no settings

    if value is None:
        return '""'
    if isinstance(value, float):
        return f"{value:g}"
    plain = list(value) if isinstance(value, tuple) else value
    plain = str(plain) if isinstance(plain, Path | BucketUrl) else plain
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")
