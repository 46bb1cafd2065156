"""Which file of a folder may belong to which asset, by its name: a guess, never a proof.

Files that were downloaded by hand or by a script have the name that Kling gave, the last part of
the URL, or the asset's id somewhere in them; our own trees have stem and id.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mirror.models import Asset, Role
from mirror.storage.layout import fold, safe_component
from mirror.storage.media import kind_of, split_suffix

_COVER_MARK = ".cover"
_COPY_MARK = re.compile(r"(?: ?\(\d{1,3}\)| - copy(?: \(\d+\))?| copy(?: \d+)?)$", re.IGNORECASE)
_ID = re.compile(r"\d{9,}")


class ByName:
    """Files of a folder, found by what their names have in common with an asset.

    Args:
        paths: of the files.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._found: dict[str, list[Path]] = {}
        for path in paths:
            for token in set(_tokens_of_file(path.name)):
                self._found.setdefault(token, []).append(path)

    def candidates(self, asset: Asset, role: Role) -> list[Path]:
        """The files that may be this one, the likeliest first."""
        found = dict.fromkeys(
            path
            for token in dict.fromkeys(_tokens_of_asset(asset, role))
            for path in self._found.get(token, ())
        )
        url_names = set(_spellings(_url_name(asset, role)))
        return [path for path in found if _may_be(path.name, asset, role, url_names)]


def _tokens_of_file(name: str) -> Iterator[str]:
    yield fold(name)
    stem = split_suffix(name)[0].removesuffix(_COVER_MARK)
    yield fold(stem)
    plain = _COPY_MARK.sub("", stem)
    yield fold(plain)
    yield from _ID.findall(plain)


def _tokens_of_asset(asset: Asset, role: Role) -> Iterator[str]:
    yield from _spellings(asset.name or "")
    yield from _spellings(_url_name(asset, role))
    stem = split_suffix(asset.name or "")[0]
    yield from (fold(asset.id), fold(f"{stem}-{asset.id}"))


def _spellings(name: str) -> Iterator[str]:
    """The ways to write a name: with its suffix or without, made safe or not."""
    for text in (name, split_suffix(name)[0]):
        if text:
            yield from (fold(text), fold(safe_component(text)))


def _url_name(asset: Asset, role: Role) -> str:
    try:
        path = urlsplit(asset.urls.get(role) or "").path
    except ValueError:
        return ""
    return unquote(path.rpartition("/")[2])


def _may_be(name: str, asset: Asset, role: Role, url_names: set[str]) -> bool:
    """Whether a file may have this role: covers and resources often share all but the suffix."""
    stem, suffix = split_suffix(name)
    if stem.endswith(_COVER_MARK):
        return role == "cover"
    if role == "cover":
        return kind_of(suffix) == "image" or not url_names.isdisjoint(_tokens_of_file(name))
    return asset.content_type not in ("video", "audio") or kind_of(suffix) != "image"
