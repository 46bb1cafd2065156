"""Colours: on a terminal, for what matters, and nowhere else."""

import io

import pytest

from mirror.errors import MirrorError
from mirror.report.colours import coloured
from mirror.text import complain

GREEN, RED, CYAN, END = "\x1b[32m", "\x1b[31m", "\x1b[36m", "\x1b[0m"


class Terminal(io.StringIO):
    """A stream that says that it is one."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture(autouse=True)
def _colours_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("WT_SESSION", "1")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Safe: all is here.", f"{GREEN}Safe{END}: all is here."),
        ("Not safe: 3 failed.", f"{RED}Not safe{END}: 3 failed."),
        ("damaged: a.mp4", f"{RED}damaged:{END} a.mp4"),
        (
            "3 files checked: every file is as recorded",
            f"3 files checked: {GREEN}every file is as recorded{END}",
        ),
        ("  video   3 assets", "  video   3 assets"),
    ],
)
def test_what_matters_has_a_colour(line: str, shown: str) -> None:
    """The verdict and the problems; all else is plain."""
    assert coloured(line, Terminal()) == shown
    assert coloured(line, io.StringIO()) == line


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_none_gets_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """By the environment, as everywhere."""
    monkeypatch.setenv(name, value)
    assert coloured("Safe: all is here.", Terminal()) == "Safe: all is here."


def test_an_error_and_its_hint() -> None:
    """The name is red, the hint cyan; the escape codes of others stay harmless."""
    stream = Terminal()
    complain(MirrorError("no \x1b[2J", where="there", hint="do this"), stream=stream)
    assert stream.getvalue() == (
        f"{RED}kling-mirror:{END} no \\x1b[2J\n  there\n{CYAN}  do this{END}\n"
    )


def test_a_closed_stream_has_no_colour() -> None:
    """It is the writer who finds out."""
    stream = io.StringIO()
    stream.close()
    assert coloured("Safe: all is here.", stream) == "Safe: all is here."
