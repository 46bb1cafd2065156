"""Where a listed URL may lead: to http(s), to public addresses, to allowed hosts."""

import pytest

from mirror.errors import FetchError
from mirror.net.urls import UrlRules, leads_home

PUBLIC_NAMES = ("http://v15-kling.klingai.com/x", "https://example.com:8443/a?b=c#d")
ANYWHERE = UrlRules(allow_private=True)


@pytest.mark.parametrize("url", PUBLIC_NAMES)
def test_public_urls_are_as_they_were(url: str) -> None:
    """The rules leave alone what they allow."""
    assert UrlRules().checked(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/etc/passwd",
        "//example.com/x",
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "ftp://example.com/x",
        "gopher://example.com/x",
        "dict://example.com/x",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "http:",
        "http://",
        "http:///x",
        "http://[::1/x",
        "http://?x",
        "https:example.com",
    ],
)
def test_what_is_no_http_url_is_refused(url: str) -> None:
    """Whatever else is allowed; it is final, and the query is not shown."""
    with pytest.raises(FetchError) as caught:
        ANYWHERE.checked(f"{url}?sig=SECRET")
    assert not caught.value.retryable
    assert "SECRET" not in str(caught.value)


def test_a_url_of_megabytes_is_refused() -> None:
    """No server takes it, libcurl does not either, and the message is short."""
    with pytest.raises(FetchError, match="too long") as caught:
        ANYWHERE.checked("https://cdn.example/" + "a" * 8_000_001)
    assert not caught.value.retryable
    assert len(str(caught.value)) < 300
    assert ANYWHERE.checked("https://cdn.example/" + "a" * 8000)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://cdn.example/a b?c=d e", "https://cdn.example/a%20b?c=d%20e"),
        ("https://cdn.example/\u00fc%20x?k=\u00e4", "https://cdn.example/%C3%BC%20x?k=%C3%A4"),
        ("https://cdn.example/a\0b\r\nHost: c", "https://cdn.example/a%00b%0D%0AHost:%20c"),
        ("https://cdn.example/\ud800", "https://cdn.example/?"),
        ("https://cdn.example/a'b(c)*,;=~[d]", "https://cdn.example/a'b(c)*,;=~[d]"),
    ],
    ids=ascii,
)
def test_a_url_is_asked_for_in_ascii(url: str, asked: str) -> None:
    """What HTTP cannot carry is escaped, what is escaped already is left."""
    assert ANYWHERE.checked(url) == asked


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",  # noqa: S104 - it is asked, not bound
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.178.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.1",
        "198.18.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "::ffff:127.0.0.1",
        "::ffff:a00:1",
        "::ffff:169.254.169.254",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    """Loopback, private, link-local, shared and reserved ones, in URLs and behind names."""
    with pytest.raises(FetchError) as caught:
        UrlRules().check_address(address)
    assert not caught.value.retryable
    host = f"[{address.partition('%')[0]}]" if ":" in address else address
    with pytest.raises(FetchError):
        UrlRules().checked(f"http://{host}/x")
    ANYWHERE.check_address(address)
    assert ANYWHERE.checked(f"http://{host}:8080/x") == f"http://{host}:8080/x"
    assert leads_home(f"http://{host}:8080/v1/kling")


@pytest.mark.parametrize(
    "address",
    [
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "fec0::1",
        "224.0.0.1",
        "239.255.255.250",
        "ff02::1",
    ],
)
def test_addresses_that_lead_to_such_by_a_detour(address: str) -> None:
    """IPv4 within IPv6 (compatible, NAT64, 6to4), site-local and multicast are not public."""
    with pytest.raises(FetchError):
        UrlRules().check_address(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_addresses_that_are_public(address: str) -> None:
    """They are let through, whatever the notation."""
    UrlRules().check_address(address)
    host = f"[{address}]" if ":" in address else address
    assert UrlRules().checked(f"https://{host}/x")
    assert not leads_home(f"https://{host}/v1/kling")


ALLOWED = UrlRules(allowed_hosts=("klingai.com", ".Kwai.NET."))


@pytest.mark.parametrize(
    "url",
    [
        "http://klingai.com/x",
        "https://v15-kling.klingai.com/x",
        "https://a.b.KLINGAI.com:444/x",
        "https://cdn.kwai.net/x",
        "https://user@klingai.com/x",
    ],
)
def test_allowed_hosts_and_their_subdomains(url: str) -> None:
    """A host that is named, and what lies below it."""
    assert ALLOWED.checked(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://evilklingai.com/x",
        "http://klingai.com.evil.com/x",
        "http://klingai.com@evil.com/x",
        "http://evil.com#@klingai.com/x",
        "http://evil.com/klingai.com",
        "http://evil.com?.klingai.com",
        "http://evil.com\\.klingai.com@evil.com/",
        "http://com/x",
        "http://8.8.8.8/x",
        "http://.klingai.com.evil.com/",
    ],
)
def test_other_hosts_are_refused_where_some_are_allowed(url: str) -> None:
    """No likeness, no user name, no path makes another host one of them."""
    with pytest.raises(FetchError) as caught:
        ALLOWED.checked(url)
    assert not caught.value.retryable


def test_an_allowed_host_may_still_not_be_private() -> None:
    """A host that is allowed by name does not open the local network."""
    with pytest.raises(FetchError):
        UrlRules(allowed_hosts=("127.0.0.1",)).checked("http://127.0.0.1/x")
