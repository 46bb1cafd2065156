"""How a command ends: its exit code, and its error in words."""

import sys
from collections.abc import Callable

from mirror.errors import MirrorError


def outcome(run: Callable[[], int]) -> int:
    """Run something, and print the error that ends it, if one does.

    Returns:
        The exit code.
    """
    try:
        return run()
    except MirrorError as error:
        return _failed(error)
    except OSError as error:  # of the disk: `streams` keeps those of the output to itself
        from mirror.storage.durable import disk_error  # noqa: PLC0415 - for this case alone

        return _failed(disk_error(error, error.filename or ""))


def _failed(error: MirrorError) -> int:
    from mirror.text import complain  # noqa: PLC0415 - `--help` and `--version` do without

    complain(error, stream=sys.stderr)
    return error.exit_code
