"""Faults of single files: where the file is, and many faults in one run."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from mirror.demo.server import Request
from mirror.models import Summary
from tests.lib.effects import (
    HTML,
    alters,
    as_part,
    chunked,
    ends,
    error,
    gzips,
    replies,
    resets,
    serves,
    too_many,
    unframed,
)
from tests.lib.library import Library
from tests.lib.mirrored import entry_of
from tests.lib.misbehaving import Effect, Fault, Misbehaving
from tests.lib.runs import run_sync

PATH = "/cdn/image/1"
SIZE = 300_000
CUT = 120_000


class Round:
    """Assets that each meet a trouble of their own, all in one run: their waits pass together."""

    def __init__(self, folder: Path) -> None:
        self.dest = folder / "mirror"
        self.library = Library()
        self.service = self.library.service(Misbehaving)
        self.items: dict[str, dict[str, Any]] = {}
        self.faults: dict[str, Fault] = {}
        self.runs: list[Summary] = []

    def add(self, name: str) -> str:
        """Upload one more asset; gives its path."""
        self.items[name] = self.library.add(len(self.items), "image", size=SIZE)
        return self.path(name)

    def path(self, name: str) -> str:
        """Where the service has an asset's file."""
        path: str = self.items[name]["resource"]["resource"].partition("?")[0]
        return path

    def fail(self, name: str, effect: Effect, **options: Any) -> None:  # noqa: ANN401 - Fault's
        """Switch a fault of one asset on, inside of those that are there already."""
        self.faults[name] = self.service.fail(effect, self.path(name), **options)

    def sync(self, *, max_attempts: int) -> None:
        """Run once more, as wide as it takes for all to be under way at the same time."""
        with self.service:
            result = run_sync(self.service, self.dest, jobs=64, max_attempts=max_attempts)
        self.runs.append(result.summary)

    def asked(self, name: str) -> list[Request]:
        """The requests for one asset's file."""
        return self.service.asked(self.path(name))

    def check(self, name: str) -> None:
        """See that an asset is mirrored, and that its file is what the service has now."""
        stored = entry_of(self.dest, self.items[name])["resource"]
        body = self.library.files[self.path(name)].body
        assert stored["sha256"] == hashlib.sha256(body).hexdigest()
        assert (self.dest / stored["path"]).read_bytes() == body


def resumes(service: Misbehaving) -> list[str]:
    """The ranges that were asked for of the file at `PATH`."""
    return [
        request.headers["range"] for request in service.asked(PATH) if "range" in request.headers
    ]


JSON = b'{"error": {"code": 404, "message": "no such object"}}'
PRETTY_JSON = b'{\n  "error": "no such object"\n}\n'
XML = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
COMMENTED_HTML = b"<!-- edge 7 -->\n" + HTML


def digest(header: str, body: bytes) -> str:
    """The value of a digest header for a body."""
    if header == "Content-MD5":
        return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return f"sha-256={digest}" if header == "Digest" else f"sha-256=:{digest}:"


DIGESTS = ("Repr-Digest", "Content-Digest", "Digest", "Content-MD5")
BROKEN: dict[str, Effect] = {
    "reset": resets(),
    "reset-in-body": resets(after=CUT),
    "short": ends(after=CUT),
    "short-by-one": ends(after=SIZE - 1),
    "closed": ends(),
    "cut-chunks": chunked(upto=CUT),
    "html": serves(HTML, "text/html"),
    "html-as-png": serves(HTML),
    "html-with-comment": serves(COMMENTED_HTML),
    "json": serves(JSON, "application/json"),
    "json-as-png": serves(JSON),
    "pretty-json": serves(PRETTY_JSON, "application/json; charset=utf-8"),
    "pretty-json-as-png": serves(PRETTY_JSON),
    "xml": serves(XML, "application/xml"),
    "xml-as-png": serves(XML),
    "plain-text": serves(b"Too many viewers, try again later", "text/plain"),
    "text-without-type": serves("Zu viele Zuschauer: bitte später".encode(), ""),
    "empty": serves(b""),
    "identity-cut": unframed(CUT, "identity"),
    "two-lengths": alters({"Content-Length": f"{SIZE}\r\nContent-Length: {CUT}"}),
    "gzip": gzips(),
    "unasked-206": as_part(7, SIZE),
    "202": replies(202),
    "204": replies(204),
    "500": error(500),
    "503": too_many("seconds", 0, status=503),
    "429": too_many("seconds", 0),
    "408": error(408),
    **{header: alters({header: digest(header, b"something else")}) for header in DIGESTS},
}
