"""What can be set: every setting's name, meaning, default, and how its text is read.

`SETTINGS` is the one list of them: the command line, the environment variables, the TOML keys,
`kling-mirror config` and config.example.toml are all read off it.
"""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from mirror.models import Scope

ENV_PREFIX = "KLING_MIRROR_"
DEFAULT_API_URL = "https://api.useapi.net/v1/kling"
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_MOST_JOBS = 64
_MOST_PAGE_SIZE = 1000
_MOST_LOGS = 1000
_WITHOUT_FLAG = frozenset(("token", "token_command", "ping_url", "on_finish"))
"""Secrets, or command lines that may hold one: arguments are visible to other users."""
_NEVER_SHOWN = frozenset(("token", "ping_url"))
CONTENT_TYPES = ("video", "image", "audio")
_PROGRESS = ("auto", "always", "never")


class Settings(Struct, frozen=True):
    """The effective settings of a run. Sizes are bytes, times are seconds.

    Attributes:
        sources: for each setting, where its value came from.
        config_path: the config file that was read, or None.
    """

    dest: Path | None
    api_url: str
    token: str | None
    token_file: Path | None
    token_command: str | None
    email: tuple[str, ...]
    all_accounts: bool
    content_type: tuple[str, ...]
    file_name: str | None
    no_covers: bool
    page_size: int
    jobs: int
    limit_rate: int | None
    max_attempts: int
    max_wait: float
    stall_timeout: float
    max_gone: str | None
    min_free: int
    max_file_size: int | None
    max_answer_size: int
    allowed_hosts: tuple[str, ...]
    allow_private_hosts: bool
    gallery: bool
    progress: Literal["auto", "always", "never"]
    log_file: Path | None
    log_format: Literal["text", "json"]
    log_size: int | None
    log_keep: int
    ping_url: str | None
    on_finish: str | None
    sources: Mapping[str, str]
    config_path: Path | None

    @property
    def scope(self) -> Scope:
        """What part of the library is to be mirrored."""
        return Scope(
            email=self.email,
            all_accounts=self.all_accounts,
            content_type=self.content_type,
            file_name=self.file_name,
            no_covers=self.no_covers,
        )


class Options(TypedDict, total=False):
    """What a Python caller may write for each setting that a run looks at; None is the default."""

    dest: str | os.PathLike[str] | None
    api_url: str | None
    token: str | None
    token_file: str | os.PathLike[str] | None
    token_command: str | None
    email: str | Sequence[str] | None
    all_accounts: bool | None
    content_type: str | Sequence[str] | None
    file_name: str | None
    no_covers: bool | None
    page_size: int | None
    jobs: int | None
    limit_rate: int | str | None
    max_attempts: int | None
    max_wait: float | None
    stall_timeout: float | None
    max_gone: int | str | None
    min_free: int | str | None
    max_file_size: int | str | None
    max_answer_size: int | str | None
    allowed_hosts: str | Sequence[str] | None
    allow_private_hosts: bool | None


class Setting(NamedTuple):
    """One setting, as every face of the program shows it.

    Attributes:
        name: the TOML key; the flag is `--` and the name with dashes.
        parse: text or TOML value → value; raises ValueError saying what was expected.
        default: the parsed default.
        example: a TOML value for config.example.toml.
        help: what it does, with its unit.
        group: the heading of `sync --help` that it stands under.
        metavar: the value's name in `--help`; "" for a switch.
        choices: the values that there are, where they can be counted.
    """

    name: str
    parse: Callable[[object], Any]
    default: object
    example: str
    help: str
    group: str
    metavar: str = ""
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str | None:
        """Its flag, or None where a secret would be seen in the list of processes."""
        return None if self.name in _WITHOUT_FLAG else f"--{self.name}".replace("_", "-")

    @property
    def is_secret(self) -> bool:
        """Whether its value is never shown."""
        return self.name in _NEVER_SHOWN

    @property
    def env(self) -> str:
        """Its environment variable."""
        return f"{ENV_PREFIX}{self.name.upper()}"

    @property
    def shown_default(self) -> str:
        """Its default, as one would write it."""
        return self.example.strip('"')

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return isinstance(self.default, tuple)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a text that is not empty")
    return value.strip()


def _path(value: object) -> Path:
    text = _text(os.fspath(value) if isinstance(value, os.PathLike) else value)
    if "\0" in text:
        raise ValueError("expected a path, which cannot hold a NUL character")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("expected a path; there is no such user") from None


def _texts(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise ValueError("expected a list of texts")
    return tuple(dict.fromkeys(item.strip() for item in items if item.strip()))


def _content_types(value: object) -> tuple[str, ...]:
    types = _texts(value)
    if not set(types) <= set(CONTENT_TYPES):
        raise ValueError("expected video, image or audio")
    return types


def short(value: object) -> str:
    """A value as text; "" for a number of thousands of digits, which Python refuses to write."""
    try:
        return str(value).strip()
    except ValueError:
        return ""


def _switch(value: object) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False, "": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in known:
        return known[value.strip().lower()]
    raise ValueError("expected true or false")


def _whole(least: int, most: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        try:
            number = msgspec.convert(value, int, strict=False)
        except msgspec.ValidationError:
            number = least - 1
        if isinstance(value, bool) or not least <= number <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return number

    return parse


def _seconds(value: object) -> float:
    try:
        number = msgspec.convert(value, float, strict=False)
    except msgspec.ValidationError:
        number = 0.0
    if isinstance(value, bool) or not 0 < number < float("inf"):
        raise ValueError("expected a number of seconds above 0")
    return number


def parse_size(value: object) -> int:
    """Bytes, from a number with a unit: `5M` is 5,000,000.

    Raises:
        ValueError: it is none.
    """
    text = short(value).lower().removesuffix("b").removesuffix("i")
    unit = text[-1:] if text[-1:] in "kmgt" else ""
    try:
        number = float(text.removesuffix(unit)) * _UNITS[unit]
    except ValueError:
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < 10**18:
        raise ValueError("expected a size such as 500K, 5M or 1.5G")
    return int(number)


def _size_or_none(value: object) -> int | None:
    return parse_size(value) or None


def _share_or_count(value: object) -> str:
    text = short(value)
    number = text.removesuffix("%")
    if isinstance(value, bool) or not (number.isascii() and number.isdigit()):
        raise ValueError("expected a number such as 20, or a share such as 10%")
    return text


def _url(value: object) -> str:
    text = _text(value).rstrip("/")
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        is_clean = text.isprintable() and not any(map(str.isspace, text))
        if parts.scheme in ("http", "https") and parts.hostname and is_clean and parts.port != 0:
            return text
    raise ValueError("expected a URL that begins with https:// or http://")


def _progress(value: object) -> str:
    if value not in _PROGRESS:
        raise ValueError("expected auto, always or never")
    return str(value)


def _log_format(value: object) -> str:
    if value not in ("text", "json"):
        raise ValueError("expected text or json")
    return str(value)


SETTINGS = (
    Setting("dest", _path, None, '"~/kling-mirror"', "the mirror's folder", "where", "DIR"),
    Setting("api_url", _url, DEFAULT_API_URL, f'"{DEFAULT_API_URL}"', "the API", "where", "URL"),
    Setting(
        "token",
        _text,
        None,
        '"user:1234-abcdefghijklmnop"',
        "the useapi.net API token; a password: rather use token_file or token_command",
        "token",
        "TOKEN",
    ),
    Setting(
        "token_file",
        _path,
        None,
        '"~/.config/kling-mirror/token"',
        "a file that holds the API token",
        "token",
        "FILE",
    ),
    Setting(
        "token_command",
        _text,
        None,
        '"pass show useapi/token"',
        "a command that prints the API token, such as a password manager's",
        "token",
        "COMMAND",
    ),
    Setting(
        "email",
        _texts,
        (),
        '["me@example.com"]',
        "the Kling account to mirror, where the subscription has several",
        "what",
        "E",
    ),
    Setting("all_accounts", _switch, False, "false", "mirror every account", "what"),
    Setting(
        "content_type",
        _content_types,
        (),
        '["video"]',
        "only assets of this type: video, image or audio",
        "what",
        "T",
        CONTENT_TYPES,
    ),
    Setting(
        "file_name",
        _text,
        None,
        '"holiday"',
        "only assets whose name has this keyword",
        "what",
        "KEYWORD",
    ),
    Setting("no_covers", _switch, False, "false", "leave the cover images out", "what"),
    Setting(
        "page_size",
        _whole(1, _MOST_PAGE_SIZE),
        100,
        "100",
        "assets per page of the listing; falls back to 20 where the API refuses more",
        "how",
        "N",
    ),
    Setting("jobs", _whole(1, _MOST_JOBS), 8, "8", "files fetched at a time", "how", "N"),
    Setting(
        "limit_rate",
        _size_or_none,
        None,
        '"5M"',
        "bytes per second, over all files together; 0 for no limit",
        "how",
        "RATE",
    ),
    Setting(
        "max_attempts",
        _whole(1, 100),
        5,
        "5",
        "how often one request is sent before it counts as failed",
        "how",
        "N",
    ),
    Setting(
        "max_wait",
        _seconds,
        300.0,
        "300",
        "the longest total wait for one request's retries, in seconds",
        "how",
        "SECONDS",
    ),
    Setting(
        "stall_timeout",
        _seconds,
        30.0,
        "30",
        "no byte for so many seconds cuts a transfer, which is then tried again",
        "how",
        "SECONDS",
    ),
    Setting(
        "max_gone",
        _share_or_count,
        None,
        '"10%"',
        "if more vanish from the listing at once, nothing is marked gone (exit 5); a number or a "
        "share of the account's assets; without it the larger of 5 and 10%%",
        "safety",
        "N",
    ),
    Setting(
        "min_free",
        parse_size,
        500_000_000,
        '"500M"',
        "stop (exit 6) rather than leave less than this on the disk; 0 for none",
        "safety",
        "SIZE",
    ),
    Setting(
        "max_file_size",
        _size_or_none,
        None,
        '"2G"',
        "a file that is larger counts as failed; 0 for no limit",
        "safety",
        "SIZE",
    ),
    Setting(
        "max_answer_size",
        parse_size,
        64_000_000,
        '"64M"',
        "an answer of the API that is longer is cut off",
        "safety",
        "SIZE",
    ),
    Setting(
        "allowed_hosts",
        _texts,
        (),
        '["klingai.com"]',
        "fetch files from this host and its subdomains alone",
        "safety",
        "HOST",
    ),
    Setting(
        "allow_private_hosts",
        _switch,
        False,
        "false",
        "fetch files from private addresses too, though the API is not at one",
        "safety",
    ),
    Setting(
        "gallery",
        _switch,
        False,
        "false",
        "keep the offline page DEST/gallery/index.html up to date with each run",
        "output",
    ),
    Setting(
        "progress",
        _progress,
        "auto",
        '"auto"',
        "the progress bar: auto (on a terminal), always or never",
        "output",
        "WHEN",
        _PROGRESS,
    ),
    Setting(
        "log_file",
        _path,
        None,
        '"~/kling-mirror.log"',
        "a log of each run: its files, problems and summary, a line each; its folder must exist",
        "unattended",
        "FILE",
    ),
    Setting(
        "log_format",
        _log_format,
        "text",
        '"text"',
        "the log file's lines: text, or json for an object each",
        "unattended",
        "FORMAT",
    ),
    Setting(
        "log_size",
        _size_or_none,
        10_000_000,
        '"10M"',
        "a log file that would grow larger is renamed and a new one begun; 0 for never",
        "unattended",
        "SIZE",
    ),
    Setting(
        "log_keep", _whole(1, _MOST_LOGS), 5, "5", "renamed log files to keep", "unattended", "N"
    ),
    Setting(
        "ping_url",
        _url,
        None,
        '"https://hc-ping.com/your-uuid-here"',
        "told of every run, in the way of healthchecks.io: /start, success or /fail, with the "
        "summary; a secret",
        "unattended",
        "URL",
    ),
    Setting(
        "on_finish",
        _text,
        None,
        '"jq .assets | mail -s kling-mirror me@example.com"',
        "a command for after every sync: it reads the summary as JSON, KLING_MIRROR_EXIT_CODE is "
        "set, and it has ten minutes",
        "unattended",
        "COMMAND",
    ),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}

_GROUPS = {
    "where": "from where, to where",
    "token": "the token (one of these)",
    "what": "what is mirrored",
    "how": "how it is fetched",
    "safety": "safety",
    "output": "output",
    "unattended": "unattended runs",
}


def group_title(group: str) -> str:
    """The heading of a group of settings."""
    return _GROUPS[group]
