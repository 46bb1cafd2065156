"""The command line's grammar, and the help that explains it."""

import argparse
import textwrap
from collections.abc import Sequence
from functools import cache

from mirror import __version__
from mirror.commands import registry
from mirror.errors import ExitCode
from mirror.text import nearest

EXAMPLES = (
    ("kling-mirror demo", "try it, without token or network"),
    ("kling-mirror init", "set up: asks for the folder and the token"),
    ("kling-mirror sync", "mirror everything"),
    ("kling-mirror schedule", "do that every night: prints a line for cron"),
    ("kling-mirror status", "is everything here?"),
    ("kling-mirror verify", "is every byte still right?"),
)
_HELP_WIDTH = 80
_FURTHER = """\
Begin with `kling-mirror demo` (it needs no token), or with `kling-mirror init`.
`kling-mirror COMMAND --help` shows a command's flags, and the exit codes.
"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; `command` and `verbosity` are among the result.

    A wrong argument ends the process with exit 2.
    """
    parser = _parser()
    if not argv:  # a first look
        parser.exit(ExitCode.USAGE, parser.format_help())
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(_unknown(unknown, parser, arguments.command))
    arguments.verbosity = -1 if arguments.quiet else arguments.verbose
    return arguments


def full_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Make the parser with every flag of every command, and the commands' own parsers by name."""
    parser = _parser()
    for action in actions_of(parser):
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - see actions_of
            for command in action.choices.values():
                command.fill()
            return parser, dict(action.choices)
    raise AssertionError("the parser has commands")


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """List what a parser takes; argparse has no public way to ask for it."""
    return parser._actions  # noqa: SLF001 - as said


def _unknown(words: Sequence[str], parser: argparse.ArgumentParser, command: str) -> str:
    """The message for words that no flag takes."""
    actions = actions_of(parser)
    for action in actions_of(parser):
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - see actions_of
            actions = [*actions, *actions_of(action.choices[command])]
    names = {flag.lstrip("-"): flag for action in actions for flag in action.option_strings}
    near = nearest(words[0].lstrip("-").partition("=")[0], names)
    return f"unrecognized arguments: {' '.join(words)}{_meant(near and names[near])}"


def _meant(near: str | None) -> str:
    return f"; did you mean {near}?" if near else ""


class _Parser(argparse.ArgumentParser):
    """The parser of the whole command line, which knows what may be meant by a wrong command."""

    def _check_value(self, action: argparse.Action, value: str) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:  # noqa: SLF001 - see actions_of
            near = nearest(value, registry.COMMANDS)
            raise argparse.ArgumentError(
                None,
                f"unknown command {value!r}{_meant(near)}"
                f"{'' if near else '; `kling-mirror --help` lists all commands'}",
            )
        super()._check_value(action, value)

    def format_help(self) -> str:
        """The commands, on a screen of 24 rows; a command's own help has its flags."""
        width = max(map(len, registry.COMMANDS))
        rows = "".join(
            f"  {name:<{width}}  {row.text}\n" for name, row in registry.COMMANDS.items()
        )
        return f"{self.format_usage()}\n{self.description}\n\ncommands:\n{rows}\n{_FURTHER}"


class _CommandParser(argparse.ArgumentParser):
    """The parser of one command. Its flags are added when they are needed: loading takes time.

    Attributes:
        name: the name of the command.
    """

    name = ""
    _is_filled = False

    def fill(self) -> None:
        """Add the flags that are the command's own."""
        if self._is_filled:
            return
        from mirror.commands.flags import add_settings  # noqa: PLC0415 - settings take time to load

        self._is_filled = True
        command = registry.load(self.name)
        text = registry.COMMANDS[self.name].text
        self.description = _filled(f"{text[0].upper()}{text[1:]}.{command.more}")
        self.epilog = _exit_codes()
        _add_shared(self, argparse.SUPPRESS)
        add_settings(self, command.settings)
        command.add_flags(self)

    def parse_known_args(  # type: ignore[override]  # its overloads say no more
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, with the command's flags."""
        self.fill()
        return super().parse_known_args(args, namespace)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="kling-mirror",
        description="A complete, provable, crash-proof local copy of what you uploaded to Kling.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # `--token X` must not mean `--token-file X`
    )
    parser.add_argument("--version", action="version", version=f"kling-mirror {__version__}")
    _add_shared(parser, None)
    commands = parser.add_subparsers(
        title="commands",
        dest="command",
        metavar="COMMAND",
        required=True,
        parser_class=_CommandParser,
    )
    for name, row in registry.COMMANDS.items():
        command = commands.add_parser(
            name,
            help=row.text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.name = name
    return parser


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
    return "\n\n".join(textwrap.fill(part, _HELP_WIDTH) for part in text.split("\n\n"))


@cache
def _exit_codes() -> str:
    wrap = textwrap.TextWrapper(width=_HELP_WIDTH, subsequent_indent=" " * 7)
    lines = ["exit codes:"]
    for code in ExitCode:
        wrap.initial_indent = f"  {code:<5}"
        lines += wrap.wrap(code.meaning)
    return "\n".join(lines) + "\n"
