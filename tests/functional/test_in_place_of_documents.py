"""Pipes, links and folders in the place of the mirror's own documents: an error, and no waiting."""

import os
from pathlib import Path

import pytest

from tests.conftest import RunProgram
from tests.lib.invariant import PRIVATE
from tests.lib.library import Library
from tests.lib.misbehaving import Misbehaving

DOCUMENTS = ("manifest.json", f"{PRIVATE}/journal", f"{PRIVATE}/promised", f"{PRIVATE}/runs.jsonl")


@pytest.fixture
def mirror(library: Library, service: Misbehaving, sync_to: RunProgram, dest: Path) -> Path:
    """A complete mirror."""
    library.fill(2)
    assert sync_to(service, dest).code == 0
    return dest


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_pipe_is_not_waited_for(
    mirror: Path, service: Misbehaving, sync_to: RunProgram, program: RunProgram, name: str
) -> None:
    """`sync` names it and ends with 6; once it is out of the way, nothing is lost."""
    document = mirror / name
    content = document.read_bytes() if document.exists() else None
    document.unlink(missing_ok=True)
    os.mkfifo(document)
    done = sync_to(service, mirror)
    assert (done.code, str(document) in done.err) == (6, True), done.err
    assert "something else is in the place of a file" in done.err
    assert program("status", "--dest", mirror).code in {0, 6}
    document.unlink()
    if content is not None:
        document.write_bytes(content)
    assert sync_to(service, mirror).code == 0
    assert program("verify", "--dest", mirror).code == 0


@pytest.mark.parametrize("name", ["runs.jsonl", "lock"])
def test_a_link_is_named(
    mirror: Path, service: Misbehaving, sync_to: RunProgram, tmp_path: Path, name: str
) -> None:
    """One that leads nowhere is not followed, and the error says what to do."""
    document = mirror / PRIVATE / name
    document.unlink(missing_ok=True)
    document.symlink_to(tmp_path / "nowhere")
    done = sync_to(service, mirror)
    assert (done.code, str(document) in done.err) == (6, True), done.err
    assert "remove that link" in done.err
    document.unlink()
    assert sync_to(service, mirror).code == 0
