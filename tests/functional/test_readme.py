"""README's words are held: its commands parse, its names are there, its messages are ours."""

import ast
import re
import shlex
from pathlib import Path

import pytest

import mirror
from mirror.commands.parser import parse

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    {
        line.partition("  #")[0]
        .partition(" | ")[0]
        .partition(" > ")[0]
        .partition(" && ")[0]
        .strip()
        for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("kling-mirror ")
    }
)
MESSAGES = re.findall(r"^\*\*(.*?)\*\* — ", README, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    """Each command of README's is one that the program takes."""
    _, *arguments = shlex.split(command, comments=True)
    assert parse(arguments).command == arguments[0]


def test_enough_is_held() -> None:
    """The patterns above still find what README has."""
    assert len(COMMANDS) >= 20
    assert len(MESSAGES) > 8


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_are_ours(message: str) -> None:
    """Each message that README explains is one that the program can give, word for word."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "mirror").rglob("*.py"))
    # Texts that stand over several lines or have values inside are one text to a reader.
    source = re.sub(r'"\s*f?"', "", re.sub(r"\{[^{}]*\}", "…", source))
    wanted = re.sub(r"\d+", "…", message).strip("… ")
    assert wanted in source


def test_flags_are_ours() -> None:
    """Each flag in README's table of settings is one of `sync`."""
    table = README.partition("| flag | meaning |")[2].partition("\n\n")[0]
    flags = re.findall(r"`(--[a-z-]+)(?: [^`]*)?`", table)
    values = {"--dest": "d", "--token-file": "f", "--email": "e", "--content-type": "video"}
    values |= {"--file-name": "k", "--jobs": "8", "--limit-rate": "5M", "--max-gone": "10%"}
    values |= {"--min-free": "5M"}
    assert len(flags) > 10
    for flag in flags:
        parse(["sync", flag, *([values[flag]] if flag in values else [])])


def test_the_python_example_names_what_there_is() -> None:
    """Its syntax is right, and the package offers every name that it imports."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    tree = ast.parse(code)
    (imported,) = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    for alias in imported.names:
        assert getattr(mirror, alias.name)


@pytest.mark.parametrize("path", re.findall(r"\]\((\.?[A-Za-z][^):]*)\)", README))
def test_links_lead_somewhere(path: str) -> None:
    """Each file that README links to, or shows, is there."""
    assert (ROOT / path).exists()
