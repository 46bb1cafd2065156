"""A file as it comes in: what is kept, what may be continued, and what is no file at all."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial as bound
from pathlib import Path
from typing import Any

import pytest

from mirror.errors import DiskError, FetchError
from mirror.models import FileFacts
from mirror.net.download import Received, Receiver
from mirror.net.writers import Writers
from mirror.storage.partial import Note, Partial
from tests.lib.library import PNG
from tests.unit.net.answers import answered

URL = "https://cdn.example/a.png"
BODY = PNG + bytes(range(256)) * 40
SIZE = len(BODY)
OK = b"HTTP/1.1 200 OK"
PART = b"HTTP/1.1 206 Partial Content"
LENGTH = b"Content-Length: %d" % SIZE
ETAG = b'ETag: "e"'
CHANGED = b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"
WHOLE = b"Content-Range: bytes 0-%d/%d" % (SIZE - 1, SIZE)
BROKEN = FetchError("the connection broke")

Receive = Callable[..., Received]


@pytest.fixture
def partial(tmp_path: Path) -> Partial:
    """Where the file goes."""
    return Partial(tmp_path / "file")


@pytest.fixture
def receive(partial: Partial) -> Iterator[Receive]:
    """Receives an answer: its lines, `body` and libcurl's `fault`; the rest is Receiver's."""
    writers = Writers()

    def run(
        *lines: bytes,
        body: bytes = b"",
        fault: Exception | None = None,
        **options: Any,  # noqa: ANN401 - Receiver's
    ) -> Received:
        usual: dict[str, Any] = {
            "resume": partial.resume(URL, head_bytes=64),
            "known": None,
            "check_room": lambda _: None,
            "on_bytes": lambda _: None,
            "max_size": None,
            "is_media": True,
            "writers": writers,
        }
        make = bound(Receiver, url=URL, noted_url=URL, partial=partial, **{**usual, **options})
        return answered(make, *lines, body=body, fault=fault)

    yield run
    writers.close()


@pytest.fixture
def cut(receive: Receive, partial: Partial) -> int:
    """A file with a validator that broke off; gives how much of it is here."""
    with pytest.raises(FetchError, match="broke"):
        receive(OK, LENGTH, ETAG, body=BODY[:5000], fault=BROKEN)
    assert partial.path.read_bytes() == BODY[:5000]
    return 5000


def rest_of(first: int, *, total: int = SIZE) -> list[bytes]:
    """The header of a part from that byte on."""
    return [
        PART,
        b"Content-Range: bytes %d-%d/%d" % (first, SIZE - 1, total),
        ETAG,
        b"Content-Length: %d" % (SIZE - first),
    ]


def test_a_whole_file_has_its_facts(receive: Receive, partial: Partial) -> None:
    """Size, hash and validators as they came; nothing is left to be continued."""
    received = receive(OK, LENGTH, ETAG, b"Content-Type: image/png", body=BODY)
    assert received.facts == FileFacts(
        size=SIZE,
        sha256=hashlib.sha256(BODY).hexdigest(),
        etag='"e"',
        last_modified=None,
        content_type="image/png",
        url=URL,
    )
    assert received.head == BODY[: len(received.head)]
    assert partial.path.read_bytes() == BODY
    assert not partial.has_note()


def test_the_rest_is_joined_to_what_is_here(receive: Receive, partial: Partial, cut: int) -> None:
    """The hash goes on where it was."""
    received = receive(*rest_of(cut), body=BODY[cut:])
    assert received.facts.sha256 == hashlib.sha256(BODY).hexdigest()
    assert partial.path.read_bytes() == BODY


@pytest.mark.parametrize("lines", [[OK, LENGTH, ETAG], rest_of(0)], ids=["200", "206"])
def test_a_server_may_begin_anew(
    receive: Receive, partial: Partial, cut: int, lines: list[bytes]
) -> None:
    """The whole file in place of the rest, whatever status it comes with."""
    assert cut
    assert receive(*lines, body=BODY).facts.sha256 == hashlib.sha256(BODY).hexdigest()
    assert partial.path.read_bytes() == BODY


def test_a_part_is_not_called_the_file(receive: Receive, partial: Partial) -> None:
    """A 200 whose own Content-Range says the file is longer is refused, and forgotten."""
    part = b"Content-Range: bytes 0-99/%d" % SIZE
    with pytest.raises(FetchError, match="a part of the file") as caught:
        receive(OK, part, b"Content-Length: 100", body=BODY[:100])
    assert caught.value.retryable
    assert not partial.path.exists()
    assert receive(OK, WHOLE, LENGTH, body=BODY).facts.size == SIZE


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (rest_of(4000), "another part"),
        ([PART, ETAG], "another part"),
        ([PART, b"Content-Range: bytes 5000-6000/*", ETAG], "another part"),
        ([*rest_of(5000), b'ETag: "other"'], "changed"),
        ([PART, WHOLE, ETAG], "another part"),
        ([PART, b"Content-Range: bytes 5000-6000/%d" % SIZE, ETAG], "another part"),
        ([line for line in rest_of(5000) if line != ETAG], "changed"),
    ],
    ids=ascii,
)
def test_only_the_same_file_is_continued(
    receive: Receive, partial: Partial, cut: int, lines: list[bytes], why: str
) -> None:
    """Any doubt, and both halves are dropped."""
    assert cut
    with pytest.raises(FetchError, match=why) as caught:
        receive(*lines, body=BODY[5000:])
    assert caught.value.retryable
    assert not partial.path.exists()
    assert not partial.has_note()


def test_a_part_of_the_rest_is_kept(receive: Receive, partial: Partial, cut: int) -> None:
    """Some servers send no more than so much at once: the next request goes on behind it."""
    part = b"Content-Range: bytes %d-7999/%d" % (cut, SIZE)
    with pytest.raises(FetchError, match="less of the file") as caught:
        receive(PART, part, ETAG, body=BODY[cut:8000])
    assert caught.value.retryable
    assert receive(*rest_of(8000), body=BODY[8000:]).facts.size == SIZE
    assert partial.path.read_bytes() == BODY


def test_a_range_that_the_server_lacks_is_forgotten(
    receive: Receive, partial: Partial, cut: int
) -> None:
    """The file got shorter: it is fetched from its start."""
    assert cut
    with pytest.raises(FetchError, match="not have the requested part") as caught:
        receive(b"HTTP/1.1 416 Range Not Satisfiable")
    assert caught.value.retryable
    assert not partial.has_note()


@pytest.mark.parametrize(
    ("lines", "is_kept"),
    [
        ([ETAG], True),
        ([b'ETag: W/"e"'], False),
        ([], False),
        (
            [
                CHANGED,
                b"Date: Sun, 06 Nov 1994 08:51:00 GMT",
            ],
            True,
        ),
        (
            [
                CHANGED,
                b"Date: Sun, 06 Nov 1994 08:50:00 GMT",
            ],
            False,
        ),
        ([CHANGED], False),
        ([b"Last-Modified: yesterday", b"Date: Sun, 06 Nov 1994 08:50:00 GMT"], False),
    ],
    ids=ascii,
)
def test_only_a_strong_validator_lets_a_file_be_continued(
    receive: Receive, partial: Partial, lines: list[bytes], *, is_kept: bool
) -> None:
    """A weak ETag, or a date too close to the answer's, says nothing of the bytes."""
    with pytest.raises(FetchError, match="broke"):
        receive(OK, LENGTH, *lines, body=BODY[:5000], fault=BROKEN)
    assert partial.has_note() == is_kept


def test_a_copy_that_is_still_right_is_the_result(receive: Receive, partial: Partial) -> None:
    """304 gives back the facts that were asked about; without any, it is a failure."""
    known = FileFacts(
        size=1, sha256="00", etag='"e"', last_modified=None, content_type=None, url=URL
    )
    assert receive(b"HTTP/1.1 304 Not Modified", known=known).facts is known
    assert not partial.path.exists()
    with pytest.raises(FetchError, match="304"):
        receive(b"HTTP/1.1 304 Not Modified")


@pytest.mark.parametrize(
    ("lines", "body", "why"),
    [
        ([OK, b"Content-Length: 0"], b"", "empty"),
        ([OK, ETAG], BODY, "how long"),
        ([OK, b"Transfer-Encoding: identity", ETAG], BODY, "how long"),
        ([PART, WHOLE, LENGTH], BODY[:-1], "another part"),
        (
            [PART, b"Content-Range: bytes 0-9/%d" % SIZE, b"Content-Length: 10"],
            BODY[:10],
            "another part",
        ),
        ([OK, b"Content-Length: 5", b"Content-Type: text/plain"], b"Sorry", "error page"),
        ([OK, b"Content-Length: 5"], b"Sorry", "error page"),
        ([OK, LENGTH, b"Content-Type: image/png"], b"<title>Login</title>", 'HTML: "Login"'),
        ([OK, b"Content-Length: " + b"9" * 30], BODY, "any disk"),
    ],
    ids=ascii,
)
def test_what_is_no_complete_file_leaves_nothing(
    receive: Receive, partial: Partial, lines: list[bytes], body: bytes, why: str
) -> None:
    """It may be asked for again, from its start."""
    with pytest.raises(FetchError, match=why) as caught:
        receive(*lines, body=body)
    assert caught.value.retryable
    assert not partial.has_note()


def test_text_is_a_file_where_no_medium_is_expected(receive: Receive) -> None:
    """Of a type of asset that nobody knows yet."""
    received = receive(
        OK, b"Content-Length: 5", b"Content-Type: text/plain", body=b"Words", is_media=False
    )
    assert received.facts.size == 5


@pytest.mark.parametrize("lines", [[OK, LENGTH, ETAG], [OK, b"Transfer-Encoding: chunked", ETAG]])
def test_a_file_beyond_the_limit_is_no_use_later(
    receive: Receive, partial: Partial, lines: list[bytes]
) -> None:
    """Announced or not: it is not tried again, and nothing of it is kept."""
    with pytest.raises(FetchError, match="--max-file-size") as caught:
        receive(*lines, body=BODY, max_size=SIZE - 1)
    assert not caught.value.retryable
    assert not partial.path.exists()


def test_room_is_asked_for_before_a_byte_is_written(receive: Receive, partial: Partial) -> None:
    """The whole announced length, at once."""

    def refuse(announced: int) -> None:
        raise DiskError(f"no room for {announced}")

    with pytest.raises(DiskError, match=str(SIZE)):
        receive(OK, LENGTH, body=BODY, check_room=refuse)
    assert not partial.path.exists()


def test_a_large_file_is_written_by_a_thread(receive: Receive, partial: Partial) -> None:
    """Chunk by chunk in order, and complete before the result is there."""
    body = PNG + bytes(3 << 20)
    received = receive(OK, b"Content-Length: %d" % len(body), body=body)
    assert received.facts.sha256 == hashlib.sha256(body).hexdigest()
    assert partial.path.read_bytes() == body


def test_digests_that_came_are_passed_on(receive: Receive) -> None:
    """Whoever asked compares them: it may take a while."""
    received = receive(OK, LENGTH, b"Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==", body=BODY)
    assert received.digests == (("md5", "d41d8cd98f00b204e9800998ecf8427e"),)


def test_a_note_on_the_way_says_what_is_on_the_disk(receive: Receive, partial: Partial) -> None:
    """What was vouched for is the start of the file, and no more than is there."""
    with pytest.raises(FetchError, match="broke"):
        receive(OK, b"Content-Length: 99999999", ETAG, body=PNG + bytes(9 << 20), fault=BROKEN)
    resume = partial.resume(URL, head_bytes=64)
    assert resume is not None
    assert isinstance(resume.note, Note)
    assert resume.note.size == len(PNG) + (9 << 20)
    assert not resume.note.complete
