"""The command line's grammar: what stands where, and what the help says."""

import pytest

from mirror.commands.parser import EXAMPLES, full_parser, parse
from mirror.commands.registry import COMMANDS
from mirror.errors import ExitCode


@pytest.mark.parametrize(
    "words",
    [
        ["-vv", "--config", "c.toml", "list"],
        ["list", "-vv", "--config", "c.toml"],
        ["-vv", "list", "--config", "c.toml"],
    ],
)
def test_shared_flags_stand_before_or_after_the_command(words: list[str]) -> None:
    """They mean the same in both places."""
    found = parse(words)
    assert (found.command, found.verbosity, found.config) == ("list", 2, "c.toml")


@pytest.mark.parametrize(("words", "verbosity"), [([], 0), (["-v"], 1), (["-q"], -1)])
def test_how_much_is_said_is_one_number(words: list[str], verbosity: int) -> None:
    """-1 for errors only."""
    assert parse([*words, "status"]).verbosity == verbosity


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["synk"],
        ["-q", "-v", "sync"],
        ["sync", "--token", "user:1-x"],
        ["sync", "--tok=x"],
        ["status", "--jobs", "3"],
    ],
)
def test_what_is_wrong_ends_with_exit_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An abbreviation is no flag: `--token` must not mean `--token-file`."""
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == ExitCode.USAGE
    assert "usage: kling-mirror" in "".join(capsys.readouterr())


def test_the_help_lists_the_commands_on_one_screen() -> None:
    """24 rows of 80 columns, with the prompt below; each command's help has the exit codes."""
    parser, commands = full_parser()
    lines = parser.format_help().splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert list(commands) == list(COMMANDS)
    for name, row in COMMANDS.items():
        assert [line for line in lines if line.split() == [name, *row.text.split()]]
    for each in commands.values():
        page = " ".join(each.format_help().split())
        assert all(f"{code:d} {code.meaning}" in page for code in ExitCode)


def test_the_examples_are_commands() -> None:
    """Each parses."""
    for line, _ in EXAMPLES:
        assert parse(line.split()[1:]).command in COMMANDS
