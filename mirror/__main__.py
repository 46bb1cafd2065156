"""`python -m mirror`, and the script `kling-mirror`."""

import sys

_STOPPED_BY_SIGINT = 130


def run() -> int:
    """Run the command line; a Ctrl-C while it is still being loaded ends it quietly."""
    try:
        from mirror.cli import main  # noqa: PLC0415 - so that the interruption is caught here

        return main()
    except KeyboardInterrupt:
        return _STOPPED_BY_SIGINT


if __name__ == "__main__":
    sys.exit(run())
