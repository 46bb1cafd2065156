"""The job in the forms of cron, systemd, launchd and Windows: its words arrive as they are."""

import datetime as dt
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mirror.commands import schedule_forms

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such names, and no such forms")


@posix
@settings(max_examples=50, deadline=None, database=None)
@given(word=st.text(st.sampled_from("a b%\\'\"$`~*#;&|<>()!?\u0436"), max_size=12))
@example(word="a\\\\b")
@example(word="\\\\\\%")
def test_any_word_survives_any_cron(word: str) -> None:
    r"""Whether cron itself takes the backslash from `\%` and `\\`, or leaves it to the shell."""
    job = schedule_forms.Job(
        at=dt.time(3, 17),
        program=["/bin/kling-mirror"],
        options=[f"--dest=/{word}"],
        home=Path("/h"),
        is_root=False,
        writes=(),
    )
    line, _ = schedule_forms.render("cron", job)
    _, _, quoted = line.removesuffix("\n").partition("sync ")
    for passed in (quoted, _taken(quoted)):
        shell = subprocess.run(
            ["/bin/sh", "-c", f"printf '%s' {passed}"], capture_output=True, check=True
        )
        assert shell.stdout.decode() == f"--dest=/{word}"


def _taken(command: str) -> str:
    r"""What is left of a command once cron has taken the backslash from `\%` and `\\`."""
    taken, escaped = "", False
    for char in command:
        if escaped and char in "%\\":
            taken = taken[:-1]
        assert escaped or char != "%", "cron would end the command here"
        escaped = char == "\\" and not escaped
        taken += char
    return taken
