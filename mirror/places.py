"""Where a mirror can be: in a folder, or in a bucket of an object store."""

import re
from pathlib import Path
from typing import Self

from msgspec import Struct

_URL = re.compile(r"(?P<scheme>s3|gs|az)://(?P<bucket>[^/]*)/*(?P<prefix>.*?)/*", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class BucketUrl(Struct, frozen=True):
    """A mirror's root in an object store. It has those methods of a path that both need.

    Attributes:
        scheme: `s3`, `gs` or `az`.
        bucket: the bucket's name, or the container's at Azure.
        prefix: what each key in it begins with, without slashes around it; "" for the whole bucket.
    """

    scheme: str
    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a URL; None for what does not begin as one, and so is a path.

        Raises:
            ValueError: it names no bucket, or a prefix that no key can begin with.
        """
        found = _URL.fullmatch(text)
        if found is None:
            return None
        steps = found["prefix"].split("/") if found["prefix"] else []
        if not _BUCKET.fullmatch(found["bucket"]) or any(it in ("", ".", "..") for it in steps):
            raise ValueError("expected a URL such as s3://bucket/prefix")
        return cls(found["scheme"].lower(), found["bucket"], found["prefix"])

    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join(filter(None, (self.bucket, self.prefix)))}"

    @property
    def name(self) -> str:
        """Its last part."""
        return self.prefix.rpartition("/")[2] or self.bucket

    def absolute(self) -> Self:
        """Itself: a URL is absolute."""
        return self

    def resolve(self) -> Self:
        """Itself: there are no links."""
        return self


Place = Path | BucketUrl
"""Where a mirror's root is."""
