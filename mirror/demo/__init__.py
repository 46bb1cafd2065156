"""A Kling service with a small library, to try the program without a token or a network."""

from mirror.demo import library
from mirror.demo.service import KlingService

DEMO_TOKEN = "user:0000-demo"  # noqa: S105 - opens nothing but the service below
"""The token that the demo's service asks for."""


def demo_service(port: int = 0) -> KlingService:
    """Make the service with the packaged library; use it as a context manager.

    Raises:
        OSError: The packaged media cannot be read.
    """
    return KlingService(
        accounts=library.accounts(), files=library.files(), token=DEMO_TOKEN, port=port
    )
