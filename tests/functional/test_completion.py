"""Completion and the manual page, as real shells and real formatters take them."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from mirror.commands.completion import SHELLS
from mirror.commands.parser import full_parser
from mirror.commands.registry import COMMANDS
from mirror.errors import ExitCode
from mirror.settings import SETTINGS
from tests.conftest import RunProgram
from tests.lib.terminal import Terminal

_PROMPT = "READY> "
_SHOW = "kling-mirror() { printf '[%s]' \"$@\"; echo; }"
"""In place of the program: shows the words that completion made."""

CASES = (
    ("kling-mirror sy", "[sync]"),
    ("kling-mirror sync --conte", "[sync][--content-type]"),
    ("kling-mirror sync --content-type au", "[sync][--content-type][audio]"),
    ("kling-mirror sync --progress al", "[sync][--progress][always]"),
    ("kling-mirror sync --dest mir", "[sync][--dest][mirrors-of-mine/]"),
    ("kling-mirror sync --token-file mirth", "[sync][--token-file][mirth.txt]"),
    ("kling-mirror status --max", "[status][--max-age]"),
    ("kling-mirror completion ba", "[completion][bash]"),
)
"""What is typed before TAB, and the words that come of it. A file is no folder for `--dest`."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the shell is: a folder and a file whose names begin alike."""
    folder = tmp_path / "here"
    (folder / "mirrors-of-mine").mkdir(parents=True)
    (folder / "mirth.txt").touch()
    return folder


def _shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _script(program: RunProgram, shell: str, path: Path) -> Path:
    done = program("completion", shell)
    assert (done.code, done.err) == (0, "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(done.out)
    return path


def _complete(terminal: Terminal) -> None:
    """Type each case, TAB and Enter, and see what the shell made of it."""
    with terminal:
        for typed, words in CASES:
            terminal.expect(_PROMPT)
            terminal.type(f"{typed}\t\n")
            terminal.expect(words)


def test_bash_completes(program: RunProgram, environ: Mapping[str, str], folder: Path) -> None:
    """In a real bash, TAB completes commands, flags, their words, folders and files."""
    bash = _shell("bash")
    script = _script(program, "bash", folder.parent / "kling-mirror")
    start = folder.parent / "bashrc"
    start.write_text(f"source '{script}'\n{_SHOW}\nPS1='{_PROMPT}'\n")
    _complete(Terminal([bash, "--noprofile", "--rcfile", start, "-i"], env=environ, cwd=folder))


def test_zsh_completes(program: RunProgram, environ: Mapping[str, str], folder: Path) -> None:
    """The same in a real zsh, that finds the script in `$fpath`."""
    zsh = _shell("zsh")
    functions = _script(program, "zsh", folder.parent / "functions/_kling-mirror").parent
    (folder.parent / ".zshrc").write_text(
        f"fpath=('{functions}' $fpath)\nautoload -U compinit && compinit -D -u\n"
        f"{_SHOW}\nPROMPT='{_PROMPT}'\nunsetopt prompt_sp auto_remove_slash\n"
    )
    env = {**environ, "ZDOTDIR": str(folder.parent)}
    _complete(Terminal([zsh, "--no-globalrcs", "-i"], env=env, cwd=folder))


def test_fish_completes(
    program: RunProgram, environ: Mapping[str, str], home: Path, folder: Path
) -> None:
    """The same in a real fish, that finds the script among its user's completions."""
    fish = _shell("fish")
    _script(program, "fish", home / ".config/fish/completions/kling-mirror.fish")
    for typed, words in CASES:
        done = subprocess.run(
            [fish, "-c", f"function kling-mirror; end; complete -C '{typed}'"],
            env=environ, cwd=folder, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        found = [line.partition("\t")[0] for line in done.stdout.splitlines()]
        assert found == [words.rpartition("[")[2].removesuffix("]")], typed


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_every_command_and_setting(program: RunProgram, shell: str) -> None:
    """What is added to the program is completed, too."""
    done = program("completion", shell)
    flags = [setting.flag for setting in SETTINGS if setting.flag is not None]
    for word in (*COMMANDS, *flags):
        assert word.removeprefix("--") in done.out


def test_an_unknown_shell_is_a_usage_error(program: RunProgram) -> None:
    """It names those that there are."""
    done = program("completion", "cmd")
    assert (done.code, done.out) == (2, "")
    assert "fish" in done.err


# The manual page.


def _read_by(formatter: list[str], page: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(formatter[0]) is None:
        pytest.skip(f"{formatter[0]} is not installed")
    return subprocess.run(formatter, input=page, capture_output=True, text=True, check=False)


def test_the_manual_has_everything(program: RunProgram) -> None:
    """Each command, setting, variable and exit code is on the page."""
    page = program("man").out.replace(r"\-", "-").replace(r"\(ga", "`")
    text = " ".join(page.split())
    for name in COMMANDS:
        assert f".TP\n\\fB{name}\\fR\n" in page
    for setting in SETTINGS:
        assert f"\\fB{setting.env}\\fR, \\fB{setting.name}\\fR" in page
    for code in ExitCode:
        assert f".TP \\fB{int(code)}\\fR {code.meaning[0].upper()}{code.meaning[1:]}." in text
    _, parsers = full_parser()
    for parser in parsers.values():
        for action in parser._actions:  # noqa: SLF001 - argparse has no other way
            flag = [*action.option_strings, ""][-1]
            assert f"\\fB{flag}\\fR" in page or flag in ("", "--token")
    assert "\\fB--token\\fR" not in page


def test_mandoc_finds_nothing_to_mend(program: RunProgram) -> None:
    """The page is clean by the stricter reader; that it bears no date is on purpose."""
    shown = _read_by(["mandoc", "-Tlint"], program("man").out).stdout.splitlines()
    assert [line for line in shown if "missing date" not in line] == []


def test_groff_shows_the_page(program: RunProgram) -> None:
    """The other reader has no warning either, and shows words as they are to be typed."""
    done = _read_by(["groff", "-man", "-ww", "-Tascii", "-P-cbou"], program("man").out)
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    for words in (
        "kling-mirror - a provable, crash-proof copy of what you uploaded to Kling",
        "--content-type T, KLING_MIRROR_CONTENT_TYPE, content_type",
        "or `status --max-age` or `verify` found that something is wrong",
        "~/.config/kling-mirror/config.toml",
    ):
        assert words in text


# Exit codes have one source.


def test_help_has_the_exit_codes(program: RunProgram) -> None:
    """`--help` of each command has the enum's words; that of the program says so."""
    assert "exit codes" in program("--help").out
    text = " ".join(program("sync", "--help").out.split())
    for code in ExitCode:
        assert f" {int(code)} {code.meaning}" in text
    for parser in full_parser()[1].values():
        words = " ".join(parser.format_help().split())
        assert text.partition("exit codes:")[2] == words.partition("exit codes:")[2]
