"""Python's own HTTP client: which way it takes to its host, and who may read along."""

import pytest

from mirror.errors import UsageError
from mirror.net.client import open_client, open_transport, proxy_of
from mirror.net.network import Network

URL = "https://api.example.com/x"
pytestmark = pytest.mark.usefixtures("no_surroundings")


@pytest.mark.parametrize(
    ("url", "is_secret", "proxy"),
    [
        ("https://api.example/v1", True, "http://a:1"),
        ("http://api.example/v1", True, ""),
        ("HTTP://192.168.1.5/v1", True, ""),
        ("http://localhost:8000/v1", True, "http://a:1"),
        ("http://[::1]:8000/v1", True, "http://a:1"),
        ("http://api.example/v1", False, "http://a:1"),
    ],
)
def test_no_proxy_reads_a_secret(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str, *, is_secret: bool
) -> None:
    """Over plain http it would: such a host is asked directly, or not at all."""
    monkeypatch.setenv("ALL_PROXY", "http://a:1")
    assert proxy_of(url, Network(), is_secret=is_secret) == proxy


def test_socks_4_is_for_files_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's client does not speak it; the message says what may."""
    monkeypatch.setenv("ALL_PROXY", "socks4://me:secret@a:1")
    assert Network().proxy_for(URL) == "socks4://me:secret@a:1"
    with pytest.raises(UsageError, match="SOCKS 4") as caught:
        open_transport(URL, Network(), is_secret=False)
    assert caught.value.where == "socks4://a:1"


def test_the_client_follows_nobody_but_its_host() -> None:
    """Redirects are answers, and what it sends has its headers."""
    with open_client(URL, Network(), headers={"X": "1"}, timeout_s=1) as client:
        assert not client.follow_redirects
        assert client.headers["x"] == "1"
        assert client.headers["user-agent"].startswith("kling-mirror/")
