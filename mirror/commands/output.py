"""What commands print: data on stdout, prose on stderr."""

import argparse
import shutil
import sys
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from mirror.errors import ExitCode, MirrorError
from mirror.models import to_json
from mirror.text import complain, fitted, printable


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(to_json(value).decode() + "\n")


def print_result(result: object, lines: Iterable[str], arguments: argparse.Namespace) -> None:
    """Print a result as JSON on stdout, or in words on stderr."""
    if arguments.json:
        print_json(result)
    elif arguments.verbosity >= 0:
        from mirror.report.colours import coloured  # noqa: PLC0415 - for prose alone

        fits = (fitted(printable(line), sys.stderr) for line in lines)
        shown = (coloured(line, sys.stderr) for line in fits)
        sys.stderr.write("".join(f"{line}\n" for line in shown))


def print_schema(*structs: type[Struct], command: str, is_array: bool = False) -> int:
    """Print the JSON Schema of what a command's `--json` prints."""
    from mirror.report.schemas import schema_of  # noqa: PLC0415 - it is rarely asked for

    schema = schema_of(*structs, title=f"kling-mirror {command} --json", is_array=is_array)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(schema)).decode() + "\n")
    return ExitCode.COMPLETE


def columns() -> int | None:
    """The width of the terminal that stdout is, or None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def warn(text: str) -> None:
    """Print one line of warning on stderr."""
    complain(MirrorError(text), stream=sys.stderr)
