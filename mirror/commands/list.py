"""`list`: the entries, as a table on a terminal, else as tab-separated values or JSON."""

import argparse
import sys

from mirror.commands import flags
from mirror.commands.opening import effective_settings, read_root
from mirror.commands.output import columns, print_json, print_schema
from mirror.commands.registry import Command
from mirror.errors import ExitCode
from mirror.models import Entry, Scope
from mirror.report import table
from mirror.settings import BY_NAME
from mirror.text import nearest

_FILTERS = ("email", "content_type", "file_name", "since", "until")
_MORE = """

On a terminal it prints a table. Into a pipe or a file it prints tab-separated values under a
header: nothing is cut there, and control characters are escaped as in C. The filters are those of
`sync`, but only as flags: a config that limits what is mirrored hides nothing that is here."""


def _add_flags(parser: argparse.ArgumentParser) -> None:
    flags.add_json(parser, "one JSON array")
    flags.add_schema(parser)
    which = parser.add_argument_group("which assets, in which order")
    for name in _FILTERS:
        flags.add_setting(which, BY_NAME[name])
    which.add_argument(
        "--state",
        action="append",
        choices=table.STATES,
        help="only assets in this state; failed: could not be mirrored yet (repeatable; default: "
        "all but failed)",
    )
    which.add_argument(
        "--sort",
        choices=table.ORDERS,
        default="date",
        help="the order (default: date, oldest first)",
    )
    which.add_argument("--reverse", action="store_true", help="reverse the order")
    which.add_argument(
        "--columns",
        type=_columns,
        metavar="NAMES",
        help=f"only these columns, in this order, between commas: {', '.join(table.FIELDS)}",
    )


def _columns(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in table.FIELDS:
            near = nearest(name, table.FIELDS)
            meant = f"; did you mean {near}?" if near else f": {', '.join(table.FIELDS)}"
            raise argparse.ArgumentTypeError(f"there is no column {name!r}{meant}")
    return names


def _run(arguments: argparse.Namespace) -> int:
    if arguments.schema:
        return print_schema(Entry, table.FailedAsset, command="list", is_array=True)
    settings = effective_settings(arguments)
    filters = {
        name: getattr(settings.scope, name)
        for name in _FILTERS
        if getattr(arguments, name) is not None  # only flags count: see _MORE
    }
    query = table.Query(
        Scope(**filters),
        states=arguments.state or table.ENTRY_STATES,
        sort=arguments.sort,
        reverse=arguments.reverse,
    )
    items = table.select(read_root(settings).manifest, query)
    width = columns()
    if arguments.json:
        print_json(items)
    elif width is None:
        sys.stdout.write(table.as_tsv(items, arguments.columns or table.FIELDS))
    elif arguments.columns:
        sys.stdout.write(table.in_columns(items, arguments.columns))
    else:
        sys.stdout.write(table.as_table(items, columns=width, sort=arguments.sort))
    return ExitCode.COMPLETE


COMMAND = Command(_run, settings=("mirror",), add_flags=_add_flags, more=_MORE)
