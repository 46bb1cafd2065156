"""Exit codes: every error has one, and documents and errors agree on what they mean."""

import signal
from pathlib import Path

import pytest

from mirror import errors
from mirror.errors import ExitCode, Interrupted, MirrorError

ROOT = Path(__file__).parents[2]


ERRORS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, MirrorError)
]


def test_the_documented_table_is_the_enum() -> None:
    """One document has a row for each exit code, in the enum's own words."""
    texts = [path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))]
    rows = [f"| {int(code)} | {code.meaning} | {code.then} |" for code in ExitCode]
    assert any("\n".join(rows) in text for text in texts)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_stands_in_the_drawn_tree(error: type[MirrorError]) -> None:
    """The module's docstring draws each error with its exit code."""
    lines = [line for line in str(errors.__doc__).splitlines() if f" {error.__name__} " in line]
    assert len(lines) == 1
    assert error is Interrupted or str(int(error.exit_code)) in lines[0]


def test_the_worst_of_several_errors_is_never_in_doubt() -> None:
    """No two codes have one rank but the stops, of which a run meets one alone."""
    ranks = [code.rank for code in ExitCode if code < 128]
    assert len(set(ranks)) == len(ranks)
    assert min(ranks) == ExitCode.COMPLETE.rank
    assert all(code.rank > max(ranks) for code in ExitCode if code >= 128)


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 130)],
)
def test_a_stop_has_its_signal_s_code(signum: int, code: int) -> None:
    """128 and the signal's number; what is no stop signal counts as Ctrl-C."""
    assert Interrupted(signum).exit_code == code
