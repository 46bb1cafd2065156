"""What lies between us and the servers: proxies, certificates, and login pages.

All over real sockets: the API and the files go the same way.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Finished, RunProgram
from tests.lib.effects import HTML, redirects, replies
from tests.lib.library import ACCESS, TOKEN, Library
from tests.lib.mirrored import check_mirror, check_output, media_in
from tests.lib.misbehaving import Misbehaving
from tests.lib.proxies import Proxy
from tests.lib.tls import Secure, hashed_folder

API = "/v1/kling"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy that lets everybody in."""
    with Proxy() as running:
        yield running


def check_message(done: Finished, code: int, *words: str) -> None:
    """See that a run ended with one error, in at most three lines, that says this."""
    assert done.code == code, done.err
    check_output(done.out, done.err)
    assert len(done.err.splitlines()) <= 3, done.err
    for word in words:
        assert word in done.err, done.err


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks://{}/"),  # as GNOME sets it
        ("all_proxy", "socks5://{}"),
        ("HTTP_PROXY", "socks5h://{}"),
        ("http_proxy", "http://{}"),
        ("http_proxy", "{}"),
    ],
)
def test_api_and_files_take_the_same_way(  # noqa: PLR0917 - fixtures, by name
    sync: RunProgram,
    proxy: Proxy,
    service: Misbehaving,
    library: Library,
    dest: Path,
    variable: str,
    value: str,
) -> None:
    """Through the proxy that the environment names, whatever kind it is."""
    for item in library.fill(3):
        path = item["resource"]["resource"]
        item["resource"]["resource"] = f"http://files.invalid:{service.port}{path}"
    done = sync(env={variable: value.format(proxy.address)})
    assert done.code == 0, done.err
    assert len(media_in(dest)) == 4
    assert {f"files.invalid:{service.port}", f"127.0.0.1:{service.port}"} <= set(proxy.targets)


def test_exceptions_are_the_same_for_api_and_files(
    sync: RunProgram, proxy: Proxy, library: Library, dest: Path
) -> None:
    """An IPv6 network among them is no trouble for either."""
    library.fill(3)
    env = {"ALL_PROXY": f"http://{proxy.address}", "NO_PROXY": "fd00::/8,[::1],127.0.0.0/8"}
    assert sync(env=env).code == 0
    check_mirror(dest, library)
    assert proxy.targets == []


def test_a_token_is_shown_to_no_proxy(program: RunProgram, proxy: Proxy, dest: Path) -> None:
    """Plain http to another machine goes around it: it could read along."""
    done = program(
        "sync", "--dest", dest, "--api-url", f"http://api.invalid:9{API}", "--max-attempts", "1",
        env={**ACCESS, "HTTP_PROXY": f"http://{proxy.address}", "ALL_PROXY": proxy.address},
    )  # fmt: skip
    check_message(done, 7, "api.invalid")
    assert proxy.heads == []


def test_through_a_tunnel_no_proxy_reads_anything(
    program: RunProgram, proxy: Proxy, secure: Secure, library: Library, dest: Path
) -> None:
    """With https the proxy sees where it leads, and no more."""
    library.fill(2)
    done = program(
        "sync", "--dest", dest, "--api-url", secure.api_url,
        env={
            **ACCESS,
            "https_proxy": f"http://{proxy.address}",
            "SSL_CERT_FILE": str(secure.certificate),
        },
    )  # fmt: skip
    assert done.code == 0, done.err
    assert proxy.targets
    assert not [head for head in proxy.heads if TOKEN.encode() in head]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "ftp://proxy.example:21"),
        ("ALL_PROXY", "http://proxy.example:port"),
        ("all_proxy", "socks4://proxy.example:1080"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_DIR", "/nowhere"),
    ],
)
def test_what_cannot_be_used_is_one_message(
    sync: RunProgram, dest: Path, variable: str, value: str
) -> None:
    """Exit 2 with what and where, before anything is asked or written."""
    check_message(sync(env={variable: value}), 2, value)
    assert media_in(dest) == set()


def test_a_proxy_that_is_away_is_named(sync: RunProgram, dest: Path) -> None:
    """Exit 7, and it is the proxy that could not be reached."""
    assert dest
    done = sync("--max-attempts", "1", env={"HTTP_PROXY": "http://me:secret@127.0.0.1:9"})
    check_message(done, 7, "through http://127.0.0.1:9", "proxy")
    assert "secret" not in done.err


def test_a_proxy_that_wants_a_login_says_so(
    program: RunProgram, secure: Secure, sync: RunProgram, dest: Path
) -> None:
    """Exit 7 for the API, over http and over https."""
    with Proxy(login="bWU6c2VjcmV0") as office:
        check_message(sync(env={"HTTP_PROXY": office.address}), 7, "a proxy wants a login")
        env = {
            **ACCESS,
            "HTTPS_PROXY": office.address,
            "SSL_CERT_FILE": str(secure.certificate),
        }
        arguments = ("sync", "--dest", dest, "--api-url", secure.api_url)
        done = program(*arguments, "--max-attempts", "1", env=env)
        check_message(done, 7, "407", "proxy")
        env["HTTPS_PROXY"] = f"http://me:secret@{office.address}"
        assert program(*arguments, env=env).code == 0


def test_files_name_a_proxy_that_wants_a_login(
    sync: RunProgram, service: Misbehaving, library: Library
) -> None:
    """It is not taken for an expired URL, nor asked again."""
    item = library.add(1, "image")
    item["resource"]["resource"] = "https://files.invalid/a.png"
    with Proxy(login="bWU6c2VjcmV0") as office:
        done = sync(env={"HTTPS_PROXY": office.address})
    assert done.code == 3
    assert "a proxy wants a login" in done.err
    assert len(office.heads) == 1
    assert service.look_ups() == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_trust_is_the_same_for_api_and_files(  # noqa: PLR0917 - fixtures, by name
    program: RunProgram, secure: Secure, library: Library, dest: Path, tmp_path: Path, variable: str
) -> None:
    """Certificates of one's own, in a file or in a folder, serve both."""
    library.fill(3)
    folder = tmp_path / "certificates"
    folder.mkdir()
    trust = {
        "SSL_CERT_FILE": secure.certificate,
        "SSL_CERT_DIR": hashed_folder(secure.certificate, folder),
    }
    arguments = ("sync", "--dest", dest, "--api-url", secure.api_url, "--max-attempts", "1")
    check_message(program(*arguments, env=ACCESS), 7, "certificate")
    done = program(*arguments, env={**ACCESS, variable: str(trust[variable])})
    assert done.code == 0, done.err
    check_mirror(dest, library)


PORTALS = {
    "redirect": redirects("http://login.hotel.example/wifi?mac=00"),
    "page": replies(200, b"<html><title>Hotel Wifi</title>", Content_Type="text/html"),
    "511": replies(511, HTML, Content_Type="text/html"),
}


@pytest.mark.parametrize(
    ("portal", "word"),
    [("redirect", "login.hotel.example"), ("page", "Hotel Wifi"), ("511", "captive portal")],
)
def test_a_login_page_is_not_taken_for_the_api(
    sync: RunProgram, service: Misbehaving, portal: str, word: str
) -> None:
    """Exit 7 with who answered."""
    service.fail(PORTALS[portal], f"{API}/*")
    check_message(sync("--max-attempts", "1"), 7, word, "captive portal")


@pytest.mark.parametrize(("portal", "word"), [("page", "Hotel Wifi"), ("511", "captive portal")])
def test_a_login_page_is_not_taken_for_a_file(
    sync: RunProgram, service: Misbehaving, library: Library, portal: str, word: str
) -> None:
    """Exit 3 with who answered."""
    library.add(1, "image")
    service.fail(PORTALS[portal], "/cdn/*")
    done = sync("--max-attempts", "1")
    assert done.code == 3
    assert word in done.err
