"""Words for people: what came from outside made harmless, sizes, errors."""

from pathlib import Path
from typing import TextIO

from mirror.errors import MirrorError


def printable(text: str) -> str:
    """The text without anything that a terminal would obey or hide."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def decodable(path: Path) -> str:
    """A path as text that JSON can hold, whatever bytes are in its name."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def size(count: float) -> str:
    """Bytes for people: 1.5 MB is 1,500,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:  # noqa: PLR2004 - it would show as 1000
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB" if count < 999.5 else f"{count:,.0f} TB"  # noqa: PLR2004


def complain(error: MirrorError, *, stream: TextIO) -> None:
    """One error, in at most three lines: what, where, what to do."""
    lines = [f"kling-mirror: {error.what}", error.where, error.hint]
    stream.write("\n  ".join(printable(line) for line in lines if line) + "\n")
