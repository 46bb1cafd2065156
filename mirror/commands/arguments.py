"""The command line's grammar: commands, their flags, and the help that says what they mean."""

import argparse
import datetime as dt
import textwrap
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mirror import __version__
from mirror.errors import ExitCode

if TYPE_CHECKING:
    from mirror.settings import Setting

EXAMPLES = (
    ("kling-mirror demo", "try it, without token or network"),
    ("kling-mirror init", "set up: asks for the folder and the token"),
    ("kling-mirror sync", "mirror everything"),
    ("kling-mirror schedule", "have that done every night: a line for cron"),
    ("kling-mirror status", "is everything here?"),
    ("kling-mirror verify", "is every byte as it was?"),
)

SHELLS = ("bash", "zsh", "fish")
_HELP_WIDTH = 80


_LIST_MORE = """

A table on a terminal; into a pipe or a file tab-separated values under a header: nothing is cut
there, and control characters are escaped as in C. The filters are those of `sync`, but only as
flags: a config that limits what is mirrored hides nothing that is here. Of what failed neither
type nor name is on record: of the filters, --email alone applies to it."""
_STATUS_MORE = """

The first line answers: am I safe? It measures the mirror by what the config asks for: a run that
left out more (such as `sync --content-type video`) does not count as complete. With -v every asset
that failed is named."""


class _Command(NamedTuple):
    """One command.

    Attributes:
        text: what it does, for `--help`.
        settings: the settings that are its flags too; None for all of them.
        add_flags: adds the flags that are no settings.
        more: what its `--help` says besides.
    """

    text: str
    settings: tuple[str, ...] | None
    add_flags: Callable[[argparse.ArgumentParser], object]
    more: str = ""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with `command` and `verbosity` among them.

    A wrong one ends the process with exit 2, as argparse does it.
    """
    parser = _parser(argv)
    if not argv:  # a first look
        parser.exit(ExitCode.USAGE, parser.format_help())
    arguments = parser.parse_args(argv)
    arguments.verbosity = -1 if arguments.quiet else arguments.verbose
    return arguments


def full_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser with every flag of every command, and the commands' own parsers by their names."""
    parser = _parser(tuple(_COMMANDS))
    for action in actions_of(parser):
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - see actions_of
            return parser, dict(action.choices)
    raise AssertionError("the parser has commands")


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a parser was told to take; argparse has no public way to ask it."""
    return parser._actions  # noqa: SLF001 - as said


def command_texts() -> dict[str, str]:
    """What each command does, in a line."""
    return {name: command.text for name, command in _COMMANDS.items()}


def _filled(text: str) -> str:
    """Paragraphs, as wide as the rest of the help."""
    return "\n\n".join(textwrap.fill(part, _HELP_WIDTH) for part in text.split("\n\n"))


@cache
def _exit_codes() -> str:
    wrap = textwrap.TextWrapper(width=_HELP_WIDTH, subsequent_indent=" " * 7)
    lines = ["exit codes:"]
    for code in ExitCode:
        wrap.initial_indent = f"  {code:<5}"
        lines += wrap.wrap(code.meaning)
    return "\n".join(lines) + "\n"


def _typical() -> str:
    return "typical use:\n" + "".join(
        f"  {command:<26}{meaning}\n" for command, meaning in EXAMPLES
    )


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; a command's flags are added where it is named, for settings take time to load."""
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_shared(shared, argparse.SUPPRESS)
    parser = argparse.ArgumentParser(
        prog="kling-mirror",
        description="A complete, provable, crash-proof local copy of what you uploaded to Kling.",
        epilog=f"{_typical()}\n{_exit_codes()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # `--token X` must not mean `--token-file X`
    )
    parser.add_argument("--version", action="version", version=f"kling-mirror {__version__}")
    _add_shared(parser, None)
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for name, command in _COMMANDS.items():
        added = commands.add_parser(
            name,
            help=command.text,
            description=_filled(f"{command.text[0].upper()}{command.text[1:]}.{command.more}"),
            parents=[shared],
            epilog=_exit_codes(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if name in argv:
            _add_settings(added, command.settings)
            command.add_flags(added)
    return parser


def _add_shared(parser: argparse.ArgumentParser, default: object) -> None:
    """The flags that stand before or after the command."""
    is_top = default is None
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=default,
        help="the config file (default: config.toml in the user's config folder)",
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0 if is_top else default,
        help="name each file; -vv each request",
    )
    loudness.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        default=False if is_top else default,
        help="errors only",
    )


class _NoToken(argparse.Action):
    """Refuses a token among the arguments, without showing it once more."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(
            "there is no --token: other users see arguments; use --token-file, the environment "
            "(KLING_MIRROR_TOKEN) or the config"
        )


def _add_settings(parser: argparse.ArgumentParser, names: tuple[str, ...] | None) -> None:
    from mirror.settings import SETTINGS, group_title  # noqa: PLC0415

    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in SETTINGS:
        if setting.flag is None or (names is not None and setting.name not in names):
            continue
        title = group_title(setting.group)
        group = groups.get(title) or parser.add_argument_group(title)
        groups[title] = group
        _add_setting(group, setting)


def _add_setting(group: "argparse._ArgumentGroup", setting: "Setting") -> None:
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


def _duration(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError("expected a time such as 26h, 90m or 2d") from None
    return seconds


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_sync_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--token", action=_NoToken, help=argparse.SUPPRESS)
    parser.add_argument(
        "--dry-run", action="store_true", help="list and decide, write nothing, tell the plan"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def _add_import_flags(parser: argparse.ArgumentParser) -> None:
    _add_json(parser)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the files are; only read")
    parser.add_argument("--dry-run", action="store_true", help="compare, and write nothing")


def _add_demo_flags(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(dry_run=False, json=False)  # what `sync` is asked
    parser.add_argument(
        "--dest",
        type=Path,
        default=Path("kling-mirror-demo"),
        metavar="DIR",
        help="the demo's folder (default: %(default)s)",
    )


def _add_schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of what --json prints"
    )


def _add_status_flags(parser: argparse.ArgumentParser) -> None:
    _add_json(parser)
    _add_schema(parser)
    parser.add_argument(
        "--max-age",
        type=_duration,
        metavar="AGE",
        help="exit 1 if the last complete run is older, such as 26h, 90m or 2d",
    )


def _add_list_flags(parser: argparse.ArgumentParser) -> None:
    from mirror.report.table import ORDERS, SHOWN  # noqa: PLC0415 - `list` alone needs it

    parser.add_argument("--json", action="store_true", help="print one JSON array")
    _add_schema(parser)
    which = parser.add_argument_group("which, in what order")
    which.add_argument(
        "--state",
        action="append",
        choices=SHOWN,
        help="only what is in this state; failed is what could not be mirrored yet (repeatable; "
        "default: all but failed)",
    )
    which.add_argument(
        "--sort", choices=ORDERS, default="date", help="the order (default: date, oldest first)"
    )
    which.add_argument("--reverse", action="store_true", help="the other way round")


def _add_verify_flags(parser: argparse.ArgumentParser) -> None:
    _add_json(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--repair", action="store_true", help="fetch what is missing or damaged anew")
    how.add_argument(
        "--rebuild", action="store_true", help="make a lost or damaged manifest.json anew"
    )


def _add_prune_flags(parser: argparse.ArgumentParser) -> None:
    _add_json(parser)
    parser.add_argument("--dry-run", action="store_true", help="only tell")
    parser.add_argument(
        "--empty-trash", action="store_true", help="delete what is in the trash for good"
    )


def _time_of_day(text: str) -> dt.time:
    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - the machine's own
    except ValueError:
        raise argparse.ArgumentTypeError("expected a time of day such as 03:17") from None


def _add_schedule_flags(parser: argparse.ArgumentParser) -> None:
    forms = parser.add_mutually_exclusive_group()
    for form, text in (
        ("cron", "a line for crontab (the default)"),
        ("systemd", "a service and a timer"),
        ("launchd", "a property list, for macOS"),
        ("windows", "a task for Windows' Task Scheduler, as XML"),
    ):
        forms.add_argument(
            f"--{form}", dest="form", action="store_const", const=form, default="cron", help=text
        )
    parser.add_argument(
        "--at",
        type=_time_of_day,
        metavar="HH:MM",
        help="when, every day (default: a minute of the night by chance)",
    )


def _add_completion_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print what lets a shell complete commands and flags. Put it where the shell looks:\n\n"
        "  bash  ~/.local/share/bash-completion/completions/kling-mirror\n"
        "  zsh   a file _kling-mirror in a folder of $fpath\n"
        "  fish  ~/.config/fish/completions/kling-mirror.fish"
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to complete")


def _add_nothing(_: argparse.ArgumentParser) -> None:
    """The command has no flags but settings."""


_COMMANDS = {
    "sync": _Command(
        "mirror everything that was uploaded; fetch only what changed", None, _add_sync_flags
    ),
    "import": _Command(
        "take files that were downloaded otherwise into the mirror, once they are proved right",
        (
            "dest",
            "api_url",
            "token_file",
            "email",
            "all_accounts",
            "content_type",
            "file_name",
            "no_covers",
            "page_size",
            "jobs",
            "limit_rate",
            "max_attempts",
            "max_wait",
            "stall_timeout",
            "min_free",
            "progress",
        ),
        _add_import_flags,
    ),
    "demo": _Command(
        "sync a small library from an embedded service: no token, no network",
        (),
        _add_demo_flags,
    ),
    "init": _Command(
        "set up: ask for folder and token (on a terminal), write a commented config (0600) and "
        "prepare the mirror's folder",
        (
            "dest",
            "token_file",
            "email",
            "all_accounts",
            "content_type",
            "no_covers",
            "api_url",
        ),
        _add_nothing,
    ),
    "status": _Command(
        "tell what is mirrored, what failed, what exists only here",
        ("dest",),
        _add_status_flags,
        _STATUS_MORE,
    ),
    "list": _Command(
        "list what is mirrored",
        ("dest", "email", "content_type", "file_name"),
        _add_list_flags,
        _LIST_MORE,
    ),
    "verify": _Command(
        "re-hash every file against the manifest",
        ("dest", "token_file", "api_url", "jobs", "limit_rate", "progress"),
        _add_verify_flags,
    ),
    "prune": _Command(
        "move what is gone from Kling, or superseded, to the trash", ("dest",), _add_prune_flags
    ),
    "gallery": _Command(
        "write an offline page to look through the mirror", ("dest",), _add_nothing
    ),
    "schedule": _Command(
        "print what has `sync` run every night, for cron, systemd, launchd or Windows",
        None,
        _add_schedule_flags,
    ),
    "config": _Command(
        "show the effective settings, each with where it came from", None, _add_nothing
    ),
    "completion": _Command(
        "print what lets a shell complete commands and flags", (), _add_completion_flags
    ),
    "man": _Command(
        "print the manual page: `kling-mirror man | man -l -` shows it", (), _add_nothing
    ),
}
