"""A service that lists assets and then lets their downloads wait."""

from mirror.demo.server import Request, Response
from mirror.demo.service import KlingService


class Held(KlingService):
    """A service that keeps all files back."""

    def respond(self, request: Request) -> Response:
        """Answer the listing; let whoever asks for a file wait."""
        if request.path.startswith("/cdn/"):
            self.closing.wait()
        return super().respond(request)
