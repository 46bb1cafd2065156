r"""The journal's language: what can change in a manifest, and the lines that say so.

A line is `<crc32, 8 hex digits> <JSON>\n`. Lines set or delete whole records, so that reading them
again over a document that has them already changes nothing.
"""

import io
import zlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec
from msgspec import Struct

from mirror.models import NOT_JSON, Entry, Failure, TwinEntry, TwinFailure


class PutEntry(Struct, frozen=True, tag="entry", tag_field="op", omit_defaults=True):
    """The asset is mirrored so; a failure of it is over."""

    entry: Entry
    is_twin: bool = False


class DropEntry(Struct, frozen=True, tag="drop", tag_field="op"):
    """The manifest no longer has the asset."""

    key: str


class PutFailure(Struct, frozen=True, tag="failure", tag_field="op", omit_defaults=True):
    """The asset could not be mirrored."""

    failure: Failure
    is_twin: bool = False


class DropFailure(Struct, frozen=True, tag="settled", tag_field="op"):
    """The failure is over."""

    key: str


Change = PutEntry | DropEntry | PutFailure | DropFailure

_decoder = msgspec.json.Decoder(Change)
_KNOWN = ("entry", "drop", "failure", "settled")


class NewerLineError(ValueError):
    """A whole line says something that this version does not know."""


Record = TypeVar("Record", Entry, Failure)


def encoded(changes: Iterable[Change]) -> bytes:
    """The lines that say so."""
    return b"".join(map(_line, changes))


def decoded(data: bytes) -> Iterator[tuple[Change, int]]:
    """The changes that a journal holds, each with the size of its line.

    What follows the first line that is not whole was being written when the power went; nothing of
    it had been promised.

    Raises:
        NewerLineError: a newer version wrote a line.
    """
    for line in io.BytesIO(data):
        change = _parsed(line)
        if change is None:
            return
        yield change, len(line)


def as_twin(twin: type[Record], record: Record) -> Record:
    """The record as that of an asset that shares its id and time with another."""
    return twin(**msgspec.structs.asdict(record))


def framed(value: object) -> bytes:
    """A value as a line that shows whether it is whole."""
    # Line breaks can only stand between JSON's tokens: a manifest that was edited by hand has them.
    data = msgspec.json.encode(value).replace(b"\n", b" ")
    return b"%08x %s\n" % (zlib.crc32(data), data)


def unframed(line: bytes) -> bytes | None:
    """The JSON on a line, or None if the line is not whole."""
    checksum, _, data = line.rstrip(b"\n").partition(b" ")
    is_whole = line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(data)
    return data if is_whole else None


class _AnyChange(Struct):
    op: str


def _is_unknown(data: bytes) -> bool:
    """Whether a line that is whole says what only a newer version can have written."""
    try:
        data.decode()  # what is not asked for is not looked at
        change = msgspec.json.decode(data, type=_AnyChange)
    except NOT_JSON:
        return False
    return change.op not in _KNOWN


def _line(change: Change) -> bytes:
    match change:
        case PutEntry(TwinEntry()) | PutFailure(TwinFailure()):
            change = msgspec.structs.replace(change, is_twin=True)
    return framed(change)


def _parsed(line: bytes) -> Change | None:
    """The change on a line of the journal, or None if the line is not whole."""
    data = unframed(line)
    if data is None:
        return None
    try:
        change: Change = _decoder.decode(data)
    except NOT_JSON as error:
        if _is_unknown(data):
            raise NewerLineError(str(error)) from None
        return None
    match change:
        case PutEntry(entry, is_twin=True):
            return PutEntry(as_twin(TwinEntry, entry))
        case PutFailure(failure, is_twin=True):
            return PutFailure(as_twin(TwinFailure, failure))
    return change
