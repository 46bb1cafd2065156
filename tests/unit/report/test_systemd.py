"""systemd's notifications arrive where somebody listens, and are missed by nobody elsewhere."""

import contextlib
import socket
import sys
import uuid
from pathlib import Path

import pytest

from mirror.report.systemd import Notifier
from tests.unit.report.conftest import MakeResult, MakeRun

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_hears_the_start_and_the_end(
    make_run: MakeRun,
    make_result: MakeResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_abstract: bool,
) -> None:
    """READY when the run begins, STOPPING when it ends: to a path, or an abstract name."""
    name = f"@kling-mirror-{uuid.uuid4()}" if is_abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(name.replace("@", "\0"))
        notifier = Notifier(make_run())
        notifier.start()
        notifier.end(make_result(), "")
        assert [systemd.recv(99), systemd.recv(99)] == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize("address", ["/nowhere/notify", "vsock:2:1234", "@", "/" + "x" * 300])
def test_a_deaf_systemd_is_no_trouble(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """A socket that nobody listens at, or a nonsense address, changes nothing."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Notifier(make_run()).start()
