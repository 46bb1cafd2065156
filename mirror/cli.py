"""The command line: arguments in, exit codes out, errors as words."""

import contextlib
import os
import sys
from collections.abc import Sequence

from mirror.commands import registry
from mirror.commands.parser import parse
from mirror.errors import ExitCode, MirrorError, UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments without the program's name; the process's own if None.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        _require_unicode_names()
        code = registry.load(arguments.command).run(arguments)
        sys.stdout.flush()
    except MirrorError as error:
        from mirror.text import complain  # noqa: PLC0415

        complain(error, stream=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.SIGINT
    except BrokenPipeError:  # `kling-mirror list | head`
        _forget_stdout()
        return ExitCode.COMPLETE
    except OSError as error:  # of ours, all are translated: it is the output's
        _forget_stdout()
        sys.stderr.write(f"kling-mirror: the output could not be written: {error.strerror}\n")
        return ExitCode.UNEXPECTED
    return code


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


def _forget_stdout() -> None:
    """What is left in its buffer cannot be written when the process ends, either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
