"""The command line: arguments in, exit codes out, errors as words."""

import contextlib
import sys
from collections.abc import Iterator, Sequence

from mirror.commands import registry, signals
from mirror.commands.outcome import outcome
from mirror.commands.parser import parse
from mirror.errors import ExitCode, UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments without the program's name; the process's own if None.

    Returns:
        The exit code.
    """
    try:
        return outcome(lambda: _run(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        return ExitCode.SIGINT


def _run(argv: Sequence[str]) -> int:
    with _without_typing_extensions():
        arguments = parse(argv)
    _require_unicode_names()
    command = registry.load(arguments.command)
    if not command.is_stoppable:
        signals.let_through()
    return command.run(arguments)


@contextlib.contextmanager
def _without_typing_extensions() -> Iterator[None]:
    """Load the command's modules without `typing_extensions`, a third of a command's start.

    Only msgspec looks for it there, and takes the same functions from `typing` instead. Packages
    that depend on it are loaded later.
    """
    name = "typing_extensions"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # Python's way to say: not installed
    try:
        yield
    finally:
        del sys.modules[name]


def _require_unicode_names() -> None:
    """See that files can have the names that they have at Kling.

    Raises:
        UsageError: the user's locale is an 8-bit one. Without any, Python takes UTF-8.
    """
    if (encoding := sys.getfilesystemencoding()) != "utf-8":
        raise UsageError(
            f"this locale names files in {encoding}, which lacks most letters",
            hint="set PYTHONUTF8=1, or a UTF-8 locale such as LC_ALL=C.UTF-8, and run it again",
        )
