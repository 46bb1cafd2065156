"""Flags that several commands share: each setting is one, and is given only if it was written."""

import argparse

import pytest

from mirror.commands.flags import add_settings, duration_s, given
from mirror.settings import GROUPS, SETTINGS


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    """A parser with all settings."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_settings(parser, GROUPS)
    return parser


def test_what_was_not_written_is_not_given(parser: argparse.ArgumentParser) -> None:
    """Environment, file and default then have their say."""
    assert given(parser.parse_args([])) == {}


def test_what_was_written_is_given_as_it_is(parser: argparse.ArgumentParser) -> None:
    """Lists by repetition, switches as true, the rest as text: the settings read it."""
    words = ["--email", "a@x", "--email", "b@x", "--no-covers", "--jobs", "many"]
    assert given(parser.parse_args(words)) == {
        "email": ["a@x", "b@x"],
        "no_covers": True,
        "jobs": "many",
    }


def test_the_help_names_every_flag_and_its_default(parser: argparse.ArgumentParser) -> None:
    """Under the heading of its group; a secret is no flag."""
    text = " ".join(parser.format_help().split())
    for setting in SETTINGS:
        assert (f"--{setting.name.replace('_', '-')} " in text) == setting.has_flag
    assert "(default: 500M)" in text
    assert all(heading in text for heading in GROUPS.values())


@pytest.mark.parametrize(
    ("text", "seconds"), [("26h", 93_600), ("90m", 5400), ("2d", 172_800), ("1.5s", 1.5)]
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    """Seconds, minutes, hours or days."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "26", "h", "x26h", "26w", "nanh", "infd", "-1h"])
def test_what_is_no_duration(text: str) -> None:
    """The error shows what one looks like."""
    with pytest.raises(argparse.ArgumentTypeError, match="26h"):
        duration_s(text)
