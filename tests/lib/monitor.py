"""A monitor on loopback, as healthchecks.io is one: it keeps the pings of a run."""

import json
from typing import Any

from mirror.demo.server import LoopbackServer, Request, Response

SECRET = "5ec2e7-a-check-of-mine"  # noqa: S105 - names nothing


class Monitor(LoopbackServer):
    """Answers every ping with `status`, or not at all while `hangs`.

    Attributes:
        to: where a redirect leads.
    """

    def __init__(self, *, status: int = 200, hangs: bool = False, to: str = "") -> None:
        super().__init__()
        self.status = status
        self.hangs = hangs
        self.to = to

    @property
    def url(self) -> str:
        """The check's URL."""
        return f"{super().url}/{SECRET}"

    @property
    def endings(self) -> list[str]:
        """What each ping had behind the check's own path."""
        return [ping.path.removeprefix(f"/{SECRET}") for ping in self.requests]

    def summary(self, ping: int) -> dict[str, Any]:
        """The run's summary, from the body of one of the pings."""
        found = json.loads(self.requests[ping].body)
        assert isinstance(found, dict)
        return found

    def respond(self, request: Request) -> Response:  # noqa: ARG002 - the base's
        """Answer a ping, or hang."""
        if self.hangs:
            self.closing.wait()
        return Response(self.status, {"Location": self.to} if self.to else {}, b"")
