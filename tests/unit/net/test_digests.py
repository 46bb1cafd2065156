"""Digests that a server declares: RFC 9530, RFC 3230 and Content-MD5, and what is none."""

import base64
import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.net.digests import declared, of_etag

SOME = settings(max_examples=300, deadline=None, database=None)
BODY = b'{"hello": "world"}\n'
SIZES = {"sha256": 32, "sha512": 64, "sha1": 20, "md5": 16}


def hexed(algorithm: str) -> tuple[str, str]:
    """What is to be found of an algorithm."""
    return algorithm, hashlib.new(algorithm, BODY).hexdigest()


def sent(algorithm: str) -> str:
    """The same as a server sends it."""
    return base64.b64encode(hashlib.new(algorithm, BODY).digest()).decode()


SHA256, SHA512, SHA1, MD5 = (sent(name) for name in ("sha256", "sha512", "sha1", "md5"))


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        # RFC 9530.
        ({"repr-digest": f"sha-256=:{SHA256}:"}, ["sha256"]),
        ({"content-digest": f"sha-512=:{SHA512}:"}, ["sha512"]),
        ({"repr-digest": f"sha-256=:{SHA256}:, sha-512=:{SHA512}:"}, ["sha256", "sha512"]),
        ({"repr-digest": f"SHA-256=:{SHA256}:"}, ["sha256"]),
        # RFC 3230.
        ({"digest": f"SHA-256={SHA256}"}, ["sha256"]),
        ({"digest": f"sha={SHA1},md5={MD5}"}, ["sha1", "md5"]),
        ({"digest": f"unixsum=30637, md5={MD5}"}, ["md5"]),
        # RFC 1864.
        ({"content-md5": MD5}, ["md5"]),
        ({"content-md5": f" {MD5} "}, ["md5"]),
        # All that is said is kept.
        (
            {"content-md5": MD5, "digest": f"sha-256={SHA256}", "repr-digest": f"md5=:{MD5}:"},
            ["md5", "sha256", "md5"],
        ),
        # What is no digest that we know.
        ({}, []),
        ({"digest": ""}, []),
        ({"digest": "nonsense"}, []),
        ({"digest": f"crc32c={MD5}"}, []),
        ({"digest": f"x-sha-256={SHA256}"}, []),
        ({"repr-digest": "sha-256=::"}, []),
        ({"content-md5": "not base64!"}, []),
        ({"etag": f'"{MD5}"'}, []),
    ],
    ids=str,
)
def test_the_digests_of_a_whole_file(headers: Mapping[str, str], found: list[str]) -> None:
    """Each form is read, with hashlib's name of its algorithm."""
    assert list(declared(headers, whole=True)) == [hexed(name) for name in found]


@pytest.mark.parametrize(
    "headers",
    [
        # Servers are known to send hex where base64 is due; it decodes, to what is no MD5.
        {"content-md5": hashlib.md5(BODY, usedforsecurity=False).hexdigest()},
        {"digest": f"md5={hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"},
        {"digest": f"sha-256={hashlib.sha256(BODY).hexdigest()}"},
        {"repr-digest": f"sha-256=:{MD5}:"},
        {"content-digest": "sha-512=:AAAA:"},
    ],
    ids=str,
)
def test_a_digest_of_the_wrong_length_is_none(headers: Mapping[str, str]) -> None:
    """What cannot be the digest must not refuse a good file for ever."""
    assert list(declared(headers, whole=True)) == []


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"content-md5": MD5}, []),
        ({"content-digest": f"sha-256=:{SHA256}:"}, []),
        ({"repr-digest": f"sha-256=:{SHA256}:"}, ["sha256"]),
        ({"digest": f"sha-256={SHA256}"}, ["sha256"]),
    ],
    ids=str,
)
def test_the_digests_beside_a_part(headers: Mapping[str, str], found: list[str]) -> None:
    """Of a part's headers only those count that speak of the whole file."""
    assert list(declared(headers, whole=False)) == [hexed(name) for name in found]


@SOME
@given(
    headers=st.dictionaries(
        st.sampled_from(("repr-digest", "digest", "content-digest", "content-md5")),
        st.text() | st.from_regex(r"(sha-256|md5|sha|sha-512)=:?[A-Za-z0-9+/]{0,90}={0,2}:?"),
    ),
    whole=st.booleans(),
)
def test_any_header_gives_true_digests_or_none(headers: Mapping[str, str], *, whole: bool) -> None:
    """Whatever is sent, what comes out can be compared with hashlib's own."""
    for algorithm, digest in declared(headers, whole=whole):
        assert len(bytes.fromhex(digest)) == SIZES[algorithm]


@pytest.mark.parametrize(
    ("etag", "found"),
    [
        (None, []),
        ("", []),
        (f'"{hashlib.md5(BODY).hexdigest()}"', ["md5"]),  # noqa: S324
        (f'W/"{hashlib.sha1(BODY).hexdigest()}"', ["sha1"]),  # noqa: S324
        (hashlib.sha256(BODY).hexdigest().upper(), ["sha256"]),
        (f'"{hashlib.md5(BODY).hexdigest()}-2"', []),  # noqa: S324
        (f'"{"g" * 32}"', []),
        ('"5f1c-63bd"', []),
    ],
)
def test_an_etag_may_be_a_digest(etag: str | None, found: list[str]) -> None:
    """It is one by its length and its digits; what was uploaded in parts has another mark."""
    assert list(of_etag(etag)) == [hexed(algorithm) for algorithm in found]
