"""What can be set: each setting is declared once, as a field of `Settings`.

The command line, the environment variables, the TOML keys, `kling-mirror config`, the manual page
and config.example.toml are all read off `SETTINGS`, which is read off these fields.
"""

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import Struct

from mirror import values
from mirror.models import Scope
from mirror.places import BucketUrl, Place

ENV_PREFIX = "KLING_MIRROR_"
DEFAULT_API_URL = "https://api.useapi.net/v1/kling"
CONTENT_TYPES = ("video", "image", "audio")

GROUPS = {
    "mirror": "the mirror",
    "api": "the API",
    "token": "the token (one of these)",
    "scope": "what is mirrored",
    "requests": "requests, to the API and for files",
    "files": "files",
    "safety": "safety",
    "output": "output",
    "unattended": "unattended runs",
}
"""The groups of settings, each with its heading. A command takes whole groups as its flags."""


class Setting(Struct, frozen=True):
    """One setting, as every face of the program shows it.

    Attributes:
        group: one of `GROUPS`.
        help: what it does, with its unit.
        parse: turns text or a TOML value into the value; see `mirror.values`.
        metavar: the value's name in `--help`; "" for a switch.
        example: a value as one would write it, where the default is no good example.
        is_secret: whether its value is never shown.
        has_flag: whether it is a flag, too. Arguments are visible to other users: secrets, and
            commands that may hold one, are none.
        name: the field's name. It is the TOML key; the flag is `--` and the name with dashes.
        default: the field's default.
    """

    group: str
    help: str
    parse: Callable[[object], Any]
    metavar: str = ""
    example: object = None
    is_secret: bool = False
    has_flag: bool = True
    name: str = ""
    default: Any = None

    @property
    def flag(self) -> str | None:
        """Its flag, or None."""
        return f"--{self.name}".replace("_", "-") if self.has_flag else None

    @property
    def env(self) -> str:
        """Its environment variable."""
        return f"{ENV_PREFIX}{self.name.upper()}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that there are, where they can be counted."""
        return getattr(self.parse, "choices", ())

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return isinstance(self.default, tuple)

    @property
    def example_toml(self) -> str:
        """Its example, or else its default, as TOML."""
        return values.to_toml(self.default if self.example is None else self.example)

    @property
    def shown_default(self) -> str:
        """Its default, as in a shell command."""
        return self.example_toml.strip('"')


class Settings(Struct, frozen=True, kw_only=True):
    """The effective settings of a run. Sizes are bytes, times are seconds.

    Attributes:
        sources: for each setting, where its value came from.
        config_path: the config file that was read, or None.
    """

    dest: Annotated[
        Place | None,
        Setting(
            "mirror",
            "the mirror folder, or the URL of a bucket such as s3://bucket/prefix",
            values.place,
            "DIR",
            example="~/kling-mirror",
        ),
    ] = None
    api_url: Annotated[str, Setting("api", "the API's address", values.url, "URL")] = (
        DEFAULT_API_URL
    )
    token: Annotated[
        str | None,
        Setting(
            "token",
            "the useapi.net API token; it is a password: prefer token_file or token_command",
            values.text,
            "TOKEN",
            example="user:1234-abcdefghijklmnop",
            is_secret=True,
            has_flag=False,
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Setting(
            "token",
            "a file that holds the API token",
            values.path,
            "FILE",
            example="~/.config/kling-mirror/token",
        ),
    ] = None
    token_command: Annotated[
        str | None,
        Setting(
            "token",
            "a command that prints the API token, for example a password manager's",
            values.text,
            "COMMAND",
            example="pass show useapi/token",
            has_flag=False,
        ),
    ] = None
    email: Annotated[
        tuple[str, ...],
        Setting(
            "scope",
            "the Kling account to mirror, if the subscription has several",
            values.texts,
            "E",
            example=["me@example.com"],
        ),
    ] = ()
    all_accounts: Annotated[
        bool, Setting("scope", "mirror every account of the subscription", values.switch)
    ] = False
    content_type: Annotated[
        tuple[str, ...],
        Setting(
            "scope",
            "only assets of this type: video, image or audio",
            values.SomeOf(*CONTENT_TYPES),
            "T",
            example=["video"],
        ),
    ] = ()
    file_name: Annotated[
        str | None,
        Setting(
            "scope",
            "only assets whose name contains this keyword",
            values.text,
            "KEYWORD",
            example="holiday",
        ),
    ] = None
    since: Annotated[
        str | None,
        Setting(
            "scope",
            "only assets uploaded on this day or later, or since this time",
            values.day_or_time,
            "DAY",
            example="2026-01-31",
        ),
    ] = None
    until: Annotated[
        str | None,
        Setting(
            "scope",
            "only assets uploaded on this day or earlier, or before this time",
            values.day_or_time,
            "DAY",
            example="2026-12-31",
        ),
    ] = None
    exclude: Annotated[
        tuple[str, ...],
        Setting(
            "scope",
            "the id of an asset that is not to be mirrored, for one that fails for ever; what is "
            "mirrored of it stays",
            values.texts,
            "ID",
            example=["298412773650198529"],
        ),
    ] = ()
    no_covers: Annotated[bool, Setting("scope", "do not mirror cover images", values.switch)] = (
        False
    )
    page_size: Annotated[
        int,
        Setting(
            "requests",
            "assets per page of the listing; 20 if the API refuses more",
            values.whole(1, 1000),
            "N",
        ),
    ] = 100
    max_attempts: Annotated[
        int,
        Setting(
            "requests",
            "give up a request after it failed N times without progress",
            values.whole(1, 100),
            "N",
        ),
    ] = 5
    max_wait: Annotated[
        float,
        Setting(
            "requests",
            "the longest total wait for the retries of one request, in seconds",
            values.seconds,
            "SECONDS",
        ),
    ] = 300.0
    stall_timeout: Annotated[
        float,
        Setting(
            "requests",
            "abort and retry a transfer after N seconds without data",
            values.seconds,
            "SECONDS",
        ),
    ] = 30.0
    max_answer_size: Annotated[
        int,
        Setting(
            "requests",
            "the longest answer that is accepted from the API",
            values.size,
            "SIZE",
            example="64M",
        ),
    ] = 64_000_000
    jobs: Annotated[
        int, Setting("files", "how many files to fetch at a time", values.whole(1, 64), "N")
    ] = 8
    limit_rate: Annotated[
        int | None,
        Setting(
            "files",
            "bytes per second, for all files together; 0 for no limit",
            values.size_or_none,
            "RATE",
            example="5M",
        ),
    ] = None
    min_free: Annotated[
        int,
        Setting(
            "files",
            "stop (exit 6) before the disk has less free space than this; 0 for no reserve",
            values.size,
            "SIZE",
            example="500M",
        ),
    ] = 500_000_000
    max_file_size: Annotated[
        int | None,
        Setting(
            "files",
            "a larger file counts as failed; 0 for no limit",
            values.size_or_none,
            "SIZE",
            example="2G",
        ),
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...],
        Setting(
            "files",
            "fetch files only from this host and its subdomains",
            values.texts,
            "HOST",
            example=["klingai.com"],
        ),
    ] = ()
    allow_private_hosts: Annotated[
        bool,
        Setting(
            "files",
            "also fetch files from private addresses, even if the API is not at one",
            values.switch,
        ),
    ] = False
    max_gone: Annotated[
        str | None,
        Setting(
            "safety",
            "mark nothing gone (exit 5) if more assets than this vanish from the listing at "
            "once: a number, or a share of the account's assets (default: 5 or 10%%, whichever is "
            "more)",
            values.share_or_count,
            "N",
            example="10%",
        ),
    ] = None
    no_create: Annotated[
        bool,
        Setting(
            "safety",
            "fail (exit 6) instead of creating a mirror: only `init` creates one; for containers, "
            "where a volume that is not mounted looks like an empty folder",
            values.switch,
        ),
    ] = False
    gallery: Annotated[
        bool,
        Setting(
            "output", "keep the offline page DEST/gallery/index.html up to date", values.switch
        ),
    ] = False
    progress: Annotated[
        Literal["auto", "always", "never"],
        Setting(
            "output",
            "the progress bar: auto (on a terminal), always or never",
            values.OneOf("auto", "always", "never"),
            "WHEN",
        ),
    ] = "auto"
    log_file: Annotated[
        Path | None,
        Setting(
            "unattended",
            "log every run to this file: a line for each file, problem and summary; its "
            "folder must exist",
            values.path,
            "FILE",
            example="~/kling-mirror.log",
        ),
    ] = None
    log_format: Annotated[
        Literal["text", "json"],
        Setting(
            "unattended",
            "the lines of the log file: text, or json for one object each",
            values.OneOf("text", "json"),
            "FORMAT",
        ),
    ] = "text"
    log_size: Annotated[
        int | None,
        Setting(
            "unattended",
            "begin a new log file when it would grow larger than this; 0 for never",
            values.size_or_none,
            "SIZE",
            example="10M",
        ),
    ] = 10_000_000
    log_keep: Annotated[
        int, Setting("unattended", "how many old log files to keep", values.whole(1, 1000), "N")
    ] = 5
    ping_url: Annotated[
        str | None,
        Setting(
            "unattended",
            "URL to ping on every run (healthchecks.io protocol): /start, then success or "
            "/fail with the summary; it is a secret",
            values.url,
            "URL",
            example="https://hc-ping.com/your-uuid-here",
            is_secret=True,
            has_flag=False,
        ),
    ] = None
    on_finish: Annotated[
        str | None,
        Setting(
            "unattended",
            "a command to run after every sync; it gets the summary as JSON on stdin and the "
            "exit code in KLING_MIRROR_EXIT_CODE, and is killed after ten minutes",
            values.text,
            "COMMAND",
            example="jq .assets | mail -s kling-mirror me@example.com",
            has_flag=False,
        ),
    ] = None
    sources: Mapping[str, str] = {}
    config_path: Path | None = None

    @property
    def scope(self) -> Scope:
        """The part of the library to mirror."""
        return Scope(
            email=self.email,
            all_accounts=self.all_accounts,
            content_type=self.content_type,
            file_name=self.file_name,
            no_covers=self.no_covers,
            exclude=self.exclude,
            since=None if self.since is None else values.first_ms(self.since),
            until=None if self.until is None else values.end_ms(self.until),
        )


def _declared() -> tuple[Setting, ...]:
    """Every setting, with the name and the default of the field that declares it."""
    defaults = Settings()
    return tuple(
        msgspec.structs.replace(
            annotation.__metadata__[0], name=name, default=getattr(defaults, name)
        )
        for name, annotation in Settings.__annotations__.items()
        if hasattr(annotation, "__metadata__")
    )


SETTINGS = _declared()
BY_NAME = {setting.name: setting for setting in SETTINGS}


class Options(TypedDict, total=False):
    """The values that a Python caller may give for each setting of a run; None is the default."""

    dest: str | os.PathLike[str] | BucketUrl | None
    api_url: str | None
    token: str | None
    token_file: str | os.PathLike[str] | None
    token_command: str | None
    email: str | Sequence[str] | None
    all_accounts: bool | None
    content_type: str | Sequence[str] | None
    file_name: str | None
    since: str | dt.date | None
    until: str | dt.date | None
    exclude: str | Sequence[str] | None
    no_covers: bool | None
    page_size: int | None
    max_attempts: int | None
    max_wait: float | None
    stall_timeout: float | None
    max_answer_size: int | str | None
    jobs: int | None
    limit_rate: int | str | None
    min_free: int | str | None
    max_file_size: int | str | None
    allowed_hosts: str | Sequence[str] | None
    allow_private_hosts: bool | None
    max_gone: int | str | None
    no_create: bool | None
