"""Which listed URLs may be requested: one must not lead to a device in the local network."""

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from mirror.errors import FetchError

_IPV4_INSIDE = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))
"""IPv4-compatible addresses and NAT64: their last 32 bits are an IPv4 address."""


_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:-]+/")
_PLAIN = re.compile(r"[A-Za-z0-9_.\-!#$%&'()*+,/:;=?@\[\]~]*")
_SAFE = "!#$%&'()*+,/:;=?@[]~"
_MOST_ORIGINS = 1000
_MOST_CHARS = 65_536


class UrlRules:
    """The rules for URLs that files may be requested from.

    Args:
        allow_private: whether addresses that are not public may be connected to.
        allowed_hosts: when not empty, the only hosts, and their subdomains, that may be asked.
    """

    def __init__(self, *, allow_private: bool = False, allowed_hosts: Iterable[str] = ()) -> None:
        self._allow_private = allow_private
        self._allowed = tuple(host.strip(".").lower() for host in allowed_hosts)
        self._good_origins: set[str] = set()

    def checked(self, url: str) -> str:
        """The URL in ASCII, as HTTP wants it.

        Raises:
            FetchError: it is no http(s) URL, or its host may not be asked.
        """
        if len(url) > _MOST_CHARS:
            raise FetchError("its URL is too long", where=url[:100], retryable=False)
        if (found := _ORIGIN.match(url)) is None or found[0] not in self._good_origins:
            self._check_origin(url)
            if found is not None and len(self._good_origins) < _MOST_ORIGINS:
                self._good_origins.add(found[0])
        return url if _PLAIN.fullmatch(url) else quote(url, safe=_SAFE, errors="replace")

    def _check_origin(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
            usable = parts.scheme.lower() in ("http", "https") and bool(host) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise FetchError(
                "not an http(s) URL", where=url.partition("?")[0][:100], retryable=False
            )
        if self._allowed and not any(f".{host}".endswith(f".{name}") for name in self._allowed):
            raise FetchError("its host is not in allowed_hosts", where=host, retryable=False)
        if not self._allow_private and (host == "localhost" or _is_private(host)):
            raise _refused(host)

    def check_address(self, address: str) -> None:
        """See that an address that a host's name led to may be connected to.

        Raises:
            FetchError: it is not public.
        """
        if not self._allow_private and _is_private(address):
            raise _refused(address)


def leads_home(url: str) -> bool:
    """Whether a URL's host is, or resolves to, an address that is not public.

    The API's own host is the user's choice: where it is in the local network, so may the files be.
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost" or _is_private(host):
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(_is_private(str(address[4][0])) for address in found)


def _is_private(address: str) -> bool:
    """Whether an address, or the IPv4 address inside it, is not of the public Internet."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not ip.is_global or ip.is_multicast
    inner = ip.ipv4_mapped or ip.sixtofour
    if inner is None and any(ip in network for network in _IPV4_INSIDE):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if inner is not None and _is_private(str(inner)):
        return True
    return not (ip.is_global or ip.ipv4_mapped) or ip.is_multicast or ip.is_site_local


def _refused(host: str) -> FetchError:
    return FetchError(
        "its URL leads to an address that is not public (allow_private_hosts would let it)",
        where=host,
        retryable=False,
    )
