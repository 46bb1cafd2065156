"""The service over what is really at Kling: it answers rightly, through the weather of the day.

It counts what a run asks: one that asks for ever is refused in the end, and found out. And it lets
things happen while a run is under way, at the n-th request of a kind.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from mirror.demo.server import Request, Response, json_response
from mirror.demo.service import ASSETS_PATH, Refusal
from tests.lib.effects import items_of
from tests.lib.misbehaving import Fault, Misbehaving, Signing
from tests.simulation.truth import Asset, Kling
from tests.simulation.weather import Weather

TOKEN = "user:1-first"  # noqa: S105 - opens nothing but this service
OTHER_TOKEN = "user:2-second"  # noqa: S105 - as above
EMAIL = "me@example.com"

MOST_REQUESTS = 1500
"""More than a run over a library of a dozen assets needs, whatever goes wrong."""


class World(Misbehaving):
    """The service. What is asked of it is in `requests`, as ever.

    Attributes:
        kling: the truth that it tells of.
        shown: the assets that the listings of this run showed, by id and type.
        has_overrun: whether a run asked without end.
    """

    def __init__(self) -> None:
        self.kling = Kling(TOKEN, EMAIL)
        super().__init__(accounts={}, files=self.kling.files, token=TOKEN)
        self.has_overrun = False
        self._meanwhile: dict[tuple[bool, int], Callable[[], object]] = {}
        self._asked = {True: 0, False: 0}
        self._counting = threading.Lock()
        self._acting = threading.Lock()

    def begin(self, weather: Weather) -> None:
        """A run begins: count anew, and let this be the weather."""
        self.forget()
        self._asked = {True: 0, False: 0}
        self._meanwhile.clear()
        self._signed.clear()
        self._used.clear()
        self.has_overrun = False
        self.faults = weather.faults(self.assets())
        self.signing = Signing(void=weather.signing == "expired") if weather.signing else None

    def meanwhile(self, number: int, act: Callable[[], object], *, of_files: bool) -> None:
        """Let something happen before the n-th answer of a kind, from 1; the run waits for it."""
        self._meanwhile[of_files, number] = act

    def settle(self) -> None:
        """Wait for what `meanwhile` let happen."""
        with self._acting:
            pass

    def assets(self) -> list[Asset]:
        """Every asset that is listed, of whoever."""
        return [asset for asset in self.kling.assets() if asset.is_listed]

    def asked_for_files(self) -> int:
        """How many requests for files this run sent."""
        return len(self.cdn_requests())

    def hidden(
        self, weather: Weather, token: str, *, sizes: Sequence[int], sorts: Sequence[str]
    ) -> set[Asset]:
        """Assets that no page shows in that weather, in any of these orders and sizes."""
        shown: set[tuple[str, str]] = set()
        for email in self.kling.tokens[token]:
            for sort in sorts:
                for size in sizes:
                    shown |= self._shown(weather.lasting(), token, email, sort=sort, size=size)
        return {it for it in self.assets() if (it.id, str(it.listed_kind)) not in shown}

    def _shown(
        self, faults: list[Fault], token: str, email: str, *, sort: str, size: int
    ) -> set[tuple[str, str]]:
        shown = set()
        query = {"email": email, "sort": sort, "pageSize": str(size)}
        for number in range(1, len(self.assets()) + 5):
            asked = {**query, "pageNum": str(number)}
            request = Request("GET", ASSETS_PATH, asked, {"authorization": f"Bearer {token}"})
            response = self._through(faults, request)
            if response.status == 200 and response.body[:1] == b"{":
                shown |= {
                    (str(it.get("id")), str(it.get("contentType"))) for it in items_of(response)
                }
        return shown

    # What the service answers.

    def respond(self, request: Request) -> Response:
        """Answer, unless this run has asked beyond all measure."""
        of_files = request.path.startswith("/cdn/")
        with self._counting:
            self._asked[of_files] += 1
            act = self._meanwhile.pop((of_files, self._asked[of_files]), None)
            self.has_overrun |= sum(self._asked.values()) > MOST_REQUESTS
        if act is not None:
            with self._acting:
                act()
        if self.has_overrun:
            return json_response(401, {"error": "Unauthorized", "code": 401})
        return super().respond(request)

    def _through(self, faults: list[Fault], request: Request) -> Response:
        kept, self.faults = self.faults, faults
        try:
            return super().respond(request)
        finally:
            self.faults = kept

    def check_token(self, request: Request) -> None:
        """Let every subscription pass."""
        if self._token(request) not in self.kling.tokens:
            raise Refusal(401, "Unauthorized", code=401)

    def account(self, request: Request) -> list[dict[str, Any]]:
        """What the user behind an email of this subscription has."""
        emails = self.kling.tokens[self._token(request)]
        email = request.query.get("email")
        if email is None and len(emails) > 1:
            raise Refusal(400, "Invalid parameters: email is required with several accounts")
        if email is None:
            email = next(iter(emails), None)
        if email is None or email not in emails:
            raise Refusal(404, f"Kling account {email or '(none)'} is not configured")
        return [asset.item() for asset in self.kling.listed(emails[email])]

    def account_list(self, request: Request) -> Response:
        """The emails of this subscription."""
        self.check_token(request)
        emails = self.kling.tokens[self._token(request)]
        if not emails:
            raise Refusal(404, "No Kling account is configured")
        return json_response(
            200,
            {
                email: {"email": email, "session": {"userId": user}}
                for email, user in emails.items()
            },
        )

    @staticmethod
    def _token(request: Request) -> str:
        return request.headers.get("authorization", "").removeprefix("Bearer ")
