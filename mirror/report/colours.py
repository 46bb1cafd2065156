"""Which lines of a report have a colour on a terminal: those that say whether all is well."""

from typing import TextIO

from mirror.text import Colour, painted

_TONES: tuple[tuple[str, Colour], ...] = (
    ("Safe", "green"),
    ("Not safe", "red"),
    ("Out of date", "yellow"),
    ("  Also:", "yellow"),
    ("  →", "red"),
    ("  The disk has", "yellow"),
    ("Waiting to be fetched", "red"),
    ("missing:", "red"),
    ("damaged:", "red"),
    ("lost, and no longer at Kling:", "red"),
    ("could not be restored yet:", "red"),
    ("not in the manifest:", "yellow"),
    ("no entry could be made for:", "yellow"),
)
"""How a line begins, and the colour of these words."""
_VERDICTS: tuple[tuple[str, Colour], ...] = (
    ("every file is as recorded", "green"),
    (" missing or damaged", "red"),
)
"""What stands in the line of a verdict, and its colour."""


def coloured(line: str, stream: TextIO) -> str:
    """A line as a terminal shows it; elsewhere it stays as it is."""
    for beginning, colour in _TONES:
        if line.startswith(beginning):
            return painted(beginning, colour, stream) + line.removeprefix(beginning)
    for words, colour in _VERDICTS:
        if words in line:
            return line.replace(words, painted(words, colour, stream))
    return line
