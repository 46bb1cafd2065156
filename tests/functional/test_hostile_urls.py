"""A listed URL, and where it redirects to, is data: it leads to no place that we must not knock at.

`Transfers` is driven directly, against servers and listeners on loopback: what is refused is
refused before a byte is asked, and before anybody is connected to.
"""

import asyncio
import contextlib
import gzip
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.demo.service import ASSETS_PATH
from mirror.errors import FetchError
from mirror.net.download import Received
from mirror.net.transfers import Transfers
from mirror.net.urls import UrlRules
from mirror.storage.partial import Partial
from tests.conftest import RunProgram
from tests.lib.effects import chunked, redirects, replies
from tests.lib.library import PNG, Library
from tests.lib.mirrored import manifest_of, media_in
from tests.lib.misbehaving import Misbehaving
from tests.lib.runs import run_sync

PATH = "/cdn/image/1"
SIZE = 300_000
REACHES = (
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0X7F.1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "0.0.0.0",  # noqa: S104 - it is asked, not bound
    "%31%32%37.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
)
"""How the loopback address can be written, so that libcurl gets there."""
MAY_REACH = (
    "127.0.0.1.",
    "127.8.9.10",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[fe80::1%25lo]",
    "ip6-localhost",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",  # 127.0.0.1 in circles
    "\uff11\uff12\uff17.0.0.1",  # in full width
    "127.0.0.1\\@example.com",
    "example.com@127.0.0.1",
    "user:word@127.0.0.1",
    "127.0.0.1%2f.example.com",
    "127.0.0.1%00.example.com",
    "127.0.0.1\t",
)
"""How it can be written on some systems, or with some versions of libcurl."""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def service(library: Library) -> Iterator[Misbehaving]:
    """A CDN on loopback with one file."""
    library.add(1, "image", size=SIZE)
    with library.service(Misbehaving) as running:
        yield running


class Curl:
    """`Transfers` with the rules at hand; one URL at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stall_timeout_s = 3.0

    def fetch(self, url: str, rules: UrlRules, *, max_size: int | None = None) -> Received:
        """Fetch, or raise what `Transfers.fetch` raises."""

        async def fetched() -> Received:
            with Transfers(
                jobs=2,
                stall_timeout_s=self.stall_timeout_s,
                limit_rate=None,
                max_size=max_size,
                rules=rules,
                room=lambda _: 0,
                on_bytes=lambda _: None,
            ) as transfers:
                return await transfers.fetch(url, Partial(self.folder / "1.resource"))

        return asyncio.run(fetched())

    def refusal(self, url: str, rules: UrlRules, *, max_size: int | None = None) -> FetchError:
        """Fetch what must be refused; nothing may be left of it."""
        with pytest.raises(FetchError) as caught:
            self.fetch(url, rules, max_size=max_size)
        assert list(self.folder.iterdir()) == []
        return caught.value


@pytest.fixture
def curl(tmp_path: Path) -> Curl:
    """Transfers into an empty folder."""
    folder = tmp_path / "partial"
    folder.mkdir()
    return Curl(folder)


ANYWHERE = UrlRules(allow_private=True)


@pytest.mark.parametrize("host", REACHES)
def test_loopback_is_refused_in_every_notation(curl: Curl, service: Misbehaving, host: str) -> None:
    """Not a request arrives, it is final, and says why; where it is allowed, it gets there."""
    url = f"http://{host}:{service.port}{PATH}"
    error = curl.refusal(url, UrlRules())
    assert "not public" in str(error)
    assert not error.retryable
    assert service.requests == []
    assert curl.fetch(url, ANYWHERE).facts.size == SIZE


@pytest.mark.parametrize("host", MAY_REACH)
def test_no_other_notation_gets_there(curl: Curl, service: Misbehaving, host: str) -> None:
    """What some systems take for loopback leads nowhere, either."""
    curl.refusal(f"http://{host}:{service.port}{PATH}", UrlRules())
    assert service.requests == []


@pytest.mark.parametrize(
    "environ",
    [
        {"no_proxy": "*"},
        {"NO_PROXY": "localhost,127.0.0.1"},
        {"ftp_proxy": "http://127.0.0.1:9"},
        {"http_proxy": "http://127.0.0.1:9", "no_proxy": "*"},
        {"https_proxy": "http://127.0.0.1:9"},
    ],
    ids=" ".join,
)
def test_a_proxy_that_is_not_asked_opens_nothing(
    curl: Curl, service: Misbehaving, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    """A request that goes to its address directly meets the rule, whatever else has a proxy."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    curl.refusal(f"http://localhost.:{service.port}{PATH}", UrlRules())
    assert service.requests == []


def test_a_proxy_that_is_asked_may_be_at_home(
    curl: Curl, service: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is the user's own choice: its address is no concern of the rules."""
    monkeypatch.setenv("http_proxy", service.url)
    service.fail(replies(200, PNG * 9, Content_Type="image/png"))
    assert curl.fetch("http://cdn.example.com/x", UrlRules()).facts.size == len(PNG * 9)
    [request] = service.requests
    assert request.headers["host"] == "cdn.example.com"


class _CdnAt(UrlRules):
    """The rules, in a world where 127.0.0.1 is a public address."""

    def checked(self, url: str) -> str:
        return url if url.startswith("http://127.0.0.1:") else super().checked(url)

    def check_address(self, address: str) -> None:
        if address != "127.0.0.1":
            super().check_address(address)


@pytest.fixture
def neighbour() -> Iterator[socket.socket]:
    """Somebody at 127.0.0.2 who waits for a knock."""
    with contextlib.closing(socket.socket()) as listener:
        try:
            listener.bind(("127.0.0.2", 0))
        except OSError as error:
            pytest.skip(f"redirects to a neighbour were not tested: no 127.0.0.2 ({error})")
        listener.listen()
        listener.setblocking(False)
        yield listener


def _was_knocked_at(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.2", 301),
        ("127.2", 302),
        ("2130706434", 303),
        ("0x7f000002", 307),
        ("0177.0.0.2", 308),
    ],
)
def test_a_redirect_to_a_private_address_is_not_followed(
    curl: Curl, service: Misbehaving, neighbour: socket.socket, host: str, status: int
) -> None:
    """A public CDN redirects to a private address: no connection is made to it."""
    port = neighbour.getsockname()[1]
    service.fail(redirects(f"http://{host}:{port}/admin?x=SECRET", status), PATH)
    error = curl.refusal(service.url + PATH, _CdnAt())
    assert "not public" in str(error)
    assert "SECRET" not in str(error)
    assert not error.retryable
    assert not _was_knocked_at(neighbour)
    assert len(service.requests) == 1


def test_the_neighbour_would_have_noticed(
    curl: Curl, service: Misbehaving, neighbour: socket.socket
) -> None:
    """Where private addresses are allowed, the same redirect is followed, and nobody answers."""
    service.fail(redirects(f"http://2130706434:{neighbour.getsockname()[1]}/x"), PATH)
    curl.stall_timeout_s = 0.3
    curl.refusal(service.url + PATH, ANYWHERE)
    assert _was_knocked_at(neighbour)


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/x",
        "dict://127.0.0.1/x",
        "smb://127.0.0.1/x",
        "tftp://127.0.0.1/x",
        "scp://127.0.0.1/x",
    ],
)
def test_a_redirect_stays_http(curl: Curl, service: Misbehaving, location: str) -> None:
    """To no other scheme is a redirect followed; it is final."""
    service.fail(redirects(location), PATH)
    error = curl.refusal(service.url + PATH, ANYWHERE)
    assert not error.retryable
    assert len(service.requests) == 1


def test_a_redirect_meets_allowed_hosts(curl: Curl, service: Misbehaving) -> None:
    """An allowed host may not send us to another one; to itself it may."""
    rules = UrlRules(allow_private=True, allowed_hosts=("localhost",))
    listed = f"http://localhost:{service.port}{PATH}"
    service.fail(redirects(f"{service.url}/cdn/elsewhere"), PATH, times=1)
    error = curl.refusal(listed, rules)
    assert "allowed_hosts" in str(error)
    assert len(service.requests) == 1
    service.fail(redirects(PATH), PATH, skip=0, times=1)
    assert curl.fetch(listed, rules).facts.size == SIZE


# Bounds.


def test_a_file_is_bounded_by_its_announced_size(curl: Curl, service: Misbehaving) -> None:
    """One byte more than `max_file_size` is refused by Content-Length; just as much is taken."""
    error = curl.refusal(service.url + PATH, ANYWHERE, max_size=SIZE - 1)
    assert not error.retryable
    assert "max" in str(error)
    assert curl.fetch(service.url + PATH, ANYWHERE, max_size=SIZE).facts.size == SIZE


def test_a_file_is_bounded_by_its_bytes(curl: Curl, service: Misbehaving) -> None:
    """Where no length is announced, the bytes are counted; nothing is left of them."""
    service.fail(chunked(), PATH)
    error = curl.refusal(service.url + PATH, ANYWHERE, max_size=SIZE - 1)
    assert not error.retryable
    assert curl.fetch(service.url + PATH, ANYWHERE, max_size=SIZE).facts.size == SIZE


@pytest.mark.parametrize("how", ["announced", "counted"])
def test_a_file_that_is_too_large_is_a_failure_of_its_own(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path, how: str
) -> None:
    """Exit 3 names it and the setting; the others are mirrored; it is asked for once."""
    library.add(2, "audio")
    if how == "counted":
        service.fail(chunked(), PATH)
    done = sync("--max-file-size", "100K")
    assert done.code == 3
    assert "max-file-size" in done.err
    assert len(service.asked(PATH)) == 1
    assert len(media_in(dest)) == 1
    assert len(manifest_of(dest)["failures"]) == 1


def test_an_answer_of_the_api_is_bounded(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """Exit 7 names the setting; nothing is forgotten; a page that fits is taken."""
    for number in range(2, 60):
        library.add(number, "image", size=100)
    done = sync(env={"KLING_MIRROR_MAX_ANSWER_SIZE": "10K"})
    assert done.code == 7
    assert "max_answer_size" in done.err
    assert "Traceback" not in done.err
    assert service.cdn_requests() == []
    assert sync("--page-size", "10", env={"KLING_MIRROR_MAX_ANSWER_SIZE": "10K"}).code == 0
    assert len(media_in(dest)) == 59


def test_a_compressed_answer_is_bounded_by_what_it_unfolds_to(
    sync: RunProgram, service: Misbehaving
) -> None:
    """A small answer that swells to a hundred megabytes is cut off on the way."""
    bomb = gzip.compress(b'{"uploadAssetsList": [' + b" " * 100_000_000 + b"]}")
    assert len(bomb) < 200_000
    service.fail(
        replies(200, bomb, Content_Type="application/json", Content_Encoding="gzip"), ASSETS_PATH
    )
    done = sync(env={"KLING_MIRROR_MAX_ANSWER_SIZE": "1M"})
    assert done.code == 7
    assert "max_answer_size" in done.err


# https.


def _https(secure: Misbehaving, path: str = PATH) -> str:
    return f"https://localhost:{secure.port}{path}"


@pytest.fixture
def _trusted(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))


@pytest.mark.usefixtures("_trusted")
def test_https_is_fetched(curl: Curl, service: Misbehaving, secure: Misbehaving) -> None:
    """With the authority in SSL_CERT_FILE, also by a redirect from http and within https."""
    assert curl.fetch(_https(secure), ANYWHERE).facts.size == SIZE
    service.fail(redirects(_https(secure)), PATH)
    assert curl.fetch(service.url + PATH, ANYWHERE).facts.size == SIZE
    secure.fail(redirects(PATH), "/cdn/there")
    assert curl.fetch(_https(secure, "/cdn/there"), ANYWHERE).facts.size == SIZE


@pytest.mark.usefixtures("service")
def test_an_unknown_certificate_is_refused(curl: Curl, secure: Misbehaving) -> None:
    """No request is made, and it is not tried again."""
    error = curl.refusal(_https(secure), ANYWHERE)
    assert not error.retryable
    assert secure.requests == []


@pytest.mark.usefixtures("_trusted", "service")
def test_a_certificate_of_another_host_is_refused(curl: Curl, secure: Misbehaving) -> None:
    """The name in the certificate is looked at."""
    error = curl.refusal(f"https://127.1.1.1:{secure.port}{PATH}", ANYWHERE)
    assert error.retryable or secure.requests == []
    assert secure.requests == []


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize("scheme", ["http", "HTTP", "hTTp"])
def test_a_redirect_never_leaves_https(
    curl: Curl, service: Misbehaving, secure: Misbehaving, scheme: str
) -> None:
    """From https to http: refused, final, and the http server is asked for nothing."""
    secure.fail(redirects(f"{scheme}://127.0.0.1:{service.port}{PATH}"), PATH)
    error = curl.refusal(_https(secure), ANYWHERE)
    assert "https" in str(error)
    assert not error.retryable
    assert service.requests == []


@pytest.mark.usefixtures("_trusted")
def test_no_detour_leaves_https(curl: Curl, service: Misbehaving, secure: Misbehaving) -> None:
    """Http to https to http: what was secure once stays so."""
    service.fail(redirects(_https(secure)), PATH)
    secure.fail(redirects(f"{service.url}/cdn/elsewhere"), PATH)
    error = curl.refusal(service.url + PATH, ANYWHERE)
    assert "https" in str(error)
    assert [request.path for request in service.requests] == [PATH]


@pytest.mark.usefixtures("_trusted")
def test_the_program_mirrors_over_https(
    library: Library, service: Misbehaving, secure: Misbehaving, dest: Path
) -> None:
    """A listing over http may name https files; a fetch that would leave https is a failure."""
    library.add(2, "image")
    for item in library.accounts["me@example.com"]:
        path = item["resource"]["resource"].partition("?")[0]
        item["resource"]["resource"] = _https(secure, path)
    secure.fail(redirects(f"{service.url}/cdn/image/2"), "/cdn/image/2")
    summary = run_sync(service, dest).summary
    assert (summary.exit_code, summary.assets.new, summary.assets.failed) == (3, 1, 1)
    assert "https" in summary.failures[0].error
