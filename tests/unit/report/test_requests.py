"""Requests reach those who asked to see them, for as long as they did."""

import logging

from mirror.report.requests import Requests

LOGGER = logging.getLogger("mirror.net.kling")


def test_requests_are_shown_until_it_is_closed() -> None:
    """Each as one line, whichever module sent it; to all who asked."""
    first: list[str] = []
    second: list[str] = []
    one, other = Requests(first.append), Requests(second.append)
    LOGGER.debug("GET %s: %d", "/assets", 200)
    one.close()
    LOGGER.debug("GET /accounts: 200")
    other.close()
    LOGGER.debug("nobody asks")
    assert first == ["GET /assets: 200"]
    assert second == ["GET /assets: 200", "GET /accounts: 200"]


def test_an_output_in_trouble_fails_no_request() -> None:
    """A closed or full output is no trouble of the request's."""

    def fail(_: str) -> None:
        raise BrokenPipeError

    requests = Requests(fail)
    LOGGER.debug("GET /assets: 200")
    requests.close()
