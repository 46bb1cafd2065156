"""The command line's grammar: commands, their flags, and the help that says what they mean."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mirror import __version__

if TYPE_CHECKING:
    from mirror.settings import Setting

_EXIT_CODES = """\
exit codes:
  0    complete
  1    unexpected error; `status --max-age` or `verify` found the mirror wanting
  2    usage or config, no token
  3    some assets failed or could not be read, the rest is safe
  4    token, subscription or account refused
  5    the listing cannot be trusted, or too much vanished: nothing was marked gone
  6    the disk: full, below the reserve, read-only, no permission, not mounted
  7    the API could not be reached, kept failing, or answered what is no listing
  8    the manifest is newer than this program, or damaged: nothing was touched
  11   another run is at work on the same folder
  130  stopped by Ctrl-C (SIGINT)
  143  stopped by SIGTERM
"""
_TYPICAL = """\
typical use:
  kling-mirror demo                          try it, without token or network
  kling-mirror init --dest ~/kling-mirror    write a config
  kling-mirror sync                          mirror everything; put this into cron
  kling-mirror status                        is everything here?
  kling-mirror verify                        is every byte as it was?

"""


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
    arguments = _parser(argv).parse_args(argv)
    arguments.verbosity = -1 if arguments.quiet else arguments.verbose
    return arguments


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; a command's flags are added where it is named, for settings take time to load."""
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_shared(shared, argparse.SUPPRESS)
    parser = argparse.ArgumentParser(
        prog="kling-mirror",
        description="A complete, provable, crash-proof local copy of what you uploaded to Kling.",
        epilog=_TYPICAL + _EXIT_CODES,
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
            description=f"{command.text[0].upper()}{command.text[1:]}.{command.more}",
            parents=[shared],
            epilog=_EXIT_CODES,
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


def _add_demo_flags(parser: argparse.ArgumentParser) -> None:
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
    from mirror.inventory import ORDERS, SHOWN  # noqa: PLC0415 - `list` alone needs it

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


def _add_nothing(_: argparse.ArgumentParser) -> None:
    """The command has no flags but settings."""


_COMMANDS = {
    "sync": _Command(
        "mirror everything that was uploaded; fetch only what changed", None, _add_sync_flags
    ),
    "demo": _Command(
        "sync a small library from an embedded service: no token, no network",
        (),
        _add_demo_flags,
    ),
    "init": _Command(
        "write a commented config (0600) and prepare the mirror's folder",
        ("dest", "token_file", "email", "all_accounts", "api_url"),
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
    "config": _Command(
        "show the effective settings, each with where it came from", None, _add_nothing
    ),
}
