"""The documents are held: commands parse, messages are ours, names and links lead somewhere."""

import ast
import re
import shlex
from pathlib import Path

import pytest

import mirror
from mirror.commands.parser import parse
from mirror.errors import ExitCode

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *ROOT.glob("docs/*.md"))
}
README = DOCUMENTS["README.md"]
REFERENCE = DOCUMENTS["docs/reference.md"]
COMMANDS = sorted(
    {
        line.partition("  #")[0]
        .partition(" | ")[0]
        .partition(" > ")[0]
        .partition(" && ")[0]
        .strip()
        for text in DOCUMENTS.values()
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("kling-mirror ")
    }
)
MESSAGES = re.findall(r"^\*\*(.*?)\*\* — ", DOCUMENTS["docs/troubleshooting.md"], re.MULTILINE)
LINKS = [
    (name, target)
    for name, text in DOCUMENTS.items()
    for target in re.findall(r"\]\(([^):]+)\)", text)
]
PATHS = [
    (name, path)
    for name, text in DOCUMENTS.items()
    for path in re.findall(r"`((?:mirror|tests|docs)/[\w/.-]+)`", text)
]
TESTS = re.findall(r"`(test_\w+(?:::\w+)?)`", DOCUMENTS["docs/faults.md"])


def test_enough_is_held() -> None:
    """The patterns above still find what the documents have."""
    assert len(COMMANDS) >= 20
    assert len(MESSAGES) > 8
    assert len(LINKS) > 12
    assert len(PATHS) > 3
    assert len(TESTS) > 30


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    """Each command in a document is one that the program takes."""
    _, *arguments = shlex.split(command, comments=True)
    assert parse(arguments).command in arguments


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_are_ours(message: str) -> None:
    """Each message that is explained is one that the program can give, word for word."""
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
    values |= {"--min-free": "5M", "--since": "2026-01-31", "--until": "2026-01-31"}
    assert len(flags) > 10
    for flag in flags:
        parse(["sync", flag, *([values[flag]] if flag in values else [])])


def test_the_exit_codes_are_the_enum() -> None:
    """The table has each code with its meaning and what comes then, and no other."""
    head = "| code | meaning | then |\n|---|---|---|\n"
    table = REFERENCE.partition(head)[2].partition("\n\n")[0]
    assert table.splitlines() == [
        f"| {int(code)} | {code.meaning} | {code.then} |" for code in sorted(ExitCode)
    ]


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", REFERENCE, re.DOTALL))
def test_a_python_example_names_what_there_is(code: str) -> None:
    """Its syntax is right, and the package offers every name that it imports."""
    tree = ast.parse(code)
    (imported,) = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    for alias in imported.names:
        assert getattr(mirror, alias.name)


@pytest.mark.parametrize(("document", "target"), LINKS)
def test_links_lead_somewhere(document: str, target: str) -> None:
    """Each file that a document links to is there, and so is the heading in it."""
    path, _, anchor = target.partition("#")
    file = (ROOT / document).parent / path
    assert file.exists()
    if anchor:
        headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("document", "path"), PATHS)
def test_paths_exist(document: str, path: str) -> None:
    """Each file of ours that a document names is there."""
    assert (ROOT / path).exists(), document


@pytest.mark.parametrize("name", TESTS)
def test_faults_name_their_tests(name: str) -> None:
    """Each test that the table of faults names is there: a module, or a function in one."""
    module, _, function = name.partition("::")
    texts = [path.read_text("utf-8") for path in (ROOT / "tests").rglob(f"{module}.py")]
    assert any(f"def {function}(" in text for text in texts) if function else texts
