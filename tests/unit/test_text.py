"""Words for people: what came from outside is harmless, and numbers are short."""

import io
from pathlib import Path

import pytest

from mirror.errors import MirrorError
from mirror.text import ago, complain, counted, decodable, masked, printable, size, wrapped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, плёнка, 四", "plain, плёнка, 四"),
        ("red\x1b[31m", r"red\x1b[31m"),
        ("two\nlines\r\t", r"two\x0alines\x0d\x09"),
        ("right\u202eleft", r"right\x202eleft"),
        ("a\u2028b", r"a\x2028b"),
        ("می\u200cخواهم 👨\u200d👩", "می\u200cخواهم 👨\u200d👩"),  # noqa: RUF001 - Persian
    ],
)
def test_what_a_terminal_would_obey_is_spelt_out(text: str, shown: str) -> None:
    """Control characters lose their power; letters of every script keep their looks."""
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("bytes_", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_500_000, "1.5 MB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (123_456_789_012, "123 GB"),
        (5 * 10**12, "5 TB"),
        (10**18, "1,000,000 TB"),
    ],
)
def test_sizes_have_three_digits_and_a_unit(bytes_: int, shown: str) -> None:
    """A unit is a thousand of the one below it, as disks are sold."""
    assert size(bytes_) == shown


def test_one_is_not_several() -> None:
    """The noun follows its number, by an `s` or by the plural that is given."""
    assert counted(1, "file") == "1 file"
    assert counted(0, "file") == "0 files"
    assert counted(12_345, "entry", "entries") == "12,345 entries"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (119, "1 minute ago"),
        (120, "2 minutes ago"),
        (2 * 3600 - 1, "119 minutes ago"),
        (2 * 3600, "2 hours ago"),
        (2 * 86_400 - 1, "47 hours ago"),
        (2 * 86_400, "2 days ago"),
        (4000 * 86_400, "4,000 days ago"),
    ],
)
def test_a_time_is_in_its_largest_unit(seconds: float, shown: str) -> None:
    """The largest unit of which there are two or more."""
    assert ago(seconds) == shown


def test_a_line_breaks_between_words() -> None:
    """What follows is indented a little more; a line that fits stays as it is."""
    assert wrapped("  short", 20) == "  short"
    assert wrapped("  a line of several words that are too many", 24) == (
        "  a line of several\n      words that are too\n      many"
    )
    path = f"see {'/very' * 20}/long"
    assert path.split()[1] in wrapped(path, 30).split(), "a path stays in one piece"


def test_secrets_are_masked() -> None:
    """Each secret, wherever it stands."""
    assert masked("https://host/key?key=key2", ["key2", "key"]) == "https://host/…?…=…"


def test_a_path_that_is_no_utf8_is_still_text() -> None:
    """What cannot be decoded is shown as a mark, so that JSON can hold the rest."""
    path = Path(b"/caf\xe9".decode(errors="surrogateescape"))
    assert decodable(path) == "/caf\ufffd"
    assert decodable(Path("/café")) == "/café"


def test_an_error_takes_at_most_three_lines() -> None:
    """What, where, what to do; a line that says nothing is left out, and none is broken."""
    stream = io.StringIO()
    complain(MirrorError("it failed", where="/a\nb", hint="try again"), stream=stream)
    complain(MirrorError("it failed"), stream=stream)
    assert stream.getvalue() == (
        "kling-mirror: it failed\n  /a\\x0ab\n  try again\nkling-mirror: it failed\n"
    )


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        ("a token a", ["a"], "… token …"),
        ("the user:12-abcdef here", ["user:12-abcdef"], "the … here"),
        ("xuser:12-abcdefx", ["user:12-abcdef"], "x…x"),
        ("abc abcd", ["abc", ""], "… abcd"),
    ],
)
def test_masking_eats_no_ordinary_letters(text: str, secrets: list[str], shown: str) -> None:
    """A long secret is hidden wherever it stands, a short one as a word alone."""
    assert masked(text, secrets) == shown
