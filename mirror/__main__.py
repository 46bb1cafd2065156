"""`python -m mirror`, and the script `kling-mirror`."""

import gc
import sys

_STOPPED_BY_SIGINT = 130
_OBJECTS_AT_START = 50_000
"""So many live for as long as the process: to look for garbage among them is time lost."""


def run() -> int:
    """Run the command line; a Ctrl-C while it is still being loaded ends it quietly."""
    gc.set_threshold(_OBJECTS_AT_START)
    try:
        from mirror.commands import signals, streams  # noqa: PLC0415 - a Ctrl-C is caught here

        signals.note()
        streams.guard()
        from mirror.cli import main  # noqa: PLC0415 - as above

        try:
            return main()
        finally:
            streams.report_lost_output()
    except KeyboardInterrupt:
        return _STOPPED_BY_SIGINT
    finally:
        gc.freeze()  # nor is there any use in searching them as the process ends


if __name__ == "__main__":
    sys.exit(run())
