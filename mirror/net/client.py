"""Python's own HTTP client, for the API and for pings: one host, no redirects."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from mirror import __version__
from mirror.errors import UsageError
from mirror.net.network import Network, is_loopback, without_login

USER_AGENT = f"kling-mirror/{__version__}"


def proxy_of(url: str, network: Network, *, is_secret: bool) -> str:
    """The proxy through which a client asks a host, or "" for none.

    Args:
        url: of the host.
        network: names the proxies.
        is_secret: whether no proxy may read what is sent: plain http goes around it then, unless
            it stays on this machine.
    """
    parts = urlsplit(url)
    if is_secret and parts.scheme.lower() == "http" and not is_loopback(parts.hostname or ""):
        return ""
    return network.proxy_for(url)


def open_transport(url: str, network: Network, *, is_secret: bool) -> httpx.HTTPTransport:
    """The connection to one host.

    Args:
        url: of the host.
        network: names proxies and certificates.
        is_secret: as for `proxy_of`.

    Raises:
        UsageError: the proxy or the certificates cannot be used.
    """
    proxy = proxy_of(url, network, is_secret=is_secret)
    scheme = proxy.partition(":")[0]
    if scheme.startswith("socks4"):
        hint = "name it socks5://, if it can do that"
        raise UsageError("only files can go through SOCKS 4", where=without_login(proxy), hint=hint)
    # Plain http has nothing to verify, and loading certificates takes a tenth of a second.
    tls = network.tls if url.lower().startswith("https:") or scheme == "https" else None
    proxy_tls = tls if scheme == "https" else None
    try:
        return httpx.HTTPTransport(
            proxy=httpx.Proxy(proxy, ssl_context=proxy_tls) if proxy else None,
            verify=tls or False,
            trust_env=False,
            limits=httpx.Limits(max_connections=1),
        )
    except ImportError:
        hint = "pip install socksio"
        raise UsageError("SOCKS needs a package", where=without_login(proxy), hint=hint) from None


def open_client(
    url: str, network: Network, *, headers: Mapping[str, str], timeout_s: float
) -> httpx.Client:
    """A client for one host. It follows no redirect: what it sends is for that host alone.

    Args:
        url: of the host.
        network: names proxies and certificates.
        headers: of every request.
        timeout_s: no byte for so long ends a request.

    Raises:
        UsageError: as for `open_transport`.
    """
    return httpx.Client(
        transport=open_transport(url, network, is_secret=False),
        headers={"User-Agent": USER_AGENT, **headers},
        timeout=timeout_s,
        trust_env=False,
        follow_redirects=False,
    )
