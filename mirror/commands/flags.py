"""Flags that several commands share, and how their values are read."""

import argparse

from mirror.settings import SETTINGS, Setting, group_title


def add_settings(parser: argparse.ArgumentParser, names: tuple[str, ...] | None) -> None:
    """Add a flag for each of these settings, under the heading of its group; None means all."""
    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in SETTINGS:
        if setting.flag is None or (names is not None and setting.name not in names):
            continue
        title = group_title(setting.group)
        group = groups.get(title) or parser.add_argument_group(title)
        groups[title] = group
        _add_setting(group, setting)


def _add_setting(group: "argparse._ArgumentGroup", setting: Setting) -> None:
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
        return float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError("expected a time such as 26h, 90m or 2d") from None
