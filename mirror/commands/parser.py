"""The command line's grammar, and the help that explains it."""

import argparse
from collections.abc import Sequence
from typing import Any

from mirror import __version__
from mirror.commands import registry
from mirror.errors import ExitCode
from mirror.text import nearest

_PROGRAM = "kling-mirror"
EXAMPLES = (
    ("kling-mirror demo", "try it, without token or network"),
    ("kling-mirror init", "set up: asks for the folder and the token"),
    ("kling-mirror sync", "mirror everything"),
    ("kling-mirror schedule", "do that every night: prints a line for cron"),
    ("kling-mirror status", "is everything here?"),
    ("kling-mirror verify", "is every byte still right?"),
)
_HELP_WIDTH = 80
_LOOK: Any = {
    "formatter_class": argparse.RawDescriptionHelpFormatter,
    "allow_abbrev": False,  # `--token X` must not mean `--token-file X`
}
_FURTHER = """\
Begin with `kling-mirror demo` (it needs no token), or with `kling-mirror init`.
`kling-mirror COMMAND --help` shows a command's flags, and the exit codes.
"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; `command` and `verbosity` are among the result.

    A wrong argument ends the process with exit 2.
    """
    parser = _parser()
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.PARSER)
    if not argv:  # a first look
        parser.exit(ExitCode.USAGE, parser.format_help())
    arguments, unknown = parser.parse_known_args(argv)
    arguments.command, *rest = arguments.command
    if arguments.command not in registry.COMMANDS:
        parser.error(_unknown_command(arguments.command))
    command = _CommandParser(prog=f"{_PROGRAM} {arguments.command}", **_LOOK)
    _fill(command, arguments.command)
    _, more = command.parse_known_args(rest, arguments)
    if unknown := [*unknown, *more]:
        parser.error(_unknown_words(unknown, parser, command))
    arguments.verbosity = -1 if arguments.quiet else arguments.verbose
    return arguments


def full_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Make the parser with every flag of every command, and the commands' own parsers by name."""
    parser = _parser()
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=_CommandParser)
    for name, row in registry.COMMANDS.items():
        _fill(commands.add_parser(name, help=row.text, **_LOOK), name)
    return parser, dict(commands.choices)


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """List what a parser takes; argparse has no public way to ask for it."""
    return parser._actions  # noqa: SLF001 - as said


def _unknown_command(word: str) -> str:
    """The message for a command that is none."""
    near = nearest(word, registry.COMMANDS)
    return f"unknown command {word!r}" + (
        _meant(near) if near else "; `kling-mirror --help` lists all commands"
    )


def _unknown_words(words: Sequence[str], *parsers: argparse.ArgumentParser) -> str:
    """The message for words that no flag takes."""
    actions = [action for parser in parsers for action in actions_of(parser)]
    names = {flag.lstrip("-"): flag for action in actions for flag in action.option_strings}
    names.pop(words[0].lstrip("-"), None)  # known, but not here
    near = nearest(words[0].lstrip("-").partition("=")[0], names)
    return f"unrecognized arguments: {' '.join(words)}{_meant(near and names[near])}"


def _meant(near: str | None) -> str:
    return f"; did you mean {near}?" if near else ""


class _CommandParser(argparse.ArgumentParser):
    """The parser of what follows a command's name; its help is laid out only when asked for."""

    def format_help(self) -> str:
        """What the command does, its flags, and the exit codes."""
        name = self.prog.removeprefix(f"{_PROGRAM} ")
        text = registry.COMMANDS[name].text
        self.description = _filled(f"{text[0].upper()}{text[1:]}.{registry.load(name).more}")
        self.epilog = _exit_codes()
        return super().format_help()


class _Parser(argparse.ArgumentParser):
    """The parser of what stands before a command, and of the command's name."""

    def format_help(self) -> str:
        """The commands, on a screen of 24 rows; a command's own help has its flags."""
        width = max(map(len, registry.COMMANDS))
        rows = "".join(
            f"  {name:<{width}}  {row.text}\n" for name, row in registry.COMMANDS.items()
        )
        return f"{self.format_usage()}\n{self.description}\n\ncommands:\n{rows}\n{_FURTHER}"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=_PROGRAM,
        description="A complete, provable, crash-proof local copy of what you uploaded to Kling.",
        **_LOOK,
    )
    parser.add_argument("--version", action="version", version=f"{_PROGRAM} {__version__}")
    _add_shared(parser, None)
    return parser


def _fill(parser: argparse.ArgumentParser, name: str) -> None:
    """Add a command's flags to its parser; that loads the command."""
    from mirror.commands.flags import add_settings  # noqa: PLC0415 - settings take time to load

    command = registry.load(name)
    _add_shared(parser, argparse.SUPPRESS)
    add_settings(parser, command.settings)
    command.add_flags(parser)


def _add_shared(parser: argparse.ArgumentParser, default: object) -> None:
    """Add the flags that stand before or after the command."""
    is_top = default is None
    parser.add_argument(
        "--config",
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
        help="print each file; -vv: each request, too",
    )
    loudness.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        default=False if is_top else default,
        help="print errors only",
    )


def _filled(text: str) -> str:
    """Fill paragraphs to the width of the help."""
    import textwrap  # noqa: PLC0415 - for help alone

    return "\n\n".join(textwrap.fill(part, _HELP_WIDTH) for part in text.split("\n\n"))


def _exit_codes() -> str:
    import textwrap  # noqa: PLC0415 - for help alone

    wrap = textwrap.TextWrapper(width=_HELP_WIDTH, subsequent_indent=" " * 7)
    lines = ["exit codes:"]
    for code in ExitCode:
        wrap.initial_indent = f"  {code:<5}"
        lines += wrap.wrap(code.meaning)
    return "\n".join(lines) + "\n"
