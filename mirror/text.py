"""Words for people: harmless text, sizes, counts, times, errors."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Literal, TextIO

from mirror.errors import MirrorError

_JOINERS = "\u200c\u200d"
"""Invisible and harmless: Persian words and family emoji need them."""
Colour = Literal["red", "green", "yellow", "cyan"]
_COLOURS: Mapping[Colour, int] = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}
_LONG_SECRET = 8
"""A shorter one may be a part of any word: masking must not eat ordinary letters."""
_ALIKE = 0.6
"""How like two words are, from 0 to 1, if one may be meant by the other."""


def printable(text: str) -> str:
    """Escape everything in a text that a terminal would obey or hide."""
    return "".join(
        char if char.isprintable() or char in _JOINERS else f"\\x{ord(char):02x}" for char in text
    )


def wrapped(line: str, columns: int) -> str:
    """Wrap a line between words to fit a terminal; later lines are indented more."""
    import textwrap  # noqa: PLC0415 - for a terminal alone

    indent = line[: len(line) - len(line.lstrip())]
    wrap = textwrap.TextWrapper(
        max(columns, 20),
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return line if len(line) <= columns else "\n".join(wrap.wrap(line))


def decodable(path: object) -> str:
    """A path, or a URL, as text that JSON can hold, whatever bytes its name has."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def masked(text: str, secrets: Iterable[str]) -> str:
    """Replace each secret in a text by an ellipsis; a short one only where it is a word."""
    for secret in filter(None, secrets):
        if len(secret) >= _LONG_SECRET:
            text = text.replace(secret, "…")
        else:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "…", text)
    return text


def size(count: float) -> str:
    """Bytes for people: 1.5 MB is 1,500,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:  # noqa: PLR2004 - it would show as 1000
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB" if count < 999.5 else f"{count:,.0f} TB"  # noqa: PLR2004


def counted(number: int, one: str, several: str = "") -> str:
    """A number with its noun: `1 file`, `2,000 files`."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def painted(text: str, colour: Colour, stream: TextIO) -> str:
    """A text in a colour, if the stream is a terminal that shows colours and its user wants any.

    See https://no-color.org. Windows' old console is left alone.
    """
    if not text or not _shows_colours(stream):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def fitted(line: str, stream: TextIO) -> str:
    """A line, wrapped between words if the stream is a terminal that is narrower."""
    try:
        return wrapped(line, os.get_terminal_size(stream.fileno()).columns or len(line))
    except (OSError, ValueError):  # it is none
        return line


def _shows_colours(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    if os.name == "nt" and "WT_SESSION" not in os.environ:
        return False
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def complain(error: MirrorError, *, stream: TextIO) -> None:
    """Write one error, in at most three lines: what, where, what to do."""
    name = "kling-mirror:"
    lines = [f"{name} {error.what}", *(f"  {line}" for line in (error.where, error.hint) if line)]
    shown = [fitted(printable(line), stream) for line in lines]
    shown[0] = painted(name, "red", stream) + shown[0].removeprefix(name)
    if error.hint:
        shown[-1] = painted(shown[-1], "cyan", stream)
    stream.write("\n".join(shown) + "\n")


def ago(seconds: float) -> str:
    """How long ago something was, in the largest unit that gives at least 2."""
    for unit, length_s in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds // length_s:,.0f} {unit} ago"
    if seconds <= -60:  # noqa: PLR2004 - as below
        return "in the future"
    return "just now" if seconds < 60 else "1 minute ago"  # noqa: PLR2004 - a minute has as many


def nearest(word: str, known: Iterable[str]) -> str | None:
    """What was probably meant by a misspelt word; None if nothing is like it."""
    import difflib  # noqa: PLC0415 - for mistakes alone

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=_ALIKE)), None)
