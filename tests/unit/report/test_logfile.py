"""The log file: its lines, who may read it, and what becomes of one that cannot be written."""

import json
import stat
from pathlib import Path

import pytest

from mirror.errors import DiskError
from mirror.models import FailedFile
from mirror.report.logfile import LogFile
from tests.unit.report.conftest import MakeResult, MakeRun

FAILURE = FailedFile("2", 5, "cover", "the server answered 404")


def test_text_is_a_line_for_each_thing(
    make_run: MakeRun, make_result: MakeResult, tmp_path: Path
) -> None:
    """Time, level and message, of printable characters; secrets are masked; for its owner alone."""
    path = tmp_path / "log"
    run = make_run(log_file=path)
    run.secrets.append("user:1-token")
    notes = LogFile(run)
    assert notes.start() is None
    notes.warn("\x1b[31mred\nuser:1-token")
    notes.failed(None, FAILURE)
    error = DiskError("the disk is full", where="/mirror", hint="free some space")
    notes.end(make_result(6, error), "nothing was done")
    assert notes.close() is None
    lines = [line.split(maxsplit=2) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line[1:] for line in lines] == [
        ["INFO", f"run {run.id} → {run.settings.dest}"],
        ["WARNING", r"\x1b[31mred\x0a…"],
        ["WARNING", "asset 2: cover failed: the server answered 404"],
        ["ERROR", "the disk is full (/mirror)"],
        ["INFO", "exit 6: nothing was done"],
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_json_is_an_object_a_line(
    make_run: MakeRun, make_result: MakeResult, tmp_path: Path
) -> None:
    """The documented fields, the run's id in each, the summary without its failures."""
    path = tmp_path / "log"
    run = make_run(log_file=path, log_format="json")
    notes = LogFile(run)
    notes.start()
    notes.failed(None, FAILURE)
    notes.end(make_result(3, failures=2), "1 failed")
    notes.close()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["start", "failed", "summary"]
    assert {line["run"] for line in lines} == {run.id}
    assert lines[1]["level"] == "warning"
    assert lines[1]["updateTime"] == 5
    assert lines[2]["summary"]["failures"] == []


def test_a_path_that_is_not_utf_8(make_run: MakeRun, tmp_path: Path) -> None:
    """A folder named in bytes that no text has is shown as well as can be."""
    path = tmp_path / "log"
    notes = LogFile(make_run(log_file=path, log_format="json", dest=Path("/mirror\udcff")))
    assert notes.start() is None
    assert notes.close() is None
    assert json.loads(path.read_bytes())["dest"] == "/mirror\ufffd"


def test_it_is_rotated(make_run: MakeRun, tmp_path: Path) -> None:
    """No file grows beyond its size, and no more than so many old ones are kept."""
    path = tmp_path / "logs" / "log"
    path.parent.mkdir()
    notes = LogFile(make_run(log_file=path, log_size=1000, log_keep=2))
    notes.start()
    for number in range(100):
        notes.warn(f"warning {number}")
    assert notes.close() is None
    assert {path.name for path in path.parent.iterdir()} == {"log", "log.1", "log.2"}
    assert all(0 < path.stat().st_size <= 1000 for path in path.parent.iterdir())
    assert path.read_text(encoding="utf-8").endswith("warning 99\n")


def test_no_folder_is_made_for_it(make_run: MakeRun, tmp_path: Path) -> None:
    """A folder that is missing may be a volume that is not mounted."""
    path = tmp_path / "unmounted" / "log"
    trouble = LogFile(make_run(log_file=path)).start()
    assert trouble == f"no log is written: {path}: No such file or directory"
    assert not path.parent.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk to be full")
def test_a_full_disk_is_reported_once(make_run: MakeRun) -> None:
    """What cannot be written stops nothing, and is reported when the log is closed."""
    notes = LogFile(make_run(log_file=Path("/dev/full")))
    assert notes.start() is None
    for number in range(3):
        notes.warn(f"warning {number}")
    trouble = notes.close()
    assert trouble is not None
    assert trouble.startswith("the log file is not complete: ")
    assert "No space left" in trouble
