"""The token goes to the API alone, and is never shown."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.demo.service import ASSETS_PATH
from tests.conftest import RunProgram
from tests.lib.effects import redirects, replies
from tests.lib.library import TOKEN, Library
from tests.lib.mirrored import check_output, snapshot
from tests.lib.misbehaving import Effect, Misbehaving
from tests.lib.runs import printed_errors, run_sync

ROUND = 12


def test_a_redirect_of_the_api_is_not_followed(
    sync: RunProgram, service: Misbehaving, dest: Path, mirrored: dict[str, str]
) -> None:
    """Exit 7; the host that it leads to is never asked, so it cannot see the token."""
    with Library().service(Misbehaving) as thief:
        service.fail(redirects(thief.api_url + "/assets/uploaded/", 307), ASSETS_PATH)
        done = sync()
        assert thief.requests == []
    assert done.code == 7
    check_output(done.out, done.err)
    assert "307" in done.err
    assert snapshot(dest) == mirrored


def test_the_token_goes_to_the_api_alone(
    service: Misbehaving, library: Library, dest: Path
) -> None:
    """No request for a file carries it: not to the CDN, not after a redirect to the API's host."""
    with Library().service(Misbehaving) as cdn:
        for number in range(4):
            item = library.add(number, "image")
            path = item["resource"]["resource"].partition("?")[0]
            cdn.files[path] = library.files[path]
            item["resource"]["resource"] = cdn.url + path
        cdn.fail(redirects(service.url + "/cdn/image/0"), "/cdn/image/0")
        assert run_sync(service, dest).summary.exit_code == 0
        files = cdn.requests + service.cdn_requests()
        assert len(files) == 5
    assert not any("authorization" in request.headers for request in files)
    assert not any(TOKEN in str(request.headers) for request in files)
    asked = service.api_requests()
    assert asked
    assert {request.headers["authorization"] for request in asked} == {f"Bearer {TOKEN}"}


ECHOES: dict[str, Callable[[bytes], Effect]] = {
    "flat-401": lambda token: replies(401, b'{"error": "Bad token %s"}' % token),
    "nested-500": lambda token: replies(500, b'{"error": {"message": "No %s"}}' % token),
    "html-403": lambda token: replies(403, b"<html>%s is not allowed</html>" % token),
    "html-200": lambda token: replies(200, b"<html>Hello %s</html>" % token),
    "json-200": lambda token: replies(200, b'{"error": "Hello %s"}' % token),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_token_that_the_api_echoes_is_not_shown(
    service: Misbehaving,
    dest: Path,
    caplog: pytest.LogCaptureFixture,
    echo: Callable[[bytes], Effect],
) -> None:
    """Neither an error, nor what `-vv` shows, nor any file of the mirror holds the token."""
    service.fail(echo(TOKEN.encode()), ASSETS_PATH)
    caplog.set_level(logging.DEBUG, "mirror")
    result = run_sync(service, dest, max_attempts=1)
    assert result.summary.exit_code in {4, 7}
    assert TOKEN not in printed_errors(result)
    assert caplog.messages
    assert TOKEN not in caplog.text
    assert not [path for path in dest.rglob("*") if path.is_file() and _holds_token(path)]


def test_requests_are_shown_without_secrets(
    sync: RunProgram, service: Misbehaving, library: Library, dest: Path
) -> None:
    """-vv names every request, but neither the token nor the query of a file's URL."""
    library.add(1)
    library.add(2)
    service.fail(replies(403), "/cdn/video/1")
    done = sync("-vv")
    assert done.code == 3
    assert "pageNum=1" in done.err
    check_output(done.out, "")
    assert TOKEN not in done.err
    assert "x-kcdn-pid" not in done.err
    assert not [path for path in dest.rglob("*") if path.is_file() and _holds_token(path)]
    assert "x-kcdn-pid" not in (dest / "manifest.json").read_text()


def _holds_token(path: Path) -> bool:
    return TOKEN.encode() in path.read_bytes()
