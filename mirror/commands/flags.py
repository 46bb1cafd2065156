"""Flags that several commands share, and how their values are read."""

import argparse
from collections.abc import Iterable

from mirror.settings import GROUPS, SETTINGS, Setting

_YEAR_S = 366 * 86_400


def add_settings(parser: argparse.ArgumentParser, groups: Iterable[str]) -> None:
    """Add a flag for each setting of these groups, under the heading of its group."""
    for group in groups:
        heading = parser.add_argument_group(GROUPS[group])
        for setting in SETTINGS:
            if setting.group == group and setting.has_flag:
                add_setting(heading, setting)


def add_setting(group: "argparse._ArgumentGroup", setting: Setting) -> None:
    """Add the flag of a setting."""
    flag = str(setting.flag)
    if not setting.metavar:
        group.add_argument(
            flag, dest=setting.name, action="store_const", const=True, help=setting.help
        )
    elif setting.is_list:
        group.add_argument(
            flag,
            dest=setting.name,
            action="append",
            metavar=setting.metavar,
            help=f"{setting.help} (repeatable)",
        )
    else:
        note = "" if setting.default is None else f" (default: {setting.shown_default})"
        group.add_argument(
            flag, dest=setting.name, metavar=setting.metavar, help=setting.help + note
        )


def given(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings that were given as flags, as they were given."""
    values = {setting.name: getattr(arguments, setting.name, None) for setting in SETTINGS}
    return {name: value for name, value in values.items() if value is not None}


def add_json(parser: argparse.ArgumentParser, what: str = "one JSON object") -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help=f"print {what}")


def add_schema(parser: argparse.ArgumentParser) -> None:
    """Add `--schema`."""
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of what --json prints"
    )


def duration_s(text: str) -> float:
    """Seconds, from a number with a unit: `26h`.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):  # nor is it NaN, which nothing is older than
        raise argparse.ArgumentTypeError("expected a time such as 26h, 90m or 2d")
    return seconds


def interval_s(text: str) -> float:
    """Seconds from one run to the next.

    Raises:
        argparse.ArgumentTypeError: it is no time, shorter than a second or longer than a year.
    """
    seconds = duration_s(text)
    if not 1 <= seconds <= _YEAR_S:
        raise argparse.ArgumentTypeError("expected a time from a second to a year, such as 24h")
    return seconds
