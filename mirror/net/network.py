"""How the network is reached: the proxies and certificates that the environment names.

The API, the files and the pings take both from here, so that `HTTPS_PROXY`, `NO_PROXY`,
`SSL_CERT_FILE` and `SSL_CERT_DIR` mean the same for all of them.
"""

import functools
import ipaddress
import os
import re
import ssl
import urllib.request
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

import certifi

from mirror.errors import UsageError

_PORTS = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5h": 1080,
}
_MEANT = {"": "http", "socks": "socks5h", "socks5": "socks5h"}
"""What a proxy without a scheme is, and what GNOME calls `socks`. The proxy looks names up."""
_HOST = re.compile(r"[\w.:%-]+")
_UNSET = "name one that is there, or unset the variable"


class Network:
    """Proxies and certificates.

    Attributes:
        ca_file: certificates that are trusted, in one file, or None.
        ca_folder: certificates that are trusted, in a folder, or None.

    Raises:
        UsageError: the environment names a proxy or certificates that cannot be used.
    """

    def __init__(self) -> None:
        self._proxies = {
            scheme: _proxy(f"{scheme}_proxy", url)
            for scheme, url in urllib.request.getproxies().items()
            if scheme in ("http", "https", "all") and url
        }
        names = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
        self._exceptions = [name.strip().lower() for name in names.split(",") if name.strip()]
        self.ca_file: str | None = os.environ.get("SSL_CERT_FILE") or None
        self.ca_folder: str | None = os.environ.get("SSL_CERT_DIR") or None
        if self.ca_file is not None or self.ca_folder is not None:
            _ = self.tls  # so that what is wrong with them is said first of all
        else:
            self.ca_file = certifi.where()

    def proxy_for(self, url: str) -> str:
        """The proxy for a URL, or "" for none."""
        if not self._proxies:
            return ""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme.lower()) or self._proxies.get("all") or ""
        return "" if proxy and self._is_excepted(parts) else proxy

    @functools.cached_property
    def tls(self) -> ssl.SSLContext:
        """The TLS settings for Python's own clients.

        Raises:
            UsageError: the certificates cannot be read.
        """
        folders = (self.ca_folder or "").split(os.pathsep)
        if self.ca_folder is not None and not any(Path(folder).is_dir() for folder in folders):
            raise UsageError("SSL_CERT_DIR names no folder", where=self.ca_folder, hint=_UNSET)
        try:
            return ssl.create_default_context(cafile=self.ca_file, capath=self.ca_folder)
        except OSError as error:  # ssl.SSLError is one
            what = f"SSL_CERT_FILE does not name a file of certificates: {error.strerror or error}"
            raise UsageError(what, where=self.ca_file or "", hint=_UNSET) from None

    def _is_excepted(self, parts: SplitResult) -> bool:
        host = (parts.hostname or "").lower()
        if not self._exceptions:  # the system's own settings, on macOS and Windows
            return bool(urllib.request.proxy_bypass(host))
        try:
            port = parts.port or _PORTS.get(parts.scheme.lower())
        except ValueError:  # whoever asks such a URL will say so
            port = None
        return any(_matches(name, host, port) for name in self._exceptions)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or its address."""
    network = _network(host)
    return host.lower() == "localhost" or (network is not None and network.is_loopback)


def without_login(proxy: str) -> str:
    """A proxy's URL without user and password."""
    scheme, mark, rest = proxy.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _proxy(variable: str, url: str) -> str:
    """The proxy's URL, so that libcurl and httpx understand the same by it.

    Raises:
        UsageError: it is none.
    """
    scheme, _, rest = url.strip().rpartition("://")
    scheme = _MEANT.get(scheme.lower(), scheme.lower())
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, port = parts.hostname or "", parts.port or _PORTS.get(scheme)
    except ValueError:
        host, port = "", None
    if scheme not in _PORTS or not _HOST.fullmatch(host):
        raise UsageError(
            f"{variable.upper()} does not name a usable proxy",
            where=without_login(url),
            hint=f"set it to a URL such as http://host:3128; the schemes are {', '.join(_PORTS)}",
        )
    login = ""
    if parts.username is not None:
        words = (parts.username, parts.password or "")
        login = ":".join(quote(unquote(word), safe="") for word in words) + "@"
    return f"{scheme}://{login}{f'[{host}]' if ':' in host else host}:{port}"


def _matches(name: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY names a host: by its name, a domain, an address, a network."""
    if name == "*":
        return True
    network = _network(name.strip("[]"))
    if network is not None:
        address = _network(host)
        if address is None or address.version != network.version:
            return False
        return network.supernet_of(address)  # type: ignore[arg-type] # of the same version
    start, colon, digits = name.rpartition(":")
    if colon and digits.isdecimal():
        if int(digits) != port:
            return False
        name = start.strip("[]")
    name = name.removeprefix("*").removeprefix(".")
    return host == name or host.endswith(f".{name}")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address, or a network, as a network."""
    try:
        return ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return None
