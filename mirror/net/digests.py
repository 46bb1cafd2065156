"""Digests that a server may send beside a file: RFC 9530, RFC 3230 and Content-MD5."""

import base64
import binascii
import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping

_ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5"}
_OF_THE_FILE = ("repr-digest", "digest")
_OF_WHAT_WAS_SENT = (*_OF_THE_FILE, "content-digest", "content-md5")
_OF_HEX_LENGTH = {32: "md5", 40: "sha1", 64: "sha256"}
_HEX = re.compile("[0-9a-f]+")
_MEMBER = re.compile(r"([A-Za-z0-9-]+)=:?([A-Za-z0-9+/]+={0,2}):?")


def declared(headers: Mapping[str, str], *, whole: bool) -> Iterator[tuple[str, str]]:
    """The digests that the headers declare of the complete file.

    Args:
        headers: of the answer, with lower-case names.
        whole: whether the answer carried the whole file. Content-Digest and Content-MD5 speak of
            the bytes that were sent, Repr-Digest and Digest of the file.

    Yields:
        hashlib's name of an algorithm, and the hex digest. What cannot be read is no digest.
    """
    for name in _OF_WHAT_WAS_SENT if whole else _OF_THE_FILE:
        if name not in headers:
            continue
        if name == "content-md5":
            yield from _digest("md5", headers[name].strip())
            continue
        for algorithm, value in _MEMBER.findall(headers[name]):
            if known := _ALGORITHMS.get(algorithm.lower()):
                yield from _digest(known, value)


def of_etag(etag: str | None) -> Iterator[tuple[str, str]]:
    """The digest that an ETag is, by its length: object stores make it the file's MD5.

    Args:
        etag: as it was sent; None for none.

    Yields:
        As `declared` does; nothing where it has not the shape of a digest.
    """
    text = (etag or "").removeprefix("W/").strip('"').lower()
    if (algorithm := _OF_HEX_LENGTH.get(len(text))) and _HEX.fullmatch(text):
        yield algorithm, text


def _digest(algorithm: str, value: str) -> Iterator[tuple[str, str]]:
    """The digest, if the value is one: some servers send hex where base64 belongs."""
    with contextlib.suppress(binascii.Error, ValueError):
        digest = base64.b64decode(value, validate=True)
        if len(digest) == hashlib.new(algorithm, usedforsecurity=False).digest_size:
            yield algorithm, digest.hex()
