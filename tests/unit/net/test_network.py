"""What the environment's proxies and certificates mean, for all who ask the network."""

from pathlib import Path

import pytest

from mirror.errors import UsageError
from mirror.net.network import Network, is_loopback, without_login

URL = "https://cdn.example.com/x"
pytestmark = pytest.mark.usefixtures("no_surroundings")


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, URL, ""),
        ({"https_proxy": "http://a:1"}, URL, "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1"}, URL, "http://a:1"),
        ({"https_proxy": "http://b:1", "HTTPS_PROXY": "http://a:1"}, URL, "http://b:1"),
        ({"http_proxy": "http://a:1"}, URL, ""),
        ({"http_proxy": "http://a:1"}, "HTTP://cdn.example.com/x", "http://a:1"),
        ({"all_proxy": "http://a:1"}, URL, "http://a:1"),
        ({"all_proxy": "http://a:1", "https_proxy": "http://b:1"}, URL, "http://b:1"),
        ({"https_proxy": ""}, URL, ""),
        # However it is written; every one has a port, for libcurl and httpx do not agree on that.
        ({"https_proxy": "a:3128"}, URL, "http://a:3128"),
        ({"https_proxy": " http://a:3128\r"}, URL, "http://a:3128"),
        ({"https_proxy": "http://a"}, URL, "http://a:80"),
        ({"https_proxy": "https://a/"}, URL, "https://a:443"),
        ({"https_proxy": "socks5://a"}, URL, "socks5h://a:1080"),
        ({"https_proxy": "SOCKS5H://a:1"}, URL, "socks5h://a:1"),
        ({"https_proxy": "http://[::1]:1"}, URL, "http://[::1]:1"),
        ({"https_proxy": "http://me:p@ss%21@a:1"}, URL, "http://me:p%40ss%21@a:1"),
        ({"https_proxy": "http://me@a:1"}, URL, "http://me:@a:1"),
        # What GNOME sets: SOCKS, and the proxy looks names up.
        ({"ALL_PROXY": "socks://127.0.0.1:1080/"}, URL, "socks5h://127.0.0.1:1080"),
    ],
    ids=str,
)
def test_proxies(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], url: str, proxy: str
) -> None:
    """The variable of the URL's own scheme comes first, then `all_proxy`."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert Network().proxy_for(url) == proxy


@pytest.mark.parametrize(
    "value",
    [
        "ftp://a:1",
        "http://",
        "http://:3128",
        "http://a:99999",
        "http://a:b",
        "http://[::1",
        "a b:1",
    ],
)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_what_is_no_proxy_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """The variable, what is in it, and what should be."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError) as caught:
        Network()
    assert variable.upper() in caught.value.what
    assert caught.value.where == value
    assert "http://host:3128" in caught.value.hint


@pytest.mark.parametrize(
    ("names", "host", "is_excepted"),
    [
        ("*", "cdn.example.com", True),
        ("example.com", "cdn.example.com", True),
        (".example.com", "cdn.example.com", True),
        ("*.example.com", "cdn.example.com", True),
        ("EXAMPLE.com", "CDN.example.COM", True),
        ("other.com, example.com", "example.com", True),
        ("ample.com", "example.com", False),
        ("cdn.example.com", "example.com", False),
        ("example.com:443", "example.com", True),
        ("example.com:80", "example.com", False),
        ("example.com:8443", "example.com:8443", True),
        ("127.0.0.1", "127.0.0.1:8443", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "[fd00::1]", False),
        ("::1", "[::1]", True),
        ("[::1]", "[::1]:8443", True),
        ("[::1]:8443", "[::1]:8443", True),
        ("[::1]:80", "[::1]:8443", False),
        ("fd00::/8", "[fd12:3456::1]", True),
        ("0:0:0:0:0:0:0:1", "[::1]", True),
        ("fe80::/10", "[fe80::1%25eth0]", True),
        ("", "example.com", False),
        (" , ", "example.com", False),
    ],
)
def test_exceptions_from_the_proxy(
    monkeypatch: pytest.MonkeyPatch, names: str, host: str, *, is_excepted: bool
) -> None:
    """Names, domains, addresses and networks of both kinds, with a port or without."""
    monkeypatch.setenv("https_proxy", "http://a:1")
    monkeypatch.setenv("no_proxy", names)
    assert (Network().proxy_for(f"https://{host}/x") == "") == is_excepted


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """Before anything is asked, and with the path."""
    path = str(tmp_path / "missing")
    monkeypatch.setenv(variable, path)
    with pytest.raises(UsageError, match=variable) as caught:
        Network()
    assert caught.value.where == path


def test_a_file_without_certificates_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is no certificate trusts nobody."""
    path = tmp_path / "file"
    path.write_text("none here")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(UsageError, match="SSL_CERT_FILE"):
        Network()


def test_certificates_come_from_certifi_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Unless the environment names some: then from there alone."""
    assert str(Network().ca_file).endswith("cacert.pem")
    assert Network().ca_folder is None
    monkeypatch.setenv("SSL_CERT_DIR", f"/nowhere:{tmp_path}")
    assert (Network().ca_file, Network().ca_folder) == (None, f"/nowhere:{tmp_path}")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "LOCALHOST"])
def test_this_machine(host: str) -> None:
    """By name and by address."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "example.com", "10.0.0.1", "localhost.example.com"])
def test_other_machines(host: str) -> None:
    """Near or far."""
    assert not is_loopback(host)


def test_a_login_is_not_shown() -> None:
    """In messages a proxy is its scheme, host and port."""
    assert without_login("http://me:p@ss@a:1") == "http://a:1"
    assert without_login("me:pass@a:1") == "a:1"
    assert without_login("") == ""
