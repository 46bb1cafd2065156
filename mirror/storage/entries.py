"""The entries of a manifest, kept as the JSON that the document has of them.

An entry is decoded when it is looked at, in about a microsecond. Decoded, all of them together
would take as much memory again as their text, and a run looks at most of them for a moment only.
"""

from collections.abc import ItemsView, Iterator, MutableMapping, ValuesView

import msgspec
from msgspec import Raw

from mirror.errors import ManifestError
from mirror.models import NOT_JSON, Entry, TwinEntry
from mirror.storage.journal import as_twin

_MOST_RECENT = 512
"""Entries that stay decoded: an asset's is looked at several times while its page is worked on."""

_decode = msgspec.json.Decoder(Entry).decode
_encode = msgspec.json.Encoder().encode


class Entries(MutableMapping[str, Entry]):
    """The entries by key, in the order in which they came.

    Args:
        texts: the JSON of each; taken over.
        where: the document that they are from, as messages name it.

    Raises:
        ManifestError: as one is looked at whose JSON is no entry; `check` finds out at once.
    """

    def __init__(self, texts: dict[str, Raw] | None = None, *, where: str = "") -> None:
        self._texts = texts if texts is not None else {}
        self._where = where
        self._recent: dict[str, tuple[Raw, Entry]] = {}

    def __getitem__(self, key: str) -> Entry:
        """The entry of that key; a `KeyError` where there is none."""
        text = self._texts[key]
        recent = self._recent.get(key)
        if recent is not None and recent[0] is text:  # another thread may have recorded it anew
            return recent[1]
        entry = self._decoded(key, text)
        if len(self._recent) >= _MOST_RECENT:
            self._recent.clear()
        self._recent[key] = text, entry
        return entry

    def __setitem__(self, key: str, entry: Entry) -> None:
        text = bytes(memoryview(_encode(entry)))  # a copy: msgspec's own has room for half as much
        self._texts[key] = Raw(text)

    def __delitem__(self, key: str) -> None:
        del self._texts[key]

    def __contains__(self, key: object) -> bool:
        return key in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def items(self) -> ItemsView[str, Entry]:
        """Every key and entry, decoded on the way; none is kept decoded."""
        return _Items(self)

    def values(self) -> ValuesView[Entry]:
        """Every entry, as `items` has them."""
        return _Values(self)

    def lines(self) -> Iterator[bytes]:
        """Each entry as the document has it, `"key":{…}`, on one line."""
        for key, text in self._texts.items():
            line = b"%s:%s" % (_encode(key), text)
            # Line breaks can only stand between JSON's tokens: it was edited by hand.
            yield line.replace(b"\r", b"").replace(b"\n", b" ")

    def check(self) -> None:
        """Look at each entry.

        Raises:
            ManifestError: the JSON of one is no entry.
        """
        for _ in self.items():
            pass

    def _decoded(self, key: str, text: Raw) -> Entry:
        try:
            entry = _decode(text)
        except NOT_JSON as error:
            raise ManifestError(
                f"the manifest is damaged: {error} of {key!r}",
                where=self._where,
                hint="nothing was touched; rebuild it with `kling-mirror verify --rebuild`",
            ) from None
        # Nearly no key has a contentType, and then it says that the entry is a twin's.
        if key.count("@") > 1 and entry.key != key:
            return as_twin(TwinEntry, entry)
        return entry


class _Items(ItemsView[str, Entry]):
    _mapping: Entries

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        decoded = self._mapping._decoded  # noqa: SLF001 - it is a view of that
        return ((key, decoded(key, text)) for key, text in self._mapping._texts.items())  # noqa: SLF001


class _Values(ValuesView[Entry]):
    _mapping: Entries

    def __iter__(self) -> Iterator[Entry]:
        return (entry for _, entry in self._mapping.items())
